"""Whether two databases can be kept the same; what is missing is named with what to run."""

from __future__ import annotations

from itertools import zip_longest

from twin_pipelines.settings import SyncTable, TwinError
from twin_pipelines.sources.sync import table_store
from twin_pipelines.sources.sync.pair import Pair, Side
from twin_pipelines.sources.sync.table_store import Table

LEAST_VERSION = 160_000  # the first whose subscriptions know `origin`
Tables = dict[str, tuple[Table, Table]]


def check(pair: Pair, *, new: bool) -> Tables:
    """The tables of both sides by name, local first.

    `new`: slots are still to be made. Raises TwinError for the first thing that stands in the way.
    """
    for side in pair.sides:
        _check_server(side, new=new)
    found: Tables = {}
    for wanted in pair.tables:
        local, remote = (_check_table(side, wanted) for side in pair.sides)
        _check_same(pair, local, remote)
        _check_numbering(pair, local, remote)
        found[wanted.table] = (local, remote)
    return found


def _check_server(side: Side, *, new: bool) -> None:
    can = table_store.allowed(side.connection)
    where = f"The database {side.place} ({side.name})"
    if can.version < LEAST_VERSION:
        raise TwinError(
            f"{where} is PostgreSQL {can.version // 10_000}, whose subscriptions do not know "
            "origin = none; upgrade that server to 16 or newer."
        )
    if can.wal_level != "logical":
        raise TwinError(
            f"{where} cannot be synced: its wal_level is {can.wal_level}; run there: alter system "
            "set wal_level = 'logical'; and restart that server (a managed one has a switch for "
            "logical replication)."
        )
    lacking = [
        (can.replicates, f"alter role {can.user} replication;"),
        (can.subscribes, f"grant pg_create_subscription to {can.user};"),
        (can.creates, f"grant create on database {can.database} to {can.user};"),
    ]
    missing = [statement for held, statement in lacking if not held]
    if missing:
        raise TwinError(
            f"{where} does not let the user {can.user} set up a sync; let an administrator run "
            f"there: {' '.join(missing)}"
        )
    if new and can.free_slots < 1:
        raise TwinError(
            f"{where} has no replication slot left; raise its max_replication_slots, or drop one "
            "that nobody reads with select pg_drop_replication_slot('…');"
        )


def _check_table(side: Side, wanted: SyncTable) -> Table:
    where = f"{side.place} ({side.name})"
    table = table_store.described(side.connection, wanted.table)
    if table is None:
        raise TwinError(
            f"There is no table {wanted.table} in {where}; create it as it is on the other side "
            "(pg_dump --schema-only), or correct tables under [sync] in twin.toml."
        )
    name = table.name
    if not table.ordinary:
        raise TwinError(
            f"{name} of {where} is no ordinary table (a view or a partitioned one); name the "
            "tables it is made of under [sync] in twin.toml."
        )
    if not table.key:
        raise TwinError(
            f"The table {name} of {where} has no primary key, by which rows are told apart; run "
            f"there: alter table {name} add primary key (…);"
        )
    if not table.owned:
        raise TwinError(
            f"The table {name} of {where} belongs to {table.owner}, and only its owner may publish "
            f"it; run there: grant {table.owner} to {side.connection.info.user};"
        )
    types = {one.name: one.type for one in table.columns}
    kind = types.get(wanted.updated_at)
    if kind is None:
        raise TwinError(
            f"The table {name} of {where} has no column {wanted.updated_at} to decide by who wrote "
            f"last; run on both sides: alter table {name} add column {wanted.updated_at} "
            "timestamptz not null default now(); or name another one as updated_at."
        )
    if kind != "timestamp with time zone":
        raise TwinError(
            f"The column {wanted.updated_at} of {name} in {where} is {kind}, which cannot tell two "
            f"moments apart everywhere; run on both sides: alter table {name} alter column "
            f"{wanted.updated_at} type timestamptz;"
        )
    if wanted.origin and wanted.origin not in types:
        raise TwinError(
            f"The table {name} of {where} has no column {wanted.origin}; run there: alter table "
            f"{name} add column {wanted.origin} text default '{side.name}'; or leave origin out."
        )
    return table


def _check_same(pair: Pair, local: Table, remote: Table) -> None:
    here = {one.name: (one.type, one.written) for one in local.columns}
    there = {one.name: (one.type, one.written) for one in remote.columns}
    for name in [*here, *there]:
        if here.get(name) == there.get(name):
            continue
        side, column = (pair.remote, here[name]) if name in here else (pair.local, there[name])
        kind = column[0]
        verb = "alter column" if name in here and name in there else "add column"
        form = f"{verb} {name} {'type ' if verb == 'alter column' else ''}{kind}"
        raise TwinError(
            f"The table {local.name} is not the same on both sides: its column {name} is "
            f"{_kind(here.get(name))} on local and {_kind(there.get(name))} on remote; run in "
            f"{side.place}: alter table {local.name} {form};"
        )
    if local.key != remote.key:
        raise TwinError(
            f"The primary key of {local.name} is ({', '.join(local.key)}) on local and "
            f"({', '.join(remote.key)}) on remote; make it the same on both."
        )


def _kind(column: tuple[str, bool] | None) -> str:
    if column is None:
        return "missing"
    return column[0] if column[1] else f"{column[0]}, generated"


def _check_numbering(pair: Pair, local: Table, remote: Table) -> None:
    """Two sequences that give the same numbers would make two messages one."""
    both = (local.numbering, remote.numbering)
    if not all(both):
        return
    steps = [one.step for one in both if one]
    odd = [one.next % 2 for one in both if one]
    if all(step % 2 == 0 for step in steps) and odd[0] != odd[1]:
        return
    beyond = max(one.next for one in both if one)
    beyond += beyond % 2
    told = " ".join(
        f"in {side.place}: alter sequence {one.sequence} increment by 2 restart with {start};"
        for side, one, start in zip_longest(pair.sides, both, (beyond, beyond + 1))
        if one
    )
    raise TwinError(
        f"Both sides give {local.name} its keys from a sequence, so two different rows would get "
        f"one key; run {told}"
    )
