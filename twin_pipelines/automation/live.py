"""Source databases followed live: what changes there can be found here within seconds.

The same reading and the same rooms as a run of the graph, for the days that were touched alone:
turns, vectors, search index. Pairs, memories and persona wait for the run that `follow_sources`
asks for; the days stay queued for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import psycopg

from twin_pipelines.automation import store
from twin_pipelines.automation.following import Look, stretches
from twin_pipelines.embeddings.refresh import refresh
from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.database import connect
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.capture_store import Busy
from twin_pipelines.sources.capture.drain import drain, reading
from twin_pipelines.sources.capture.feeds import Feed, feeds

if TYPE_CHECKING:
    from twin_pipelines.embeddings.encoder import Encoder

RETRY_SECONDS = 5.0  # until a source that failed is tried again


@dataclass
class Derived:
    """What was made of the touched days: by day the turns, and entries of the index."""

    turns: dict[date, int] = field(default_factory=dict)
    embedded: int = 0
    indexed: int = 0


@dataclass(frozen=True)
class Step:
    """One look at every source, what was derived of it, and how long both took."""

    looks: tuple[Look, ...]
    derived: Derived
    seconds: float


class Live:
    """Follows the sources of the settings with connections of its own, step by step."""

    def __init__(self, settings: TwinSettings, url: str, encoder: Encoder) -> None:
        """Days that were touched before and are queued still are derived at the first step."""
        self._settings = settings
        self._url = url
        self._encoder = encoder
        self._feeds = feeds(settings)
        self._readers: dict[str, psycopg.Connection] = {}
        self._rest: dict[str, float] = {}
        self._own: psycopg.Connection | None = None
        self._due: set[date] = set()

    def step(self) -> Step:
        """Bring over what the sources hold and make it findable.

        A source that fails is told in its look and rests for a while. Raises TwinError when the
        twin's own database cannot be reached.
        """
        begun = time.monotonic()
        own = self._connected()
        try:
            looks = tuple(self._look(own, feed) for feed in self._feeds)
            for one in looks:
                self._due |= one.drained.days if one.drained else set()
            derived = self._derive(own)
        except psycopg.OperationalError as error:
            self._hang_up()
            raise TwinError(f"The twin's database broke off: {error}") from error
        return Step(looks, derived, time.monotonic() - begun)

    def close(self) -> None:
        """Leave every database."""
        self._hang_up()
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _connected(self) -> psycopg.Connection:
        if self._own is None or self._own.closed:
            self._own = connect(self._url)
            self._due = set(capture_store.touched(self._own)["day"].to_list())
            self._own.rollback()
        return self._own

    def _hang_up(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None

    def _look(self, own: psycopg.Connection, feed: Feed) -> Look:
        if time.monotonic() < self._rest.get(feed.name, 0.0):
            return Look(feed.name, None, "it rests after a failure")
        try:
            reader = self._readers.get(feed.name)
            if reader is None or reader.closed:
                reader = self._readers[feed.name] = reading(feed, own)
            return Look(feed.name, drain(own, reader, self._settings, feed))
        except Busy as error:
            return self._waits(own, feed, str(error))
        except TwinError as error:
            return self._failed(own, feed, str(error))
        except psycopg.OperationalError as error:
            if own.closed:
                raise
            reason = str(error).strip().splitlines()[0]
            words = f"The source of {feed.name} broke off: {reason}"
            return self._failed(own, feed, words)

    def _waits(self, own: psycopg.Connection, feed: Feed, words: str) -> Look:
        """Another process brings the changes over; what it touched is derived here as well."""
        own.rollback()
        self._due |= set(capture_store.touched(own)["day"].to_list())
        own.rollback()
        return Look(feed.name, None, words)

    def _failed(self, own: psycopg.Connection, feed: Feed, words: str) -> Look:
        self._rest[feed.name] = time.monotonic() + RETRY_SECONDS
        reader = self._readers.pop(feed.name, None)
        if reader is not None:
            reader.close()
        own.rollback()
        capture_store.failed(own, feed, words)
        own.commit()
        return Look(feed.name, None, words)

    def _derive(self, own: psycopg.Connection) -> Derived:
        made = Derived()
        pause = self._settings.cleaning.session_pause_minutes
        after = store.days_run_into(own, sorted(self._due), pause) if self._due else []
        own.rollback()
        for days in stretches({*self._due, *after}):
            refreshed = refresh_days(own, self._settings, days)
            for row in refreshed.days.iter_rows(named=True):
                made.turns[row["day"]] = row["turns"]
            made.embedded += refresh(own, days, self._encoder, _silent).turns
        if self._due:
            indexed = index_queued(own, self._encoder)
            own.commit()
            made.indexed = indexed.turns + indexed.memories
        self._due = set()
        return made


def _silent(_done: int, _total: int) -> None:
    """Nobody watches a step."""
