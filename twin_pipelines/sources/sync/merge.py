"""Makes two tables that differ the same, both ways: the later version of each row wins.

Used before the replication begins, and to mend what differs later. A row that is on one side alone
is brought to the other, unless the sync saw its deletion there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from twin_pipelines.settings import SyncTable
from twin_pipelines.sources import reconciliation_store
from twin_pipelines.sources.reconciliation import differences, differing_keys
from twin_pipelines.sources.sync import merge_store
from twin_pipelines.sources.sync.pair import Pair
from twin_pipelines.sources.sync.table_store import Table


@dataclass(frozen=True)
class Merged:
    """What making one table the same took: rows that differed, and rows brought or deleted."""

    table: str
    differed: int
    to_local: int
    to_remote: int
    deleted: int


def merge(pair: Pair, wanted: SyncTable, tables: tuple[Table, Table]) -> Merged:
    """Make a table the same on both sides. Each direction commits for itself; may be repeated."""
    local, remote = tables
    compared = local.compared(wanted.updated_at)
    sides = (pair.local.connection, pair.remote.connection)
    days = differences(*(reconciliation_store.digests(one, compared) for one in sides))
    chosen = days["day"].to_list()
    if not chosen:
        return Merged(wanted.table, 0, 0, 0, 0)
    keys = differing_keys(
        *(reconciliation_store.fingerprints(one, compared, chosen) for one in sides)
    )
    gone = _delete(pair, wanted, tables, keys)
    found = set(keys["found"].unique())
    to_remote = to_local = 0
    if found & {"here", "both"}:
        to_remote = merge_store.carry(pair.local, pair.remote, wanted, remote, chosen)
    if found & {"there", "both"}:
        to_local = merge_store.carry(pair.remote, pair.local, wanted, local, chosen)
    return Merged(wanted.table, keys.height, to_local, to_remote, gone)


def _delete(pair: Pair, wanted: SyncTable, tables: tuple[Table, Table], keys: pl.DataFrame) -> int:
    """Delete what the other side deleted while the sync ran; how many rows."""
    number = 0
    for side, table, found in zip(pair.sides, tables, ("here", "there"), strict=True):
        alone = keys.filter(pl.col("found") == found)["key"].to_list()
        versions: dict[str, datetime] = {}
        for one in pair.sides:
            for key, moment in merge_store.deleted(one, table, alone).items():
                versions[key] = max(moment, versions.get(key, moment))
        if versions:
            number += merge_store.delete_rows(side, wanted, table, versions)
    return number
