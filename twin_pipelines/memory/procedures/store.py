"""The only SQL over procedural memories: rewritten whole, inside a run of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.memory.records import MEMORIES

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

UNSEEN = "no longer recurs in the history"
_KEPT = {"memory_id", "status", "status_reason", "pinned", "valid_from", "valid_until"}
_DERIVED = [name for name in MEMORIES if name not in _KEPT | {"superseded_by"}]
_NEW, _OLD = (", ".join(f"{row}.{name}" for name in _DERIVED) for row in ("fresh", "old"))
_COLUMNS = ", ".join(MEMORIES)


def rewrite_procedures(connection: psycopg.Connection, procedures: pl.DataFrame) -> None:
    """Make `procedures` (MEMORIES) the extracted procedural memories.

    What is equal is not touched; of what changed, status, pin and validity stay. What recurs no
    longer is archived, unless it is pinned, and comes back when it recurs again. To be called
    inside `ledger.run`.
    """
    connection.execute(
        "create temporary table if not exists fresh_procedures (like memories) "
        "on commit delete rows"
    )
    connection.execute("truncate fresh_procedures")
    copy_frame(connection, "fresh_procedures", procedures)
    connection.execute(
        """
        update memories as old set status = 'archived', status_reason = %(unseen)s
        where type = 'procedural' and origin = 'extracted' and status = 'active' and not pinned
          and not exists (select from fresh_procedures as fresh
                          where fresh.memory_id = old.memory_id)
        """,
        {"unseen": UNSEEN},
    )
    connection.execute(
        """
        update memories as old set status = fresh.status, status_reason = fresh.status_reason
        from fresh_procedures as fresh
        where old.memory_id = fresh.memory_id and old.status = 'archived'
          and old.status_reason = %(unseen)s
        """,
        {"unseen": UNSEEN},
    )
    connection.execute(
        f"""
        update memories as old set ({", ".join(_DERIVED)}) = row({_NEW})
        from fresh_procedures as fresh
        where old.memory_id = fresh.memory_id and ({_OLD}) is distinct from ({_NEW})
        """
    )
    connection.execute(
        f"""
        insert into memories ({_COLUMNS}) select {_COLUMNS} from fresh_procedures
        on conflict (memory_id) do nothing
        """
    )


def procedure_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each active procedural memory with what could be wrong with it; `days` is ignored.

    Columns `steps` (how many it has), `cases` (how often it was seen), `messages` (how many it
    rests on), `unknown_messages` (how many of them are no raw message) and `foreign_messages` (how
    many somebody else wrote).
    """
    del days
    return fetch_frame(
        connection,
        """
        select coalesce(jsonb_array_length(details -> 'steps'), 0) as steps,
            coalesce((details ->> 'cases')::int, 0) as cases,
            cardinality(message_ids) as messages,
            cardinality(message_ids) - found.messages as unknown_messages,
            found.messages - found.own as foreign_messages
        from memories, lateral (
            select count(*) as messages,
                count(*) filter (where raw_messages.speaker = memories.about) as own
            from raw_messages where raw_messages.id = any(message_ids)
        ) as found
        where type = 'procedural' and origin = 'extracted' and status = 'active'
        """,
    )
