"""The SQL that reads a companion's memory tables and writes what was imported of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.foundation.database import connect, copy_frame, fetch_frame
from twin_pipelines.memory.records import MEMORIES
from twin_pipelines.settings import MemoryTable, TwinError

GONE = "its row is gone from the table it was imported from"
_COLUMNS = ", ".join(MEMORIES)
_DECIDED = [  # by the table; status, merging and validity are ours
    name
    for name in MEMORIES
    if name
    not in {
        "memory_id",
        "status",
        "status_reason",
        "valid_from",
        "valid_until",
        "superseded_by",
        "pinned",
    }
]
_OWN_PIN = "coalesce((old.details ->> 'pinned')::boolean, false)"
_WRITE = f"""
    insert into memories as old ({_COLUMNS}) select {_COLUMNS} from incoming_memories
    on conflict (memory_id) do update
    set ({", ".join(_DECIDED)}, valid_until, pinned) = row(
        {", ".join(f"excluded.{name}" for name in _DECIDED)},
        coalesce(excluded.valid_until, old.valid_until),
        case when {_OWN_PIN} = excluded.pinned then old.pinned else excluded.pinned end)
    where old.details ->> 'row_hash' is distinct from excluded.details ->> 'row_hash'
"""


def opened(
    table: MemoryTable, own: psycopg.Connection
) -> AbstractContextManager[psycopg.Connection]:
    """A read-only connection to the table's database; without a URL the twin's own is used."""
    if not table.url:
        return nullcontext(own)
    connection = connect(table.url)
    connection.read_only = True
    return connection


def column_names(connection: psycopg.Connection, table: str) -> list[str]:
    """The table's columns in order. Raises TwinError when there is no such table."""
    rows = connection.execute(
        """
        select attname from pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
        """,
        [_name(table).as_string(connection)],
    ).fetchall()
    if not rows:
        info = connection.info
        raise TwinError(
            f"There is no table {table} in {info.dbname} at {info.host}:{info.port}; correct table "
            "under memory.imports in twin.toml."
        )
    return [name for (name,) in rows]


def fetch_rows(
    connection: psycopg.Connection, table: str, columns: Mapping[str, str]
) -> pl.DataFrame:
    """The table's rows: for each field of `columns` the JSON of its column, null where it is."""
    chosen = sql.SQL(", ").join(
        sql.SQL("to_jsonb({})::text as {}").format(sql.Identifier(name), sql.Identifier(field))
        for field, name in columns.items()
    )
    try:
        return fetch_frame(connection, sql.SQL("select {} from {}").format(chosen, _name(table)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise TwinError(
            f"The user {connection.info.user} may not read the table {table}; grant it SELECT."
        ) from error


def raw_ids(connection: psycopg.Connection, source_ids: Sequence[str]) -> pl.DataFrame:
    """Landed messages that their sources know by these ids: `message`, `id`."""
    return fetch_frame(
        connection,
        """
        select source_message_id as message, id from raw_messages
        where source_message_id = any(%s) order by 1, 2
        """,
        [list(source_ids)],
    )


def write_imported(
    connection: psycopg.Connection, table: str, memories: pl.DataFrame, refs: Sequence[str]
) -> dict[str, int]:
    """Bring what was imported of `table` up to date with `memories` (MEMORIES), within a run.

    A memory whose row did not change keeps what the owner edited; only the messages it rests on
    follow what was landed meanwhile. One whose row is not among `refs` is archived unless the owner
    pinned it, and comes back with its row. Returns `written`, `returned` and `archived`.
    """
    connection.execute(
        "create temporary table if not exists incoming_memories (like memories) "
        "on commit delete rows"
    )
    connection.execute("truncate incoming_memories")
    copy_frame(connection, "incoming_memories", memories)
    written = connection.execute(_WRITE).rowcount
    written += connection.execute(
        """
        update memories as old set message_ids = new.message_ids from incoming_memories as new
        where new.memory_id = old.memory_id and new.message_ids <> old.message_ids
        """
    ).rowcount
    values = {"prefix": f"{table}/", "refs": list(refs), "gone": GONE}
    returned = connection.execute(
        """
        update memories set status = 'active', status_reason = ''
        where origin = 'imported' and source_ref = any(%(refs)s) and status = 'archived'
          and status_reason = %(gone)s
        """,
        values,
    ).rowcount
    archived = connection.execute(
        """
        update memories set status = 'archived', status_reason = %(gone)s
        where origin = 'imported' and starts_with(source_ref, %(prefix)s)
          and source_ref <> all (%(refs)s) and status <> 'archived'
          and (not pinned or coalesce((details ->> 'pinned')::boolean, false))
        """,
        values,
    ).rowcount
    return {"written": written, "returned": returned, "archived": archived}


def imported_faults(connection: psycopg.Connection, days: object) -> pl.DataFrame:
    """Imported memories with what could be wrong with them; `days` is ignored.

    Columns `importance`, `confidence`, `content_length`, `without_source` (no row it came from),
    `unknown_messages` (raw messages it names that are not there), `fact` (a dream that is not
    marked as imagined, or something else that is).
    """
    del days
    return fetch_frame(
        connection,
        """
        select importance, confidence, length(btrim(content)) as content_length,
            (source_ref is null)::int as without_source,
            (select count(*) from unnest(message_ids) as message
             where not exists (select from raw_messages where raw_messages.id = message)
            ) as unknown_messages,
            (imagined <> (type = 'dream'))::int as fact
        from memories where origin = 'imported'
        """,
    )


def _name(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))
