"""Source databases followed live: what changes there can be found here within seconds.

The same reading and the same rooms as a run of the graph, for the days that were touched alone:
turns, vectors, search index. Pairs, memories and persona wait for the run that `follow_sources`
asks for; the days stay queued for it. Landing and deriving have connections of their own, so that
they can go on side by side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import psycopg

from twin_pipelines.automation import store
from twin_pipelines.automation.following import stretches
from twin_pipelines.embeddings.refresh import refresh
from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.database import connect
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.looking import Look, Lookout

if TYPE_CHECKING:
    from twin_pipelines.embeddings.encoder import Encoder

KEPT_VECTORS = 5_000  # of one derivation: 10 MB


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
    """What was made of touched days: turns by day, new vectors and entries, and the seconds."""

    turns: dict[date, int] = field(default_factory=dict)
    embedded: int = 0
    indexed: int = 0
    seconds: float = 0.0


class OneEncoding:
    """An encoder that makes the vector of a text once for the search index and the turns."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.model_id, self.dimensions = encoder.model_id, encoder.dimensions
        self._made: dict[str, np.ndarray] = {}

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """As the encoder does."""
        new = [text for text in dict.fromkeys(texts) if text not in self._made]
        if len(self._made) + len(new) > KEPT_VECTORS:
            return self._encoder.encode(texts, progress)
        if new:
            self._made |= zip(new, self._encoder.encode(new, progress), strict=True)
        shape = (len(texts), self.dimensions)
        return np.array([self._made[text] for text in texts], dtype=np.float32).reshape(shape)


class Deriving:
    """Makes what landed findable."""

    def __init__(self, settings: TwinSettings, url: str, encoder: Encoder) -> None:
        self._settings = settings
        self._url = url
        self._encoder = encoder
        self._own: psycopg.Connection | None = None

    def derive(self, days: set[date]) -> Derived:
        """Turns, vectors and search index of these days, and of those a session runs into.

        Raises TwinError when the twin's own database cannot be reached; the days are to be derived
        again then.
        """
        begun = time.monotonic()
        try:
            made = self._derive(self._connected(), days)
        except psycopg.OperationalError as error:
            self.close()
            raise TwinError(f"The twin's database broke off: {_reason(error)}") from error
        made.seconds = time.monotonic() - begun
        return made

    def close(self) -> None:
        """Leave the database."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _connected(self) -> psycopg.Connection:
        if self._own is None or self._own.closed:
            self._own = connect(self._url)
        return self._own

    def _derive(self, own: psycopg.Connection, days: set[date]) -> Derived:
        made = Derived()
        pause = self._settings.cleaning.session_pause_minutes
        after = store.days_run_into(own, sorted(days), pause)
        own.rollback()
        encoder = OneEncoding(self._encoder)
        touched = stretches({*days, *after})
        for stretch in touched:
            refreshed = refresh_days(own, self._settings, stretch)
            for row in refreshed.days.iter_rows(named=True):
                made.turns[row["day"]] = row["turns"]
        indexed = index_queued(own, encoder)
        own.commit()
        made.indexed = indexed.turns + indexed.memories
        for stretch in touched:
            made.embedded += refresh(own, stretch, encoder, _silent).turns
        return made


def _silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def _reason(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or ["the connection was lost"])[0]
