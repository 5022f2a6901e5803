"""`twin bench sync`: two servers in two-way sync, written to on both sides at once.

Writers of both sides insert rows, change the same rows, insert rows of one key on both sides, and
delete. At the end both sides are compared with each other and with what the writers committed: the
latest version of every row that nobody deleted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from twin_pipelines.commands.bench_sync_writer import Known, Writer, create_table
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.foundation.server import open_server
from twin_pipelines.settings import Sync, SyncTable, TwinError, TwinSettings
from twin_pipelines.sources.sync import store
from twin_pipelines.sources.sync.pair import Pair, Side, opened
from twin_pipelines.sources.sync.setup import set_up, take_down
from twin_pipelines.sources.sync.standing import standing
from twin_pipelines.sources.sync.watch import look

SETTLE_SECONDS = 120.0
QUIET_SECONDS = 3.0  # in which nothing may be written any more
BEFORE = 2_000  # rows of each side before the sync
DATABASE = "companion"

Tell = Callable[[str], None]


def sync(minutes: float, tell: Tell) -> dict[str, Any]:
    """Figures of one measurement. Raises TwinError when a writer failed."""
    with ExitStack() as stack:
        settings = stack.enter_context(_servers())
        pair = stack.enter_context(opened(settings.sync))
        known = Known()
        writers = [
            Writer(url, side.name, known)
            for url, side in zip(_urls(settings.sync), pair.sides, strict=True)
        ]
        for writer in writers:
            writer.insert(BEFORE)
        begun = time.monotonic()
        merged = set_up(pair, tell)
        figures: dict[str, Any] = {
            "minutes": minutes,
            "rows_made_the_same_before": merged[0].differed,
            "set_up_s": round(time.monotonic() - begun, 2),
        }
        lags = _write(pair, writers, minutes, tell)
        figures |= _written(writers, lags) | {"settled_s": _settle(pair)}
        figures |= _quiet(pair) | _compared(settings, pair, known)
        take_down(settings.sync)
        figures["left_after_stop"] = _left(pair)
    return figures


@contextmanager
def _servers() -> Iterator[TwinSettings]:
    """Two servers with an empty table each, and settings that name them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twin-sync-")))
        folder.chmod(0o755)
        urls = []
        for name in ("local", "remote"):
            home = folder / name
            home.mkdir()
            server = stack.enter_context(open_server(TwinSettings(home=home)))
            with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
                administrator.execute(f"create database {DATABASE}")
            create_table(server.url(DATABASE))
            urls.append(server.url(DATABASE))
        table = SyncTable(table="conversations", origin="origin")
        chosen = Sync(local=urls[0], remote=urls[1], tables=(table,))
        yield TwinSettings(home=folder / "local", sync=chosen)


def _urls(chosen: Sync) -> tuple[str, str]:
    return chosen.local, chosen.remote


def _write(pair: Pair, writers: list[Writer], minutes: float, tell: Tell) -> list[int]:
    """Let both write; the bytes that were behind, now and then."""
    lags: list[int] = []
    with ExitStack() as stack:
        for writer in writers:
            stack.enter_context(writer)
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            time.sleep(min(5.0, max(0.0, end - time.monotonic())))
            lags += [one.lag_bytes for one in standing(pair).directions]
            rows = sum(sum(writer.rows.values()) for writer in writers)
            tell(f"{rows:,} rows written, {max(lags[-2:]):,} bytes behind")
    for writer in writers:
        if writer.error is not None:
            raise TwinError(f"A writer of the benchmark failed ({writer.error}); run it again.")
    return lags


def _written(writers: list[Writer], lags: list[int]) -> dict[str, Any]:
    rows = {
        f"rows_{kind}": sum(writer.rows[kind] for writer in writers) for kind in writers[0].rows
    }
    deadlocks = sum(writer.deadlocks for writer in writers)
    return rows | {"deadlocks": deadlocks, "most_bytes_behind": max(lags, default=0)}


def _settle(pair: Pair) -> float | None:
    """Seconds until both sides hold as many rows and the same ones; None: they never did."""
    begun = time.monotonic()
    while time.monotonic() - begun < SETTLE_SECONDS:
        if _rows(pair, 0) == _rows(pair, 1):
            return round(time.monotonic() - begun, 2)
        time.sleep(0.2)
    return None


def _quiet(pair: Pair) -> dict[str, Any]:
    """Rows that are still written after nobody writes: a loop would go on."""
    before = [_versions(side) for side in pair.sides]
    time.sleep(QUIET_SECONDS)
    after = [_versions(side) for side in pair.sides]
    number = sum(len(one ^ other) for one, other in zip(before, after, strict=True))
    return {"rows_written_by_loops": number}


def _versions(side: Side) -> set[tuple[Any, ...]]:
    """Every row's key and the transaction that wrote it."""
    return set(
        side.connection.execute("select conversation_id, xmin::text from conversations").fetchall()
    )


def _compared(settings: TwinSettings, pair: Pair, known: Known) -> dict[str, Any]:
    """Rows that differ between both sides, and from the latest version that was committed."""
    local, remote = _rows(pair, 0), _rows(pair, 1)
    expected = known.expected()
    with open_databases(settings) as databases, connect(databases.twin) as own:
        seen = look(own, settings.sync, compared=True)
        conflicts = store.summary(own)[0]["conflicts"]
    return {
        "rows": len(local),
        "differing_rows": len(set(local.items()) ^ set(remote.items())),
        "not_the_latest_version": len(set(local.items()) ^ set(expected.items())),
        "conflicts_recorded": sum(conflicts.values()),
        "check_agrees": seen.agrees,
        "told": seen.words,
        "worker_errors": sum(one.errors for one in seen.standing.directions),
        "remote_clock_ahead_ms": round(seen.standing.skew_ms, 2),
    }


def _rows(pair: Pair, number: int) -> dict[Any, Any]:
    rows = pair.sides[number].connection.execute(
        "select conversation_id, updated_at, origin, message_text from conversations"
    )
    return {key: tuple(version) for key, *version in rows}


def _left(pair: Pair) -> int:
    """Slots, subscriptions, publications and triggers that are still there."""
    total = 0
    for side in pair.sides:
        row = side.connection.execute(
            "select (select count(*) from pg_replication_slots) "
            "+ (select count(*) from pg_subscription) + (select count(*) from pg_publication) "
            "+ (select count(*) from pg_trigger where not tgisinternal)"
        ).fetchone()
        assert row is not None
        total += row[0]
    return total
