"""Who writes on a side of `twin bench sync`."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import psycopg

INSERTED, EDITED, SHARED = 0.40, 0.40, 0.10  # shares of changes; the rest is deleted
PAUSE_SECONDS = 0.004  # between two transactions of a writer
SIZES = (1,) * 8 + (2, 5, 20)  # rows of a transaction
HOT = 200  # rows that both sides change again and again


def create_table(url: str) -> None:
    """The companion's table, empty."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create table conversations (conversation_id uuid primary key, message_text text, "
            "origin text, updated_at timestamptz not null)"
        )


@dataclass
class Known:
    """What was committed on either side: the versions of each row, and which were deleted."""

    guard: threading.Lock = field(default_factory=threading.Lock)
    keys: list[UUID] = field(default_factory=list)
    offered: list[UUID] = field(default_factory=list)  # to be inserted by the other side too
    shared: set[UUID] = field(default_factory=set)  # inserted on both sides, never deleted
    latest: dict[UUID, tuple[datetime, str, str]] = field(default_factory=dict)
    deleted: set[UUID] = field(default_factory=set)

    def wrote(self, rows: Iterable[Sequence[Any]]) -> None:
        """Note versions that were committed: key, time, origin, text."""
        with self.guard:
            for key, *version in rows:
                found = (version[0], version[1], version[2])
                if key not in self.latest:
                    self.keys.append(key)
                self.latest[key] = max(found, self.latest.get(key, found))

    def expected(self) -> dict[UUID, tuple[datetime, str, str]]:
        """The rows as both sides should have them."""
        return {key: row for key, row in self.latest.items() if key not in self.deleted}


class Writer:
    """Writes on one side in a thread, from `with` to its end."""

    def __init__(self, url: str, origin: str, known: Known) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._origin = origin
        self._known = known
        self._dice = random.Random(origin)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.error: psycopg.Error | None = None
        self.deadlocks = 0
        self.rows = {"insert": 0, "update": 0, "delete": 0}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(30)
        self._connection.close()

    def insert(self, number: int) -> None:
        """So many new rows in one transaction."""
        self._insert([uuid4() for _ in range(number)])

    def _work(self) -> None:
        try:
            while not self._over.is_set():
                try:
                    self._change(self._dice.random(), self._dice.choice(SIZES))
                except psycopg.errors.DeadlockDetected:
                    self.deadlocks += 1  # with what arrives; it was rolled back
                time.sleep(PAUSE_SECONDS)
        except psycopg.Error as error:
            self.error = error  # told by the one who started it

    def _change(self, kind: float, size: int) -> None:
        if kind < INSERTED:
            self.insert(size)
        elif kind < INSERTED + EDITED:
            self._edit(size)
        elif kind < INSERTED + EDITED + SHARED:
            self._insert_shared()
        else:
            self._delete(size)

    def _insert(self, keys: list[UUID]) -> None:
        texts = [f"{self._origin} says {self._dice.random()}" for _ in keys]
        found = self._connection.execute(
            """
            insert into conversations
            select key, text, %s, clock_timestamp()
            from unnest(%s::uuid[], %s::text[]) as one (key, text)
            on conflict do nothing
            returning conversation_id, updated_at, origin, message_text
            """,
            (self._origin, keys, texts),
        ).fetchall()
        self._known.wrote(found)
        self.rows["insert"] += len(found)

    def _insert_shared(self) -> None:
        """A row of a key that the other side inserts as well, at about the same time."""
        with self._known.guard:
            if self._known.offered:
                keys = [self._known.offered.pop()]
            else:
                keys = [uuid4()]
                self._known.offered += keys
                self._known.shared |= set(keys)
        self._insert(keys)

    def _edit(self, size: int) -> None:
        with self._known.guard:
            keys = self._known.keys[:HOT] if self._dice.random() < 0.7 else self._known.keys[-HOT:]
        chosen = self._dice.sample(keys, min(size, len(keys)))
        found = self._connection.execute(
            """
            update conversations set message_text = %s, origin = %s, updated_at = now()
            where conversation_id = any(%s::uuid[])
            returning conversation_id, updated_at, origin, message_text
            """,
            (f"{self._origin} edits {self._dice.random()}", self._origin, sorted(chosen)),
        ).fetchall()
        self._known.wrote(found)
        self.rows["update"] += len(found)

    def _delete(self, size: int) -> None:
        with self._known.guard:
            keys = self._known.keys[HOT // 2 :]
            chosen = self._dice.sample(keys, min(size, len(keys)))
            chosen = [key for key in chosen if key not in self._known.shared]
        found = self._connection.execute(
            "delete from conversations where conversation_id = any(%s::uuid[]) "
            "returning conversation_id",
            [sorted(chosen)],
        ).fetchall()
        with self._known.guard:
            self._known.deleted |= {key for (key,) in found}
        self.rows["delete"] += len(found)
