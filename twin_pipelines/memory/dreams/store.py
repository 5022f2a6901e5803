"""The SQL that keeps dreams: made, fulfilled, and gone when what they are made of is gone."""

from __future__ import annotations

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.memory.records import MEMORIES

_COLUMNS = ", ".join(MEMORIES)


def add_dreams(connection: psycopg.Connection, dreams: pl.DataFrame) -> int:
    """Add dreams (MEMORIES), within a run; one that is there stays as it is. Returns how many."""
    connection.execute(
        "create temporary table if not exists incoming_memories (like memories) "
        "on commit delete rows"
    )
    connection.execute("truncate incoming_memories")
    copy_frame(connection, "incoming_memories", dreams)
    return connection.execute(
        f"insert into memories ({_COLUMNS}) select {_COLUMNS} from incoming_memories "
        "on conflict (memory_id) do nothing"
    ).rowcount


def mark_fulfilled(connection: psycopg.Connection, fulfilments: pl.DataFrame) -> int:
    """Note which messages say that dreams came true (`fulfilment.FULFILMENTS`), within a run.

    Returns how many dreams changed.
    """
    rows = fulfilments.select("memory_id", "fulfilled_at", "fulfilled_by").to_dicts()
    return connection.execute(
        """
        update memories as dream
        set details = dream.details || jsonb_build_object(
            'fulfilled_at', found.fulfilled_at, 'fulfilled_by', found.fulfilled_by)
        from jsonb_to_recordset(%s) as found
            (memory_id uuid, fulfilled_at text, fulfilled_by jsonb)
        where dream.memory_id = found.memory_id and dream.type = 'dream'
        """,
        [Jsonb([{**row, "fulfilled_at": row["fulfilled_at"].isoformat()} for row in rows])],
    ).rowcount


def remove_groundless(connection: psycopg.Connection) -> int:
    """Delete dreams of what is said no more, within a run; returns how many.

    A memory it was made of is gone, as when its message was edited; one that is pinned stays then.
    Or a message is gone: then it goes, pinned or not.
    """
    return connection.execute(
        """
        delete from memories as dream where type = 'dream' and origin = 'reflected' and (
            exists (select from unnest(dream.message_ids) as said (id)
                    where not exists (select from raw_messages where raw_messages.id = said.id))
            or not pinned and exists (
                select from unnest(dream.source_ids) as source (id)
                where not exists (select from memories where memory_id = source.id)))
        """
    ).rowcount


def dream_faults(connection: psycopg.Connection, days: object) -> pl.DataFrame:
    """Active dreams with what could be wrong with them; `days` is ignored.

    Columns `imagined`, `content_length`, `sources` (what it is made of: memories, or a row of a
    table), `unknown_messages`, `unknown_sources` (of one that is not pinned), `early` (fulfilled
    before it was dreamt) and `unsupported` (fulfilled by an unknown message).
    """
    del days
    return fetch_frame(
        connection,
        """
        select imagined::int as imagined, length(btrim(content)) as content_length,
            cardinality(source_ids) + (source_ref is not null)::int as sources,
            (select count(*) from unnest(message_ids) as message
             where not exists (select from raw_messages where raw_messages.id = message)
            ) as unknown_messages,
            (select count(*) from unnest(source_ids) as source
             where not pinned
               and not exists (select from memories as made_of where made_of.memory_id = source)
            ) as unknown_sources,
            coalesce((details ->> 'fulfilled_at')::timestamptz < first_at, false)::int as early,
            (select count(*)
             from jsonb_array_elements_text(coalesce(details -> 'fulfilled_by', '[]')) as by (id)
             where not exists (select from raw_messages where raw_messages.id = by.id::uuid)
            ) as unsupported
        from memories where type = 'dream' and status = 'active'
        """,
    )
