"""Cleans a range of days in slices that fit in memory, each with its eve, each committed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.features.cleaning import clean
from twin_pipelines.features.store import raw_volume, rewrite_days
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.store import load_messages

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

DAY = timedelta(days=1)
SLICE_MESSAGES = 200_000
SLICE_BYTES = 64 << 20  # of text, as PostgreSQL stores it


@dataclass(frozen=True)
class Refreshed:
    """What cleaning a range made, as counts.

    `days` has one row for each day with messages (`cleaning.Cleaned.counts`); `languages` counts
    turns by `language`, `dropped` messages by `reason`; both have a column `count`. `written` is
    the number of rows that were inserted, changed or deleted.
    """

    days: pl.DataFrame
    languages: pl.DataFrame
    dropped: pl.DataFrame
    written: int


def refresh_days(
    connection: psycopg.Connection,
    settings: TwinSettings,
    days: DayRange,
    progress: Callable[[DayRange, int], None] | None = None,
    *,
    most_messages: int = SLICE_MESSAGES,
) -> Refreshed:
    """Clean the raw messages of the days and rewrite their turns, slice by slice.

    A slice is a run of whole days; it is committed before the next begins, so that a run that is
    killed leaves each day either as it was or as it should be. `progress` hears of each finished
    slice and its number of raw messages. Days without messages end up empty.
    """
    counts, languages, dropped, written = [], [], [], 0
    for part in slices(days, raw_volume(connection, days), most_messages):
        eve = replace(part, first=part.first - DAY)
        cleaned = clean(load_messages(connection, eve), part, settings.cleaning)
        written += rewrite_days(connection, part, cleaned.turns, cleaned.dropped)
        connection.commit()
        counts.append(cleaned.counts)
        languages.append(cleaned.turns["language"].value_counts())
        dropped.append(cleaned.dropped["reason"].value_counts())
        if progress:
            progress(part, int(cleaned.counts["messages"].sum()))
    return Refreshed(pl.concat(counts), _sum(languages), _sum(dropped), written)


def slices(
    days: DayRange,
    volume: pl.DataFrame,
    most_messages: int = SLICE_MESSAGES,
    most_bytes: int = SLICE_BYTES,
) -> Iterator[DayRange]:
    """Cut the days into consecutive runs whose messages, with their eve's, stay within the limits.

    `volume` is `store.raw_volume` of the days. A day that with its eve exceeds a limit is a slice
    of its own. Together the slices cover every day, also those without messages.
    """
    shares = {
        day: max(messages / most_messages, size / most_bytes)
        for day, messages, size in volume.iter_rows()
    }

    def share(day: date) -> float:
        return shares.get(day, 0.0)

    first, filled = days.first, 0.0
    for day in days:
        if day > first and filled + share(day) > 1:
            yield replace(days, first=first, last=day - DAY)
            first, filled = day, 0.0
        if day == first:
            filled = share(day - DAY)
        filled += share(day)
    yield replace(days, first=first)


def _sum(counts: list[pl.DataFrame]) -> pl.DataFrame:
    name = counts[0].columns[0]
    return (
        pl.concat(counts).group_by(name).agg(pl.col("count").sum()).sort("count", descending=True)
    )
