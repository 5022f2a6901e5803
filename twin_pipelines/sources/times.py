"""Reads the times people's exports hold: ISO 8601 and its relatives, RFC 2822, epoch numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from zoneinfo import ZoneInfo

import polars as pl

MOMENT = pl.Datetime("us", "UTC")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
_ZONELESS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
_EPOCH = re.compile(r"-?\d{9,20}(\.\d+)?")
_OTHER_FORMATS = ("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST = 2.5e17  # microseconds, some 7,900 years
_PLAUSIBLE_YEARS = (1900, 2200)


def parse_times(values: pl.Series, zone: ZoneInfo) -> tuple[pl.Series, pl.Series]:
    """Moments of text or epoch numbers, and which of them were written without a zone.

    Numbers are seconds, milli-, micro- or nanoseconds since 1970, told apart by magnitude. Text
    without a zone is read in `zone`; a time that occurs twice there (clocks put back) is the
    first. What cannot be read is null. Returns Datetime("us", "UTC") and Boolean.
    """
    if values.dtype.is_numeric():
        return _from_epoch(values), pl.repeat(False, values.len(), dtype=pl.Boolean, eager=True)
    moments = pl.repeat(None, values.len(), dtype=MOMENT, eager=True)
    zoneless = pl.repeat(False, values.len(), dtype=pl.Boolean, eager=True)
    for pattern in _ZONED:
        moments = _fill(moments, values, partial(_strptime, pattern=pattern, zone="UTC"))
    for pattern in _ZONELESS:
        open_before = moments.is_null()
        moments = _fill(moments, values, partial(_localised, pattern=pattern, zone=zone))
        zoneless |= open_before & moments.is_not_null()
    left = (moments.is_null() & values.is_not_null()).arg_true()
    if left.len():
        read = [parse_time(text, zone) for text in values.gather(left)]
        found = pl.Series([item[0] if item else None for item in read], dtype=pl.Int64)
        moments = moments.scatter(left, found.cast(MOMENT))
        zoneless = zoneless.scatter(left, [bool(item and item[1]) for item in read])
    return moments, zoneless


def parse_time(text: str, zone: ZoneInfo) -> tuple[int, bool] | None:
    """One time in any of the known forms: microseconds since 1970, and whether it had no zone."""
    text = text.strip()
    if _EPOCH.fullmatch(text):
        moment = _from_epoch(pl.Series([float(text)])).cast(pl.Int64)[0]
        return None if moment is None else (moment, False)
    read = _read(text)
    if read is None:
        return None
    zoneless = read.tzinfo is None
    try:
        moment = (read.replace(tzinfo=zone) if zoneless else read).astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return (moment - _BEGINNING) // (_BEGINNING.resolution), zoneless


def _read(text: str) -> datetime | None:
    dashed = text.replace("/", "-") if re.match(r"\d{4}/", text) else text
    try:
        return datetime.fromisoformat(dashed)
    except ValueError:
        pass
    for pattern in _OTHER_FORMATS:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _from_epoch(values: pl.Series) -> pl.Series:
    number = pl.col("n")
    size = number.abs()
    scaled = (
        pl.when(size < 1e11)
        .then(number * 1e6)
        .when(size < 1e14)
        .then(number * 1e3)
        .when(size < 1e17)
        .then(number)
        .otherwise(number / 1e3)
    )
    usable = number.is_finite() & (scaled.abs() < _FARTHEST)
    frame = pl.DataFrame({"n": values.cast(pl.Float64)})
    micros = pl.when(usable).then(scaled).round(0).cast(pl.Int64)
    return frame.select(micros.cast(MOMENT)).to_series()


def _fill(
    moments: pl.Series, values: pl.Series, read: Callable[[pl.Series], pl.Series]
) -> pl.Series:
    """Try a reader on the values that have no moment yet."""
    left = (moments.is_null() & values.is_not_null()).arg_true()
    if not left.len():
        return moments
    if left.len() == values.len():
        return read(values)
    return moments.scatter(left, read(values.gather(left)))


def _strptime(values: pl.Series, pattern: str, zone: str | None) -> pl.Series:
    return values.str.to_datetime(pattern, time_unit="us", time_zone=zone, strict=False)


def _localised(values: pl.Series, pattern: str, zone: ZoneInfo) -> pl.Series:
    naive = pl.col("t")
    plausible = naive.dt.year().is_between(*_PLAUSIBLE_YEARS)
    local = (
        pl.when(plausible)
        .then(naive)
        .dt.replace_time_zone(zone.key, ambiguous="earliest", non_existent="null")
    )
    frame = pl.DataFrame({"t": _strptime(values, pattern, None)})
    return frame.select(local.dt.convert_time_zone("UTC")).to_series()
