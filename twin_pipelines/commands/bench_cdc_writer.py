"""Who writes into the source of `twin bench cdc`, and who watches what arrives."""

from __future__ import annotations

import random
import statistics
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psycopg

CHANGES_A_SECOND = 130
SIZES = (1,) * 12 + (2, 3, 5, 8, 20, 100, 1_000)  # rows of a transaction
INSERTED, EDITED = 0.80, 0.15  # shares; the rest is deleted
WATCHED = 0.2  # of the inserted rows, whose way is timed
LOOK_SECONDS = 0.05
DISTURBED_SECONDS = 30.0  # after a kill, in which nothing is timed
_TEXT = (
    "today I went home and made tea with lemon while the rain fell and my sister called about her "
    "new job in the city คิดถึงนะ วันนี้เหนื่อยมาก กินข้าวหรือยัง ไปเที่ยวกันไหม ฝันดีนะคะ"
)
_WORDS = _TEXT.split()


def create_table(url: str) -> None:
    """The companion's table of conversations, empty."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create table conversations (conversation_id uuid primary key, session_id text, "
            "speaker text, message_text text, created_at timestamptz)"
        )


class Writer:
    """Writes into the source, in a thread, while it is not paused; waits for a server that died."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._dice = random.Random(11)
        self._known: list[str] = []
        self._connection: psycopg.Connection | None = None
        self._going = threading.Event()
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.committed: dict[str, float] = {}  # identity → when, of rows whose way is timed
        self.deleted: set[str] = set()  # identities, from before their deletion is committed
        self._rows = {"insert": 0, "update": 0, "delete": 0}
        self._seconds = 0.0

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
        self._going.set()
        self._thread.join(10)
        self.close()

    def close(self) -> None:
        """Leave the source."""
        if self._connection is not None:
            self._connection.close()

    def resume(self) -> None:
        """Go on writing."""
        self._going.set()

    def pause(self) -> None:
        """Stop writing after the present transaction."""
        self._going.clear()
        with self._guard:
            pass

    def say_one(self) -> None:
        """One message, timed."""
        with self._guard:
            self._insert(1, timed=True)

    def begin(self) -> None:
        """A few messages of both speakers, not timed."""
        self._insert(20, timed=False)

    def burst(self, rows: int) -> None:
        """So many messages in transactions of a thousand, not timed."""
        for _ in range(rows // 1_000):
            self._insert(1_000, timed=False)

    def empty(self) -> None:
        """Delete everything."""
        self._connected().execute("truncate conversations")
        self._known.clear()

    def figures(self) -> dict[str, Any]:
        """What was written while it went on."""
        changes = sum(self._rows.values())
        return {
            "changes": changes,
            "changes_per_s": round(changes / max(self._seconds, 1e-9), 1),
            **{f"rows_{kind}": number for kind, number in self._rows.items()},
        }

    def _work(self) -> None:
        while not self._over.is_set():
            self._going.wait()
            if self._over.is_set():
                return
            begun = time.monotonic()
            with self._guard:
                size = self._dice.choice(SIZES)
                try:
                    self._change(size)
                except psycopg.OperationalError:
                    self._connection = None
                    time.sleep(0.5)
                    continue
            time.sleep(max(0.0, size / CHANGES_A_SECOND - (time.monotonic() - begun)))
            self._seconds += time.monotonic() - begun

    def _change(self, size: int) -> None:
        kind = self._dice.random()
        if kind < INSERTED or len(self._known) < 1_000:
            self._insert(size, timed=self._dice.random() < WATCHED or size > 1)
            self._rows["insert"] += size
            return
        chosen = self._dice.sample(self._known, min(size, len(self._known) // 4))
        with self._connected() as connection, connection.transaction():
            if kind < INSERTED + EDITED:
                connection.execute(
                    "update conversations set message_text = message_text || ' edited' "
                    "where conversation_id = any(%s::uuid[])",
                    [chosen],
                )
                self._rows["update"] += len(chosen)
            else:
                self.deleted |= set(chosen)
                connection.execute(
                    "delete from conversations where conversation_id = any(%s::uuid[])", [chosen]
                )
                self._rows["delete"] += len(chosen)
                gone = set(chosen)
                self._known = [key for key in self._known if key not in gone]

    def _insert(self, size: int, *, timed: bool) -> None:
        keys = [str(uuid4()) for _ in range(size)]
        rows = [
            (
                key,
                f"session {self._dice.randrange(200)}" if key != keys[-1] else key,
                self._dice.choice(("angela", "david")),
                " ".join(self._dice.choices(_WORDS, k=8)) + f" {key[:8]}",
                datetime.now(UTC),
            )
            for key in keys
        ]
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany("insert into conversations values (%s, %s, %s, %s, %s)", rows)
        self._known += keys
        if timed:
            self.committed[keys[-1]] = time.monotonic()

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
        return self._connection


class Watcher:
    """Sees in the twin's database when timed messages landed and when they can be retrieved.

    A timed message stands in a conversation of its own, so its turn has its identity. One that is
    deleted may never be seen here: it can go before it landed.
    """

    def __init__(self, url: str, writer: Writer) -> None:
        self._url = url
        self._writer = writer
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._landed: dict[str, float] = {}
        self._found: dict[str, float] = {}
        self._timed: tuple[list[float], list[float]] = ([], [])
        self._disturbances: list[float] = []

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
        self._thread.join(10)

    def disturb(self) -> None:
        """Something is being killed now: what is on its way is not timed."""
        self._disturbances.append(time.monotonic())

    def missing(self) -> dict[str, bool]:
        """Messages that were timed, not deleted since, and cannot be retrieved; whether each of
        them landed."""
        due = set(self._writer.committed) - self._writer.deleted - set(self._found)
        return {key: key in self._landed for key in due}

    def start_anew(self) -> None:
        """Forget the lags that were timed so far."""
        self._timed = ([], [])

    def worst(self) -> float:
        """The longest time until a message could be retrieved, seconds."""
        return round(max(self._timed[1], default=float("nan")), 3)

    def figures(self) -> dict[str, Any]:
        """Lags, seconds."""
        landed, found = percentiles(self._timed[0]), percentiles(self._timed[1])
        return {
            "timed": len(self._timed[1]),
            "deleted_before_they_landed": len(
                set(self._writer.committed) & self._writer.deleted - set(self._landed)
            ),
            "landed_p50_s": landed[0],
            "landed_p95_s": landed[1],
            "retrievable_p50_s": found[0],
            "retrievable_p95_s": found[1],
        }

    def _work(self) -> None:
        connection: psycopg.Connection | None = None
        while not self._over.is_set():
            try:
                if connection is None:
                    connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
                self._look(connection)
            except psycopg.OperationalError:
                connection = None
            time.sleep(LOOK_SECONDS)
        if connection:
            connection.close()

    def _look(self, connection: psycopg.Connection) -> None:
        pending = [
            key
            for key in list(self._writer.committed)
            if key not in self._found and key not in self._writer.deleted
        ]
        if not pending:
            return
        rows = connection.execute(
            """
            select key, raw.id is not null, entry.entry_id is not null
            from unnest(%s::text[]) as key
            left join raw_messages as raw
                on raw.source = 'companion' and raw.source_message_id = key
            left join search_entries as entry on entry.message_id = raw.id
            """,
            [pending],
        ).fetchall()
        now = time.monotonic()
        for key, landed, found in rows:
            if landed and key not in self._landed:
                self._landed[key] = now
                self._time(0, key, now)
            if found:
                self._found[key] = now
                self._time(1, key, now)

    def _time(self, which: int, key: str, now: float) -> None:
        committed = self._writer.committed[key]
        if not any(
            moment - DISTURBED_SECONDS < committed < moment + DISTURBED_SECONDS
            for moment in self._disturbances
        ):
            self._timed[which].append(now - committed)


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 95th percentile, in seconds with three digits; not numbers of too few."""
    if len(seconds) < 2:
        return float("nan"), float("nan")
    cuts = statistics.quantiles(seconds, n=20)
    return round(statistics.median(seconds), 3), round(cuts[-1], 3)
