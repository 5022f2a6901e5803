"""Source databases followed live: what changes there can be found here within seconds.

The same reading and the same rooms as a run of the graph, for the days that were touched alone:
turns, vectors, search index. Pairs, memories and persona wait for the run that `follow_sources`
asks for; the days stay queued for it. Landing and deriving have connections of their own, so that
they can go on side by side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import psycopg

from twin_pipelines.automation import store
from twin_pipelines.automation.following import stretches
from twin_pipelines.embeddings.refresh import refresh
from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.database import connect
from twin_pipelines.retrieval.index.refresh import Step, index_queued
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.looking import Look, Lookout

if TYPE_CHECKING:
    from twin_pipelines.embeddings.encoder import Encoder

# What is indexed before it is looked at what came meanwhile: most of it what came last, so that one
# message does not wait for a thousand before it, and some of what has waited longest.
STEPS = (Step(192), Step(48, oldest=True))
REST = 1.0  # times what cleaning took, before days are cleaned again while more is to be indexed
OWED_SECONDS = 20.0  # after which vectors of turns are made though there is more to derive


class Due:
    """Days that were touched and are not derived yet, shared between two threads."""

    def __init__(self) -> None:
        self._days: set[date] = set()
        self._guard = threading.Lock()
        self._any = threading.Event()

    def add(self, days: Iterable[date]) -> None:
        """Days that are to be derived."""
        with self._guard:
            self._days |= set(days)
            if self._days:
                self._any.set()

    def take(self, seconds: float = 0.0) -> set[date]:
        """All of them, which is then none; waits so long for the first one."""
        self._any.wait(seconds)
        with self._guard:
            taken, self._days = self._days, set()
            self._any.clear()
        return taken


class Landing:
    """Brings over what the sources hold, look by look, and notes the days that this touches."""

    def __init__(self, settings: TwinSettings, url: str, due: Due) -> None:
        """Days that were touched before and are queued still are due at the first look."""
        self._lookout = Lookout(settings)
        self._url = url
        self._due = due
        self._reached: dict[str, str] = {}
        self._own: psycopg.Connection | None = None

    def go_by(self, settings: TwinSettings) -> None:
        """Follow from now on what these settings follow."""
        self._lookout.go_by(settings)

    def look(self) -> tuple[Look, ...]:
        """Bring over what every source holds now; one that fails is told and rests for a while.

        Raises TwinError when the twin's own database cannot be reached.
        """
        try:
            own = self._connected()
            looks = self._lookout.look(own)
            for one in looks:
                self._note(own, one)
        except psycopg.OperationalError as error:
            self._hang_up()
            raise TwinError(f"The twin's database broke off: {_reason(error)}") from error
        return looks

    def close(self) -> None:
        """Leave every database."""
        self._hang_up()
        self._lookout.close()

    def _connected(self) -> psycopg.Connection:
        if self._own is None or self._own.closed:
            self._own = connect(self._url)
            self._note_queued(self._own)
        return self._own

    def _hang_up(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None

    def _note(self, own: psycopg.Connection, seen: Look) -> None:
        """The days of a look are due; those that another reader brought in between are, too."""
        done = seen.drained
        if seen.busy or (done and self._reached.get(seen.feed, done.begun) != done.begun):
            self._note_queued(own)
        if done:
            self._due.add(done.days)
            self._reached[seen.feed] = done.position

    def _note_queued(self, own: psycopg.Connection) -> None:
        own.rollback()
        self._due.add(capture_store.touched(own)["day"].to_list())
        own.rollback()


@dataclass
class Derived:
    """What was made of touched days: turns by day, new entries of the index, and the seconds.

    `left`: there is more to index.
    """

    turns: dict[date, int] = field(default_factory=dict)
    left: bool = False
    indexed: int = 0
    seconds: float = 0.0


class Deriving:
    """Makes what landed findable; the vectors of the turns alone, which nobody waits for, later."""

    def __init__(self, settings: TwinSettings, url: str, encoder: Encoder) -> None:
        self._settings = settings
        self._url = url
        self._encoder = encoder
        self._own: psycopg.Connection | None = None
        self._touched: set[date] = set()
        self._clean_from = 0.0
        self._left = False
        self._owed: set[date] = set()
        self._owed_since = 0.0

    def derive(self, days: set[date]) -> Derived:
        """Turns of these days, and of those a session runs into; then STEPS of the search index.

        Raises TwinError when the twin's own database cannot be reached; the days are to be derived
        again then.
        """
        begun = time.monotonic()
        with self._connected() as own:
            made = self._derive(own, days)
        made.seconds = time.monotonic() - begun
        return made

    @property
    def caught_up(self) -> bool:
        """Whether the vectors of all turns that were derived are made."""
        return not self._owed

    @property
    def owes(self) -> bool:
        """Whether vectors of turns are due, whatever else is."""
        return bool(self._owed) and time.monotonic() - self._owed_since > OWED_SECONDS

    def catch_up(self) -> int:
        """Make the vectors of the turns that were derived; how many there were.

        Raises TwinError when the twin's own database cannot be reached; they are owed still then.
        """
        if not self._owed:
            return 0
        with self._connected() as own:
            made = sum(
                refresh(own, stretch, self._encoder, _silent).turns
                for stretch in stretches(self._owed)
            )
        self._owed.clear()
        return made

    def close(self) -> None:
        """Leave the database."""
        if self._own is not None:
            self._own.close()
            self._own = None

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        try:
            if self._own is None or self._own.closed:
                self._own = connect(self._url)
            yield self._own
        except psycopg.OperationalError as error:
            self.close()
            raise TwinError(f"The twin's database broke off: {_reason(error)}") from error

    def _derive(self, own: psycopg.Connection, days: set[date]) -> Derived:
        made = Derived()
        self._touched |= days
        if self._touched and not (self._left and time.monotonic() < self._clean_from):
            made.turns = self._clean(own)
        for step in STEPS:
            indexed = index_queued(own, self._encoder, step=step)
            made.left = indexed.left
            made.indexed += indexed.turns + indexed.memories
        own.commit()
        self._left = made.left
        made.left = bool(made.left or self._touched)
        return made

    def _clean(self, own: psycopg.Connection) -> dict[date, int]:
        """Turns of the touched days, and of those a session runs into: how many each has."""
        begun = time.monotonic()
        pause = self._settings.cleaning.session_pause_minutes
        touched = {*self._touched, *store.days_run_into(own, sorted(self._touched), pause)}
        own.rollback()
        turns: dict[date, int] = {}
        for stretch in stretches(touched):
            refreshed = refresh_days(own, self._settings, stretch)
            turns |= dict(refreshed.days.select("day", "turns").iter_rows())
        if not self._owed:
            self._owed_since = time.monotonic()
        self._owed |= touched
        self._touched.clear()
        self._clean_from = time.monotonic() + REST * (time.monotonic() - begun)
        return turns


def _silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def _reason(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or ["the connection was lost"])[0]
