"""Rows of a companion's memory table become memories; what cannot be meant is rejected, row by row.

Values come as the JSON the database gives of them, so any column type is read alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import polars as pl

from twin_pipelines.features.language import detect_languages
from twin_pipelines.features.text import clean_texts
from twin_pipelines.memory.imports.columns import USUAL
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.sources.times import MOMENT, parse_times
from twin_pipelines.sources.values import text_column, time_column

REJECTED = {"source_ref": pl.String, "reason": pl.String, "excerpt": pl.String}
SCALES = (1.0, 10.0, 100.0)
OUTLIERS = 0.01  # share of values that do not decide the scale
TITLE_CHARS = 60
KIND_CHARS = 60
DEFAULT_IMPORTANCE = {"core": 0.8}
MIDDLING = 0.5
CONFIDENCE = 0.9  # where the table says nothing
NUMBERS = ("importance", "intensity", "confidence")
DREAM_KINDS = ("hope", "wish", "fear", "vision", "gratitude", "question", "plan")
_CALLED = {  # beginnings of what others call them
    "hope": ("hope", "aspir", "optimis", "หวัง", "ความหวัง"),
    "wish": ("wish", "desire", "want", "long", "อยาก", "ปรารถนา"),
    "fear": ("fear", "worr", "anx", "nightmare", "กลัว", "กังวล"),
    "vision": ("vision", "imagin", "dream", "future", "ฝัน", "ภาพ"),
    "gratitude": ("grat", "thank", "apprecia", "ขอบคุณ", "ซาบซึ้ง"),
    "question": ("question", "wonder", "curio", "สงสัย", "คำถาม"),
    "plan": ("plan", "goal", "intention", "promise", "แผน", "เป้าหมาย", "ตั้งใจ"),
}


@dataclass(frozen=True)
class Reading:
    """How rows are read: whose memories they are, in which zone, and what is too long or late."""

    table: str
    type: str
    subject: str
    zone: ZoneInfo
    latest: datetime
    max_chars: int
    short_term_hours: float


@dataclass(frozen=True)
class Read:
    """`memories` (MEMORIES and `messages`, the source's ids of them), `rejected` (REJECTED),
    `refs` of every row that stands in the table, bad ones too, and how many are `inactive`."""

    memories: pl.DataFrame
    rejected: pl.DataFrame
    refs: list[str]
    inactive: int


def read_rows(rows: pl.DataFrame, reading: Reading) -> Read:
    """Memories of rows that hold, by field of `USUAL`, the JSON of its column (null: none).

    Numbers are brought to 0–1 by the least of 1, 10 and 100 that holds nearly all of a column (of
    whole numbers 10 or 100). A row is rejected without text, without a readable time, with one
    ahead, with a number out of range, or when its identity stood before; `refs` has it still.
    """
    plain = _decoded(rows)
    texts = _texts(plain, reading.type)
    refs = [f"{reading.table}/{ref}" for ref in _identities(plain, texts)]
    moments, _ = parse_times(_times(plain["time"]), reading.zone)
    lasts, _ = parse_times(_times(plain["last"]), reading.zone)
    numbers = {name: _scaled(plain[name]) for name in NUMBERS}
    inactive = [value is not None and not _truth(value) for value in plain["active"]]
    frame = texts.with_columns(
        pl.Series("source_ref", refs, pl.String),
        moments.cast(MOMENT).alias("first_at"),
        lasts.cast(MOMENT).alias("last_at"),
        pl.Series("inactive", inactive, pl.Boolean),
        *(series.alias(name) for name, (series, _) in numbers.items()),
        *(wrong.alias(f"wrong_{name}") for name, (_, wrong) in numbers.items()),
    ).with_row_index("place")
    judged = frame.with_columns(_fault(reading).alias("fault"))
    good = judged.filter(pl.col("fault").is_null(), ~pl.col("inactive"))
    return Read(
        _memories(good, plain, reading),
        judged.filter(pl.col("fault").is_not_null()).select(
            "source_ref",
            pl.col("fault").alias("reason"),
            pl.coalesce("content", "title", pl.lit("")).str.slice(0, 120).alias("excerpt"),
        ),
        judged.filter(~pl.col("inactive"))["source_ref"].unique().sort().to_list(),
        int(judged["inactive"].sum()),
    )


Values = dict[str, list[Any]]


def _decoded(rows: pl.DataFrame) -> Values:
    """The values of every field, in an order that does not depend on the database's."""
    ordered = rows.sort(rows.columns, nulls_last=True)
    nothing = [None] * rows.height
    return {
        field: [None if value is None else orjson.loads(value) for value in ordered[field]]
        if field in rows.columns
        else nothing
        for field in USUAL
    }


def _texts(plain: Values, type: str) -> pl.DataFrame:
    """`title` and `content`, cleaned; the content of a concept begins with its name."""
    frame = pl.DataFrame({name: _text(plain[name]) for name in ("title", "content", "emotion")})
    frame = frame.with_columns(
        pl.when(text != "").then(text) for text in map(pl.col, frame.columns)
    )
    named = pl.col("content")
    if type == "knowledge":
        inside = (
            named.str.to_lowercase()
            .str.contains(pl.col("title").str.to_lowercase(), literal=True)
            .fill_null(True)
        )
        named = pl.when(inside).then(named).otherwise(pl.col("title") + ": " + named)
    said = [named, pl.col("title")]
    if type == "emotional":
        said.append(pl.col("emotion"))
    return frame.select("title", pl.coalesce(said).alias("content"))


def _text(values: list[Any]) -> pl.Series:
    written = [
        json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
        for value in values
    ]
    return clean_texts(text_column(written).text.fill_null(""))


def _identities(plain: Values, texts: pl.DataFrame) -> list[str]:
    """The table's own identities, or the hash of the text where it has none."""
    return [
        str(own)[:200]
        if own not in (None, "")
        else hashlib.md5((text or "").encode(), usedforsecurity=False).hexdigest()
        for own, text in zip(plain["id"], texts["content"], strict=True)
    ]


def _times(values: list[Any]) -> pl.Series:
    """Times for `parse_times`; what is neither text nor number is no time."""
    usable = [value if isinstance(value, str | int | float) else None for value in values]
    column = time_column([None if isinstance(value, bool) else value for value in usable])
    return column.cast(pl.String) if column.dtype == pl.Null else column


def _scaled(values: list[Any]) -> tuple[pl.Series, pl.Series]:
    """Numbers as 0–1 (null: none given), and which of them are none or out of range."""
    numbers = pl.Series("n", [_number(value) for value in values], pl.Float64)
    given = numbers.filter(numbers.is_between(0, 100)).sort()
    usual = given.head(max(1, given.len() - int(given.len() * OUTLIERS)))
    whole = (given == given.floor()).all() and (usual > 1).any()
    scales = SCALES[1:] if whole else SCALES
    scale = next((one for one in scales if (usual <= one).all()), SCALES[-1])
    wrong = numbers.is_between(0, scale).fill_null(True).not_() | numbers.is_nan().fill_null(False)
    return numbers / scale, wrong


def _number(value: Any) -> float | None:
    """None where there is none; not a number where it cannot be read."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("t", "true", "y", "yes", "1", "ใช่")
    return bool(value)


def _fault(reading: Reading) -> pl.Expr:
    text, at = pl.col("content"), pl.col("first_at")
    faults = {
        "it has no text": text.is_null(),
        f"its text is longer than {reading.max_chars:,} characters": text.str.len_chars()
        > reading.max_chars,
        "it has no readable time": at.is_null(),
        "its time is ahead": at > reading.latest,
        **{f"its {name} is out of range": pl.col(f"wrong_{name}") for name in NUMBERS},
        "its identity stands twice": ~pl.col("source_ref").is_first_distinct(),
    }
    return pl.coalesce([pl.when(holds).then(pl.lit(reason)) for reason, holds in faults.items()])


def _memories(good: pl.DataFrame, plain: Values, reading: Reading) -> pl.DataFrame:
    schema = {**MEMORIES, "messages": pl.List(pl.String)}
    if good.is_empty():
        return pl.DataFrame(schema=schema)
    rows = [
        _memory({**{field: plain[field][row["place"]] for field in USUAL}, **row}, reading)
        for row in good.rows(named=True)
    ]
    frame = pl.DataFrame(rows, schema=schema)
    return frame.with_columns(detect_languages(frame["content"]).alias("language"))


def _memory(row: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    first = row["first_at"]
    last = row["last_at"] if row["last_at"] and row["last_at"] <= reading.latest else first
    last = max(first, last)
    kind, details = _KINDS.get(reading.type, _plain_kind)(row)
    importance = row["importance"] if row["importance"] is not None else row["intensity"]
    if importance is None:
        importance = DEFAULT_IMPORTANCE.get(reading.type, MIDDLING)
    fades = last + timedelta(hours=reading.short_term_hours)
    memory: dict[str, Any] = {
        "memory_id": memory_identity(reading.type, "", "imported", row["source_ref"]),
        "type": reading.type,
        "kind": kind,
        "title": row["title"] or _beginning(row["content"]),
        "content": row["content"],
        "about": _word(row["about"]) or reading.subject,
        "people": _words(row["people"]),
        "importance": importance,
        "importance_parts": "{}",
        "confidence": CONFIDENCE if row["confidence"] is None else row["confidence"],
        "sessions": 1,
        "first_at": first,
        "last_at": last,
        "valid_until": fades if reading.type == "short_term" else None,
        "status": "active",
        "status_reason": "",
        "pinned": row["pinned"] is not None and _truth(row["pinned"]),
        "origin": "imported",
        "source_ref": row["source_ref"],
        "message_ids": [],
        "source_ids": [],
        "messages": _words(row["message"]),
    }
    details |= {"pinned": memory["pinned"], "triggers": _words(row["triggers"])}
    details |= {"context": row["context"]} if isinstance(row["context"], str) else {}
    written = json.dumps([memory, details], default=str, sort_keys=True, ensure_ascii=False)
    details["row_hash"] = hashlib.md5(written.encode(), usedforsecurity=False).hexdigest()
    return memory | {"details": json.dumps(details, ensure_ascii=False)}


def _plain_kind(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return _word(row["kind"]) or "imported", {}


def _emotional_kind(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    emotion = (_word(row["emotion"]) or _word(row["kind"]) or "emotion").lower()
    return emotion, {"emotion": emotion, "intensity": row["intensity"]}


def _dream_kind(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    called = _word(row["kind"]).lower()
    kind = next(
        (ours for ours, theirs in _CALLED.items() if any(one in called for one in theirs)), "vision"
    )
    at = row["fulfilled_at"] if isinstance(row["fulfilled_at"], str) else None
    fulfilled = at is not None or (row["fulfilled"] is not None and _truth(row["fulfilled"]))
    found = (at or row["last_at"] or row["first_at"]) if fulfilled else None
    moment = found.isoformat() if isinstance(found, datetime) else found
    return kind, {"called": called, "fulfilled_at": moment, "fulfilled_by": []}


_KINDS: dict[str, Callable[[Mapping[str, Any]], tuple[str, dict[str, Any]]]] = {
    "emotional": _emotional_kind,
    "dream": _dream_kind,
}


def _word(value: Any) -> str:
    return value.strip()[:KIND_CHARS] if isinstance(value, str) else ""


def _words(value: Any) -> list[str]:
    """The texts of a list, or the one text."""
    several = value if isinstance(value, list) else [value]
    return [one.strip() for one in several if isinstance(one, str) and one.strip()]


def _beginning(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= TITLE_CHARS else flat[: TITLE_CHARS - 1].rstrip() + "…"
