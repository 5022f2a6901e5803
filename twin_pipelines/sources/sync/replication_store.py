"""The SQL of a sync's slots and subscriptions, and of how they stand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from twin_pipelines.settings import TwinError
from twin_pipelines.sources.sync.pair import Side, place

WAIT_SECONDS = 15.0  # for a reader of a slot to go
_WAITING = 500  # changes that are looked at, or the whole of one transaction


@dataclass(frozen=True)
class SlotStanding:
    """A slot of a side: who writes there is read through it by the other side."""

    active: bool
    wal_status: str
    lag_bytes: int


@dataclass(frozen=True)
class SubscriptionStanding:
    """A subscription of a side. `pid` is null while its worker does not run."""

    enabled: bool
    pid: int | None
    errors: int
    applied: str | None  # position on the other side; null where the user may not know
    skips: str | None
    heard_at: datetime | None


def slot_standing(side: Side) -> SlotStanding | None:
    """How the slot stands through which the other side reads; None: there is none."""
    with side.connection.cursor(row_factory=class_row(SlotStanding)) as cursor:
        return cursor.execute(
            """
            select active, coalesce(wal_status, 'lost') as wal_status,
                   coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0)::bigint
                       as lag_bytes
            from pg_replication_slots where slot_name = %s
            """,
            [side.slot],
        ).fetchone()


def make_slot(side: Side) -> None:
    """Make the slot through which the other side reads, anew where it was lost."""
    drop_slot(side)
    try:
        side.connection.execute(
            "select pg_create_logical_replication_slot(%s, 'pgoutput')", [side.slot]
        )
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.ConfigurationLimitExceeded,
    ) as error:
        raise TwinError(
            f"No replication slot could be made in {side.place} ({_first_line(error)}); let its "
            f"administrator run alter role {side.connection.info.user} replication; or raise "
            "max_replication_slots."
        ) from error


def drop_slot(side: Side) -> bool:
    """Remove the slot, ending who reads it; False: there was none. Raises TwinError if it stays."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            found = side.connection.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
                "where slot_name = %s",
                [side.slot],
            ).fetchall()
            return bool(found)
        except psycopg.errors.ObjectInUse as error:
            if time.monotonic() > end:
                raise TwinError(
                    f"The slot {side.slot} in {side.place} is still being read; run there: select "
                    "pg_terminate_backend(active_pid), pg_drop_replication_slot(slot_name) from "
                    f"pg_replication_slots where slot_name = '{side.slot}';"
                ) from error
            side.connection.execute(
                "select pg_terminate_backend(active_pid) from pg_replication_slots "
                "where slot_name = %s and active",
                [side.slot],
            )
            time.sleep(0.2)


def subscription_standing(side: Side) -> SubscriptionStanding | None:
    """How the subscription made on a side stands; None: there is none."""
    connection = side.connection
    row = connection.execute(
        """
        select subscription.oid, subenabled, stat.pid, coalesce(apply_error_count, 0),
               nullif(subskiplsn, '0/0')::text, stat.last_msg_receipt_time
        from pg_subscription as subscription
        left join pg_stat_subscription as stat on stat.subid = subscription.oid
            and stat.relid is null and stat.pid is not null
            and coalesce(to_jsonb(stat) ->> 'worker_type', 'apply') = 'apply'
        left join pg_stat_subscription_stats as errors on errors.subid = subscription.oid
        where subscription.subname = %s
          and subdbid = (select oid from pg_database where datname = current_database())
        """,
        [side.subscription],
    ).fetchone()
    if row is None:
        return None
    oid, enabled, pid, errors, skips, heard = row
    return SubscriptionStanding(enabled, pid, errors, _applied(side, oid), skips, heard)


def subscribe(side: Side) -> None:
    """Make a side take over what the other one writes, or bring its subscription up to date.

    Raises TwinError when this server does not reach the other one.
    """
    name = sql.Identifier(side.subscription)
    target = sql.Literal(side.other_reached)
    publications = sql.SQL(", ").join(map(sql.Identifier, side.publications))
    known = subscription_standing(side) is not None
    statements = (
        [
            sql.SQL("alter subscription {} connection {}").format(name, target),
            sql.SQL("alter subscription {} enable").format(name),
            sql.SQL("alter subscription {} refresh publication with (copy_data = false)").format(
                name
            ),
        ]
        if known
        else [
            sql.SQL(
                "create subscription {} connection {} publication {} with (create_slot = false, "
                "slot_name = {}, copy_data = false, origin = none)"
            ).format(name, target, publications, sql.Literal(side.subscription))
        ]
    )
    try:
        for statement in statements:
            side.connection.execute(statement)
    except (psycopg.OperationalError, psycopg.errors.ConnectionException) as error:
        raise TwinError(
            f"The server of {side.place} ({side.name}) does not reach the {side.other} one by "
            f"{place(side.other_reached)} ({_first_line(error)}); name the address it is "
            f"reached by as {side.other}_from_{side.name} under [sync] in twin.toml, or "
            "open its port."
        ) from None  # the cause may quote the password
    except psycopg.errors.InsufficientPrivilege as error:
        raise TwinError(
            f"The user {side.connection.info.user} may not subscribe in {side.place} "
            f"({_first_line(error)}); let an administrator run there: grant pg_create_subscription "
            f"to {side.connection.info.user};"
        ) from None


def unsubscribe(side: Side) -> bool:
    """Remove a side's subscription without asking the other one; False: there was none."""
    if subscription_standing(side) is None:
        return False
    name = sql.Identifier(side.subscription)
    for form in (
        "alter subscription {} disable",
        "alter subscription {} set (slot_name = none)",
        "drop subscription {}",
    ):
        side.connection.execute(sql.SQL(form).format(name))
    return True


def waiting_messages(side: Side) -> list[bytes] | None:
    """The first changes that the other side has not taken, as the log has them (`pgoutput`).

    None while the slot is being read, gone or lost.
    """
    try:
        rows = side.connection.execute(
            """
            select data from pg_logical_slot_peek_binary_changes(
                %s, null, %s, 'proto_version', '1', 'publication_names', %s, 'origin', 'none')
            """,
            [side.slot, _WAITING, ",".join(side.publications)],
            binary=True,
        ).fetchall()
    except (
        psycopg.errors.ObjectInUse,
        psycopg.errors.UndefinedObject,
        psycopg.errors.ObjectNotInPrerequisiteState,
    ):
        return None
    return [bytes(message) for (message,) in rows]


def unique_indexes(side: Side, table: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and columns of the indexes by which two rows of a table may not be the same."""
    yield from side.connection.execute(
        """
        select indexrelid::regclass::text,
               (select array_agg(attname::text order by place)
                from unnest(indkey::int2[]) with ordinality as one (number, place)
                join pg_attribute on attrelid = indrelid and attnum = number)
        from pg_index
        where indrelid = to_regclass(%s) and indisunique and indpred is null and indexprs is null
        order by indisprimary, 1
        """,
        [table],
    ).fetchall()


def clock_ahead_ms(side: Side, looks: int = 3) -> float:
    """How far the server's clock is ahead of this machine's, by the quickest of some looks."""
    found = []
    for _ in range(looks):
        begun = time.time()
        row = side.connection.execute("select extract(epoch from clock_timestamp())").fetchone()
        took = time.time() - begun
        assert row is not None
        found.append((took, float(row[0]) - begun - took / 2))
    return min(found)[1] * 1_000


def _applied(side: Side, oid: int) -> str | None:
    try:
        row = side.connection.execute(
            "select remote_lsn::text from pg_show_replication_origin_status() as one "
            "(id, external_id, remote_lsn, local_lsn) where external_id = %s",
            [f"pg_{oid}"],
        ).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return row[0] if row else None


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error)
    return text.splitlines()[0].rstrip(".")
