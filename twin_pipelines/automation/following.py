"""Source databases followed from the graph: what a look at them asks for, in plain terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import psycopg

from twin_pipelines.automation import store
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.capture_store import Busy
from twin_pipelines.sources.capture.drain import Drained, drain, reading
from twin_pipelines.sources.capture.feeds import Feed, feeds

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Look:
    """One feed after a look: what it brought, or why nothing could be brought."""

    feed: str
    drained: Drained | None
    problem: str = ""

    @property
    def words(self) -> str:
        """The look in one sentence."""
        if self.drained is None:
            return f"{self.feed}: {self.problem}"
        done = self.drained
        rows = sum(kinds.total() for kinds in done.rows.values())
        taken = "taken over whole; " if done.taken_over else ""
        return (
            f"{self.feed}: {taken}{done.transactions:,} transactions, {rows:,} rows, "
            f"{len(done.days)} days touched, {done.lag_bytes:,} bytes behind, position "
            f"{done.position}"
        )


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


def look(own: psycopg.Connection, settings: TwinSettings) -> list[Look]:
    """Bring over what every feed holds; one that fails does not keep the others."""
    return [_look(own, settings, feed) for feed in feeds(settings)]


def work(own: psycopg.Connection, settings: TwinSettings) -> Work:
    """What was touched and is not derived yet.

    A day is derived with the one after it where a session runs over midnight.
    """
    days = capture_store.touched(own)["day"].unique().to_list()
    after = store.days_run_into(own, days, settings.cleaning.session_pause_minutes)
    positions = capture_store.feed_positions(own)
    tables = capture_store.touched_tables(own)
    own.rollback()
    return Work(tuple(stretches({*days, *after})), positions, tuple(tables))


def stretches(days: Iterable[date]) -> Sequence[DayRange]:
    """Days as runs of days without a gap, in order."""
    runs: list[DayRange] = []
    for day in sorted(days):
        if runs and day - runs[-1].last == _DAY:
            runs[-1] = DayRange(runs[-1].first, day)
        else:
            runs.append(DayRange(day, day))
    return runs


def _look(own: psycopg.Connection, settings: TwinSettings, feed: Feed) -> Look:
    try:
        with reading(feed, own) as reader:
            return Look(feed.name, drain(own, reader, settings, feed))
    except Busy as error:
        return Look(feed.name, None, str(error))
    except TwinError as error:
        own.rollback()
        capture_store.failed(own, feed, str(error))
        own.commit()
        return Look(feed.name, None, str(error))
