"""The SQL that a source database is asked: its publication, its slot, and what the slot holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from twin_pipelines.settings import TwinError

_AT_ONCE = 2_000  # messages fetched together


@dataclass(frozen=True)
class SlotState:
    """How a slot stands. `lag_bytes` is the log that was written and not read through it, `clock`
    what that server's clock shows, `unpublished` which of the tables its publication lacks."""

    exists: bool
    lost: bool
    lag_bytes: int
    clock: datetime
    unpublished: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether every change since the last look can be read."""
        return self.exists and not self.lost and not self.unpublished


def check_server(connection: psycopg.Connection) -> None:
    """Raises TwinError when the server writes no logical log."""
    row = connection.execute("select current_setting('wal_level')").fetchone()
    if row != ("logical",):
        level = row[0] if row else "unknown"
        raise TwinError(
            f"The database at {place(connection)} cannot be followed: its wal_level is {level}; "
            "set it to logical there and restart that server (a managed one has a switch for "
            "logical replication)."
        )


def key_columns(connection: psycopg.Connection, table: str) -> list[str]:
    """Columns that tell which row a deletion was about. Empty: none do.

    The primary key, the index of the replica identity, or all columns under `full`.
    """
    rows = connection.execute(
        """
        select attname from pg_class as c
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.oid = to_regclass(%s) and (
            c.relreplident = 'f'
            or exists (
                select from pg_index as i
                where i.indrelid = c.oid and a.attnum = any(i.indkey)
                  and case c.relreplident when 'd' then i.indisprimary
                                          when 'i' then i.indisreplident end
            )
        )
        """,
        [_table(table).as_string(connection)],
    ).fetchall()
    return [name for (name,) in rows]


def ensure_publication(connection: psycopg.Connection, name: str, tables: Sequence[str]) -> None:
    """Make the publication of exactly these tables. Raises TwinError naming what to run there."""
    listed = sql.SQL(", ").join(map(_table, tables))
    known = connection.execute(
        "select true from pg_publication where pubname = %s", [name]
    ).fetchone()
    form = "alter publication {} set table {}" if known else "create publication {} for table {}"
    statement = sql.SQL(form).format(sql.Identifier(name), listed)
    try:
        with connection.transaction():
            connection.execute(statement)
            connection.execute(
                sql.SQL("alter publication {} set (publish_via_partition_root = true)").format(
                    sql.Identifier(name)
                )
            )
    except psycopg.errors.InsufficientPrivilege as error:
        raise TwinError(
            f"The user {connection.info.user} may not publish {', '.join(tables)} of "
            f"{place(connection)}; let the tables' owner run: {statement.as_string(connection)};"
        ) from error


def make_slot(connection: psycopg.Connection, name: str) -> str:
    """Make the slot anew, dropping one of this name; the position it begins at.

    Raises TwinError when the user may not, or no slot is left.
    """
    try:
        drop_slot(connection, name)
        row = connection.execute(
            "select lsn::text from pg_create_logical_replication_slot(%s, 'pgoutput')", [name]
        ).fetchone()
        connection.commit()
    except psycopg.errors.InsufficientPrivilege as error:
        raise TwinError(
            f"The user {connection.info.user} may not make a replication slot on "
            f"{place(connection)}; run there: alter role {connection.info.user} replication;"
        ) from error
    except psycopg.errors.ConfigurationLimitExceeded as error:
        raise TwinError(
            f"The server at {place(connection)} has no replication slot left; raise its "
            "max_replication_slots or drop one that nobody reads."
        ) from error
    assert row is not None
    return str(row[0])


def drop_slot(connection: psycopg.Connection, name: str) -> bool:
    """Remove the slot; False when there is none. Raises TwinError while somebody reads it."""
    try:
        found = connection.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
            "where slot_name = %s",
            [name],
        ).fetchall()
    except psycopg.errors.ObjectInUse as error:
        raise TwinError(
            f"The slot {name} of {place(connection)} is being read by another process; stop it."
        ) from error
    return bool(found)


def drop_publication(connection: psycopg.Connection, name: str) -> None:
    """Remove the publication, if there is one. Raises TwinError naming what to run there."""
    statement = sql.SQL("drop publication if exists {}").format(sql.Identifier(name))
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise TwinError(
            f"The user {connection.info.user} may not drop the publication {name} of "
            f"{place(connection)}; let its owner run: {statement.as_string(connection)};"
        ) from error


def slot_state(connection: psycopg.Connection, name: str, tables: Sequence[str]) -> SlotState:
    """How the slot and the publication of this name stand now."""
    row = connection.execute(
        """
        select slot_name is not null, coalesce(wal_status = 'lost', false),
               coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0)::bigint,
               clock_timestamp(),
               array(select given.name
                     from unnest(%(names)s::text[], %(quoted)s::text[]) as given (name, quoted)
                     where not exists (
                         select from pg_publication_tables
                         where pubname = %(name)s
                           and to_regclass(format('%%I.%%I', schemaname, tablename))
                               = to_regclass(quoted)))
        from (values (1)) as always left join pg_replication_slots on slot_name = %(name)s
        """,
        {
            "name": name,
            "names": list(tables),
            "quoted": [_table(table).as_string(connection) for table in tables],
        },
    ).fetchone()
    assert row is not None
    exists, lost, lag_bytes, clock, unpublished = row
    return SlotState(exists, lost, lag_bytes, clock, tuple(unpublished))


def log_end(connection: psycopg.Connection) -> str:
    """The position that was written last."""
    row = connection.execute("select pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    return str(row[0])


def snapshot_now(connection: psycopg.Connection) -> str:
    """What the running transaction sees of others, as text."""
    row = connection.execute("select pg_current_snapshot()::text").fetchone()
    assert row is not None
    return str(row[0])


def peek(connection: psycopg.Connection, slot: str, publication: str, most: int) -> Iterator[bytes]:
    """Messages the slot holds, at least up to the end of the transaction of the `most`-th one.

    Nothing is consumed. Begins a transaction of `connection`; the caller ends it. Raises psycopg's
    ObjectNotInPrerequisiteState when the slot lost its log, UndefinedObject when it is gone, and
    ObjectInUse while another one reads it.
    """
    with connection.cursor(name="twin_capture") as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(
            """
            select data from pg_logical_slot_peek_binary_changes(
                %s, null, %s, 'proto_version', '1', 'publication_names', %s)
            """,
            (slot, most, publication),
            binary=True,
        )
        for (message,) in cursor:
            yield message


def advance(connection: psycopg.Connection, slot: str, position: str) -> None:
    """Let the server forget its log up to a position, if the slot stands before it."""
    connection.execute(
        """
        select pg_replication_slot_advance(slot_name, %(position)s::pg_lsn)
        from pg_replication_slots
        where slot_name = %(slot)s and confirmed_flush_lsn < %(position)s::pg_lsn
        """,
        {"slot": slot, "position": position},
    )
    connection.commit()


def refused(connection: psycopg.Connection, error: psycopg.Error) -> str:
    """Why a source that was being read would not go on, in a sentence with the remedy."""
    reason = (str(error).strip().splitlines() or ["the connection was lost"])[0].rstrip(".")
    where, user = place(connection), connection.info.user
    if connection.closed:
        return f"The source {where} broke off ({reason}); it is tried again."
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return (
            f"The user {user} may not read {where} any more ({reason}); grant it there: grant "
            f"select on the tables to {user}; and for the slot: alter role {user} replication;"
        )
    if isinstance(error, psycopg.errors.ObjectInUse):
        return f"The slot at {where} is being read by another process; it is tried again."
    return f"The source {where} could not be read ({reason}); it is tried again."


def place(connection: psycopg.Connection) -> str:
    """Where a database is, without a password."""
    info = connection.info
    return f"{info.dbname} at {info.host}:{info.port}"


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
