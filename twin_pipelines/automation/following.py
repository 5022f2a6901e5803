"""What the looks at followed sources ask for: the days and tables that wait to be derived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg

from twin_pipelines.automation import store
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.capture import capture_store

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Work:
    """What waits to be derived: runs of days, and tables; both hold what was brought over up to
    the position of each feed."""

    stretches: tuple[DayRange, ...]
    positions: Mapping[str, str]
    tables: tuple[str, ...]

    @property
    def days(self) -> int:
        """How many days wait."""
        return sum(len(stretch) for stretch in self.stretches)


def work(own: psycopg.Connection, settings: TwinSettings) -> Work:
    """What was touched and is not derived yet.

    A day is derived with the one after it where a session runs over midnight. One that has not
    begun yet (a clock that is ahead) waits.
    """
    begun = datetime.now(settings.zone).date()
    touched = capture_store.touched(own)["day"].unique().to_list()
    days = [day for day in touched if day <= begun]
    after = store.days_run_into(own, days, settings.cleaning.session_pause_minutes)
    positions = capture_store.feed_positions(own)
    tables = capture_store.touched_tables(own)
    own.rollback()
    due = stretches(day for day in {*days, *after} if day <= begun)
    return Work(tuple(due), positions, tuple(tables))


def stretches(days: Iterable[date]) -> Sequence[DayRange]:
    """Days as runs of days without a gap, in order."""
    runs: list[DayRange] = []
    for day in sorted(days):
        if runs and day - runs[-1].last == _DAY:
            runs[-1] = DayRange(runs[-1].first, day)
        else:
            runs.append(DayRange(day, day))
    return runs
