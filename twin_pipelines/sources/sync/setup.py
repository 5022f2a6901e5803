"""Sets a sync up and takes it down; both may be repeated, also after a half-failed one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from twin_pipelines.settings import Sync, TwinError
from twin_pipelines.sources.sync import decision_store, fitness, replication_store
from twin_pipelines.sources.sync.merge import Merged, merge
from twin_pipelines.sources.sync.pair import (
    Pair,
    Side,
    SideName,
    configured,
    opened_side,
    sync_name,
)

SIDES: tuple[SideName, SideName] = ("local", "remote")


@dataclass(frozen=True)
class Removed:
    """What taking down left of one side. `kept`: rows that lost, in the sync's schema."""

    side: SideName
    kept: int
    problem: str = ""


def set_up(pair: Pair, tell: Callable[[str], None]) -> list[Merged]:
    """Keep two databases the same from now on, and make them the same now.

    The slots are made first, so that what is written while the tables are made the same is brought
    over afterwards. A sync that stands already is brought up to date and what differs is mended.
    Raises TwinError naming what to run; a new sync that failed half-way is taken down again.
    """
    slots = [replication_store.slot_standing(side) for side in pair.sides]
    begun = any(slots) or any(map(replication_store.subscription_standing, pair.sides))
    tables = fitness.check(pair, new=not begun)
    tell("Both servers and all tables are fit for it.")
    try:
        return _made(pair, tables, tell)
    except (TwinError, psycopg.Error) as error:
        if not begun:
            for side in pair.sides:
                with suppress(TwinError, psycopg.Error):  # the first failure is what is told
                    replication_store.unsubscribe(side)
            for side in pair.sides:
                with suppress(TwinError, psycopg.Error):
                    _strip(side)
        if isinstance(error, psycopg.errors.LockNotAvailable):
            raise TwinError(
                f"A table of the sync {pair.name} is locked by a long transaction; end it (select "
                "pid, query from pg_stat_activity where state <> 'idle') and run twin sync setup "
                "again."
            ) from error
        raise


def take_down(sync: Sync) -> list[Removed]:
    """Remove subscriptions, slots, publications, triggers and the schema on both sides.

    A side that cannot be reached does not keep the other one: what is left there is told.
    """
    configured(sync)
    found: dict[SideName, Removed] = {}
    for name in SIDES:  # first the readers, on both sides, so that no slot is in use
        try:
            with opened_side(sync, name) as side:
                replication_store.unsubscribe(side)
        except TwinError as error:
            found[name] = Removed(name, 0, f"{error} Then run twin sync stop again.")
    for name in SIDES:
        if name in found:
            continue
        try:
            with opened_side(sync, name) as side:
                found[name] = Removed(name, _strip(side))
        except TwinError as error:
            found[name] = Removed(name, 0, str(error))
        except psycopg.Error as error:
            words = (error.diag.message_primary or str(error)).rstrip(".")
            found[name] = Removed(
                name,
                0,
                f"{sync_name(sync)} could not be removed ({words}); run twin sync stop again.",
            )
    return [found[name] for name in SIDES]


def _made(pair: Pair, tables: fitness.Tables, tell: Callable[[str], None]) -> list[Merged]:
    for number, side in enumerate(pair.sides):
        chosen = [(wanted, tables[wanted.table][number]) for wanted in pair.tables]
        decision_store.furnish(side, chosen)
    for side, reader in (pair.sides, pair.sides[::-1]):
        standing = replication_store.slot_standing(side)
        if standing is None or standing.wal_status == "lost":
            replication_store.unsubscribe(reader)  # its position is not of the new slot
            replication_store.make_slot(side)
    tell("Triggers, publications and slots stand; comparing both sides.")
    merged = [merge(pair, wanted, tables[wanted.table]) for wanted in pair.tables]
    for side in pair.sides:
        replication_store.subscribe(side)
    return merged


def _strip(side: Side) -> int:
    replication_store.drop_slot(side)
    return decision_store.strip(side)
