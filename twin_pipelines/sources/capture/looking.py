"""The one way to look at what is followed: by the sensor, by `twin follow`, and by a run.

A source that is down, that refuses or that breaks off is told and does not keep the others; one
that twin.toml follows no longer loses its slot and its publication.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg

from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.capture_store import Busy
from twin_pipelines.sources.capture.drain import Drained, drain, reading
from twin_pipelines.sources.capture.feeds import Feed, feeds, named_databases
from twin_pipelines.sources.capture.retiring import retire

RETRY_SECONDS = 5.0  # until a source that failed is tried again
SKEWED_SECONDS = 5.0  # a clock that is further from ours is told


@dataclass(frozen=True)
class Look:
    """One feed after a look: what it brought, or why nothing could be brought."""

    feed: str
    drained: Drained | None
    problem: str = ""
    busy: bool = False  # another process reads it

    @property
    def words(self) -> str:
        """The look in one sentence."""
        if self.drained is None:
            return f"{self.feed}: {self.problem}"
        done = self.drained
        rows = sum(kinds.total() for kinds in done.rows.values())
        taken = "taken over whole; " if done.taken_over else ""
        skew = f"; {skewed(done.clock_ahead)}" if skewed(done.clock_ahead) else ""
        return (
            f"{self.feed}: {taken}{done.transactions:,} transactions, {rows:,} rows, "
            f"{len(done.days)} days touched, {done.lag_bytes:,} bytes behind, position "
            f"{done.position}{skew}"
        )


def skewed(clock_ahead: float) -> str:
    """What is to be said of a server's clock; nothing while it is near ours."""
    if abs(clock_ahead) < SKEWED_SECONDS:
        return ""
    which = "ahead of" if clock_ahead > 0 else "behind"
    return f"its clock is {abs(clock_ahead):,.0f} seconds {which} ours"


class Lookout:
    """Looks at every feed of the settings; keeps its connections to the sources until closed."""

    def __init__(self, settings: TwinSettings) -> None:
        """Raises TwinError when the url of a source is none."""
        self._readers: dict[str, psycopg.Connection] = {}
        self._rest: dict[str, float] = {}
        self.go_by(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def go_by(self, settings: TwinSettings) -> None:
        """Follow from now on what these settings follow."""
        self._settings = settings
        self._feeds = feeds(settings)
        self._rest.clear()

    def look(self, own: psycopg.Connection) -> tuple[Look, ...]:
        """Bring over what every source holds now; one that fails is told and rests for a while.

        Raises psycopg's errors of the twin's own database alone.
        """
        looks = [self._look(own, feed) for feed in self._feeds]
        return (*looks, *self._retire(own))

    def close(self) -> None:
        """Leave every source."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _look(self, own: psycopg.Connection, feed: Feed) -> Look:
        if self._rests(feed.name):
            return Look(feed.name, None, "it rests after a failure")
        try:
            reader = self._readers.get(feed.name)
            if reader is None or reader.closed:
                reader = self._readers[feed.name] = reading(feed, own)
            return Look(feed.name, drain(own, reader, self._settings, feed))
        except Busy as error:
            return Look(feed.name, None, str(error), busy=True)
        except TwinError as error:
            return self._failed(own, feed, error)

    def _retire(self, own: psycopg.Connection) -> list[Look]:
        """Feeds that stand open here and that the settings follow no longer."""
        left = capture_store.still_open(own, [feed.name for feed in self._feeds])
        own.rollback()
        named = named_databases(self._settings) if left else {}
        looks = []
        for name, problem in left.items():
            if self._rests(name):
                continue
            if name not in named:
                if not problem:
                    looks.append(self._out_of_reach(own, name))
                continue
            try:
                looks.append(Look(name, None, retire(own, named[name])))
            except Busy as error:
                looks.append(Look(name, None, str(error), busy=True))
            except TwinError as error:
                looks.append(self._failed(own, named[name], error))
        return looks

    def _out_of_reach(self, own: psycopg.Connection, name: str) -> Look:
        words = (
            "it is followed no longer and twin.toml names no url for it; run `twin follow --stop "
            f"{name} --url postgresql://…`, or its server keeps its log for a reader that never "
            "comes"
        )
        capture_store.complain(own, name, words)
        own.commit()
        return Look(name, None, words)

    def _rests(self, name: str) -> bool:
        return time.monotonic() < self._rest.get(name, 0.0)

    def _failed(self, own: psycopg.Connection, feed: Feed, error: TwinError) -> Look:
        self._rest[feed.name] = time.monotonic() + RETRY_SECONDS
        reader = self._readers.pop(feed.name, None)
        if reader is not None:
            reader.close()
        own.rollback()
        capture_store.failed(own, feed, str(error))
        own.commit()
        return Look(feed.name, None, str(error))
