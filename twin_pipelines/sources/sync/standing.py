"""How a sync stands: what is behind, what keeps it from working, and whether both sides agree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from twin_pipelines.settings import SyncTable
from twin_pipelines.sources import reconciliation_store
from twin_pipelines.sources.reconciliation import differences, differing_keys, lasting
from twin_pipelines.sources.sync import blocked, decision_store, replication_store, table_store
from twin_pipelines.sources.sync.pair import Pair, Side, SideName
from twin_pipelines.sources.sync.replication_store import SubscriptionStanding
from twin_pipelines.sources.sync.table_store import Table

MOST_SKEW_MS = 1_000.0  # of two clocks, before it is told
WORKER_SECONDS = 8.0  # in which a worker that failed is begun again, and shows whether it stays
LOOK_SECONDS = 0.3
SETTLE_SECONDS = 3.0  # between two comparisons: what is on its way then arrives
SHOWN_KEYS = 5


@dataclass(frozen=True)
class Direction:
    """One half of a sync: what is written on `giver` and taken over by the other side."""

    giver: SideName
    running: bool
    lag_bytes: int
    errors: int
    problem: str = ""


@dataclass(frozen=True)
class Standing:
    """How a sync stands. `problems` are sentences with their remedy."""

    directions: tuple[Direction, Direction]
    skew_ms: float
    problems: tuple[str, ...]

    @property
    def stuck(self) -> tuple[str, ...]:
        """What keeps a direction from working."""
        return tuple(one.problem for one in self.directions if one.problem)


@dataclass(frozen=True)
class Difference:
    """Rows of a table that lastingly differ; `keys` are the first of them."""

    table: str
    only_local: int
    only_remote: int
    unequal: int
    days: int
    keys: tuple[str, ...] = field(default=())

    @property
    def rows(self) -> int:
        return self.only_local + self.only_remote + self.unequal


def standing(pair: Pair) -> Standing:
    """Both directions, both clocks and what setup made. Reads only."""
    directions = (_direction(pair.local, pair.remote), _direction(pair.remote, pair.local))
    skew = replication_store.clock_ahead_ms(pair.remote) - replication_store.clock_ahead_ms(
        pair.local
    )
    problems = [one.problem for one in directions if one.problem]
    for side in pair.sides:
        problems += _lacking(side, pair.tables)
    if abs(skew) > MOST_SKEW_MS:
        ahead, behind = ("remote", "local") if skew > 0 else ("local", "remote")
        problems.append(
            f"The clock of the {ahead} server is {abs(skew) / 1_000:.1f} s ahead of the {behind} "
            "one, so its changes win over later ones; set both by a time service (chrony, ntp)."
        )
    return Standing(directions, skew, tuple(problems))


def compare(pair: Pair, *, looks: int = 2) -> list[Difference]:
    """Compare all tables row by row; what was on its way is looked at again and not told.

    Tables that are the same on both sides are left out. Days are those of the last change, in UTC.
    """
    found = []
    for wanted in pair.tables:
        table = table_store.described(pair.local.connection, wanted.table)
        if table is None:
            continue
        one = _compare(pair, wanted, table, looks)
        if one is not None:
            found.append(one)
    return found


def _compare(pair: Pair, wanted: SyncTable, table: Table, looks: int) -> Difference | None:
    days = _differing_days(pair, wanted, table)
    keys = _differing_rows(pair, wanted, table, days) if days else None
    for _ in range(looks - 1):
        if keys is None or keys.is_empty():
            return None
        time.sleep(SETTLE_SECONDS)
        days = _differing_days(pair, wanted, table)
        keys = lasting(keys, _differing_rows(pair, wanted, table, days))
    if keys is None or keys.is_empty():
        return None
    numbers = dict(keys.group_by("found").len().iter_rows())
    return Difference(
        wanted.table,
        numbers.get("here", 0),
        numbers.get("there", 0),
        numbers.get("both", 0),
        len(days),
        tuple(keys["key"].head(SHOWN_KEYS)),
    )


def _differing_days(pair: Pair, wanted: SyncTable, table: Table) -> list[date | None]:
    compared = table.compared(wanted.updated_at)
    both = [reconciliation_store.digests(side.connection, compared) for side in pair.sides]
    return differences(*both)["day"].to_list()


def _differing_rows(
    pair: Pair, wanted: SyncTable, table: Table, days: Sequence[date | None]
) -> pl.DataFrame:
    compared = table.compared(wanted.updated_at)
    both = [
        reconciliation_store.fingerprints(side.connection, compared, days) for side in pair.sides
    ]
    return differing_keys(*both)


def _direction(giver: Side, reader: Side) -> Direction:
    slot = replication_store.slot_standing(giver)
    subscription = replication_store.subscription_standing(reader)
    lag = slot.lag_bytes if slot else 0
    again = "run twin sync setup, which makes it anew and mends what differs"
    if slot is None or subscription is None:
        what = "slot" if slot is None else "subscription"
        problem = f"The {what} for what {giver.name} writes is missing; {again}."
        return Direction(giver.name, False, lag, 0, problem)
    if slot.wal_status == "lost":
        problem = (
            f"The server of {giver.place} ({giver.name}) has thrown away log that was not taken "
            f"over (max_slot_wal_keep_size); {again}."
        )
        return Direction(giver.name, False, lag, subscription.errors, problem)
    if not subscription.enabled:
        problem = (
            f"What {giver.name} writes is not taken over because the subscription is switched off; "
            f"run in {reader.place}: alter subscription {reader.subscription} enable;"
        )
        return Direction(giver.name, False, lag, subscription.errors, problem)
    if _stays(reader, subscription):
        return Direction(giver.name, True, lag, subscription.errors)
    errors = subscription.errors
    return Direction(giver.name, False, lag, errors, _fallen(giver, reader, errors))


def _stays(side: Side, first: SubscriptionStanding) -> bool:
    """Whether the worker runs; one that failed once, as by a deadlock, is waited for."""
    seen: SubscriptionStanding | None = first
    running = None
    end = time.monotonic() + WORKER_SECONDS
    while seen is not None and time.monotonic() < end:
        if seen.pid is not None and (seen.pid == running or not seen.errors):
            return True
        if seen.errors > first.errors:
            return False
        running = seen.pid
        time.sleep(LOOK_SECONDS)
        seen = replication_store.subscription_standing(side)
    return False


def _fallen(giver: Side, reader: Side, errors: int) -> str:
    """Why a worker does not stay: an error of its own, or no way to the other server."""
    if errors:
        return blocked.words(reader, blocked.stuck(reader, giver))
    return (
        f"What {giver.name} writes is not taken over: the server of {reader.place} has no worker "
        f"for it, as it does not reach the {giver.name} one (see its log; name "
        f"{giver.name}_from_{reader.name} under [sync]) or has none left; raise its "
        "max_logical_replication_workers and max_worker_processes."
    )


def _lacking(side: Side, tables: Sequence[SyncTable]) -> list[str]:
    """What setup made on a side and is no longer there."""
    if not decision_store.furnished(side):
        return [f"The sync is not set up in {side.place} ({side.name}); run twin sync setup."]
    triggered = decision_store.triggered_tables(side)
    lacking = []
    for wanted in tables:
        table = table_store.described(side.connection, wanted.table)
        if table is None or (table.schema, table.relation) not in triggered:
            lacking.append(wanted.table)
    if not lacking:
        return []
    return [
        f"The trigger that decides who wrote last is missing on {', '.join(lacking)} in "
        f"{side.place} ({side.name}); run twin sync setup."
    ]
