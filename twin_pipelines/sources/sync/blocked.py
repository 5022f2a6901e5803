"""Why a subscription does not get on, and what exactly to run."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from psycopg import sql

from twin_pipelines.sources.capture.pgoutput import Change, Row, Transaction, transactions
from twin_pipelines.sources.sync import replication_store, table_store
from twin_pipelines.sources.sync.pair import Side
from twin_pipelines.sources.sync.table_store import Table

_PROBED = 200  # changes of a transaction for which a row in the way is looked for


@dataclass(frozen=True)
class Stuck:
    """The transaction that waits: where it finished in the other side's log, and what is in it.

    `collision` tells which row is in the way, in a sentence; empty where none was found.
    """

    finished: str
    changes: int
    first: str
    collision: str


def stuck(reader: Side, giver: Side) -> Stuck | None:
    """The first transaction of `giver` that `reader` did not take; None while that is not known."""
    standing = replication_store.subscription_standing(reader)
    messages = replication_store.waiting_messages(giver)
    if standing is None or not messages:
        return None
    finished = [struct.unpack("!q", one[1:9])[0] for one in messages if one[:1] == b"B"]
    applied = position(standing.applied) if standing.applied else 0
    for ends, one in zip(finished, transactions(messages), strict=False):
        if one.ends > applied and one.changes:
            change = one.changes[0]
            key = ", ".join(
                str((change.new or change.old or {}).get(n)) for n in change.relation.key
            )
            first = f"{change.kind} of {change.relation.name} {key}"
            return Stuck(written(ends), len(one.changes), first, _collision(reader, one))
    return None


def words(reader: Side, found: Stuck | None) -> str:
    """What is told of a subscription whose worker fails again and again."""
    where = f"{reader.place} ({reader.name})"
    if found is None:
        return (
            f"What the {reader.other} side wrote is not taken over in {where}: its apply worker "
            "fails; read why in that server's log, then run twin sync status again."
        )
    cause = found.collision or (
        "Read the reason in that server's log (a constraint, a missing column or a lacking right)."
    )
    return (
        f"What the {reader.other} side wrote is not taken over in {where}: the transaction that "
        f"finished at {found.finished} ({found.changes:,} changes, first {found.first}) fails. "
        f"{cause} Or leave the whole transaction out there with: alter subscription "
        f"{reader.subscription} skip (lsn = '{found.finished}'); and run twin sync setup "
        "afterwards, which compares both sides and mends what differs."
    )


def position(text: str) -> int:
    """A position of the log as a number: `16/B374D848`."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def written(number: int) -> str:
    """A position of the log as PostgreSQL writes it."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def _collision(reader: Side, found: Transaction) -> str:
    """The first row of the reader that holds a unique value which a change brings."""
    known: dict[str, Table | None] = {}
    for change in found.changes[:_PROBED]:
        name = sql.Identifier(change.relation.schema, change.relation.name)
        shown = name.as_string(reader.connection)
        if shown not in known:
            known[shown] = table_store.described(
                reader.connection, f"{change.relation.schema}.{change.relation.name}"
            )
        table = known[shown]
        if table is None:
            return f"There is no table {change.relation.name}; create it there."
        if change.new is not None:
            told = _in_the_way(reader, table, change, change.new)
            if told:
                return told
    return ""


def _in_the_way(reader: Side, table: Table, change: Change, new: Row) -> str:
    own = [new.get(name) for name in table.key]
    for index, columns in replication_store.unique_indexes(reader, table.name):
        values = [new.get(name) for name in columns]
        if not all(isinstance(value, str) for value in values):
            continue
        if columns == list(table.key) and (change.kind == "insert" or change.old is None):
            continue  # the trigger decides between two rows of one key
        row = reader.connection.execute(
            sql.SQL("select {} from {} where {}").format(
                sql.SQL(", ").join(
                    sql.SQL("{}::text").format(sql.Identifier(name)) for name in table.key
                ),
                table.identifier,
                sql.SQL(" and ").join(
                    sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns
                ),
            ),
            values,
        ).fetchone()
        if row is None or (list(row) == own and change.old is None):
            continue
        key = " and ".join(f"{n} = '{v}'" for n, v in zip(table.key, row, strict=True))
        listed = ", ".join(columns)
        return (
            f"The row of {table.name} with {key} has the same {listed} ({index}) as the one that "
            f"comes with key {', '.join(map(str, own))}: change its {listed}, or run there: delete "
            f"from {table.name} where {key}; it is then taken over by itself within seconds."
        )
    return ""
