"""Columns of text out of the loosely typed values that JSON and CSV files hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl

from twin_pipelines.sources.messages import REPLACEMENT, without_surrogates


@dataclass(frozen=True)
class TextColumn:
    """Values as text; null where there is none or where it is `wrong` (a list, an object …)."""

    text: pl.Series
    wrong: list[int]  # positions of values that are no text
    replaced: list[int]  # positions where characters became U+FFFD


def text_column(values: Sequence[Any]) -> TextColumn:
    """Numbers become their digits; lone surrogates become U+FFFD."""
    try:
        return TextColumn(pl.Series(values, dtype=pl.String), [], [])
    except (TypeError, UnicodeEncodeError):
        pass
    texts: list[str | None] = []
    wrong, replaced = [], []
    for position, value in enumerate(values):
        text = value
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = str(value)
        elif value is not None and not isinstance(value, str):
            text = None
            wrong.append(position)
        elif value and not _is_unicode(value):
            text = without_surrogates(value)
            replaced.append(position)
        texts.append(text)
    return TextColumn(pl.Series(texts, dtype=pl.String), wrong, replaced)


def time_column(values: Sequence[Any]) -> pl.Series:
    """Text or numbers, as `times.parse_times` takes them; other values become unreadable text."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds and kinds <= {int, float}:
        return pl.Series([_as_float(value) for value in values], dtype=pl.Float64)
    if kinds <= {str}:
        return text_column(values).text
    return text_column([_as_time_text(value) for value in values]).text


def _as_float(value: float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return math.inf


def _as_time_text(value: Any) -> str | None:
    """Numbers with so many digits that they cannot be taken for a date."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{float(value):020.6f}" if abs(value) < 1e20 else "too large"
    return None if value is None else str(value)


def json_column(values: Sequence[Any], most_chars: int) -> tuple[pl.Series, list[int]]:
    """Values as JSON that PostgreSQL can hold; positions of those that it could not are returned.

    Text that is itself a JSON object or list is taken as such.
    """
    texts: list[str | None] = [None] * len(values)
    left_out = []
    for position, value in enumerate(values):
        if value is None or value == "":
            continue
        try:
            text = _as_json(value)
        except (orjson.JSONEncodeError, RecursionError):
            left_out.append(position)
            continue
        if len(text) > most_chars:
            left_out.append(position)
        else:
            texts[position] = text
    return pl.Series(texts, dtype=pl.String), left_out


def _as_json(value: Any) -> str:
    if isinstance(value, str):
        value = _decoded(value)
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # lone surrogates, whole numbers of more than 64 bits
        return orjson.dumps(_clean(value)).decode()
    return orjson.dumps(_clean(value)).decode() if "\\u0000" in text else text


def _decoded(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value).replace("\0", REPLACEMENT)
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        return str(value)
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
