"""What forgetting reads and writes of `memories`."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.memory.forgetting.retention import FADED, FADING

# Of the type, or a candidate that reaches the thresholds of promotion; of the memory `m`.
CORE = """
    (m.type = 'core' or exists (
        select from core_candidates c where c.memory_id = m.memory_id
        and c.importance >= %(core_threshold)s::real and c.sessions >= %(core_sessions)s))
"""


def load_fading(
    connection: psycopg.Connection, core_threshold: float, core_sessions: int
) -> pl.DataFrame:
    """All memories that forgetting judges (FADING): active ones, and those that had faded.

    Core are those of the type and the candidates that reach the thresholds.
    """
    return fetch_frame(
        connection,
        f"""
        select m.memory_id, m.type, m.content, m.importance, m.last_at, m.happens_on, m.valid_until,
               m.status, m.status_reason, m.pinned, {CORE} as core,
               coalesce(r.recalls, 0) as recalls, r.last_recalled_at
        from memories m left join memory_recalls r using (memory_id)
        where m.status = 'active' or m.status = 'archived' and m.status_reason like %(faded)s
        order by m.memory_id
        """,
        {"core_threshold": core_threshold, "core_sessions": core_sessions, "faded": f"{FADED}%"},
        schema=FADING,
    )


def write_states(connection: psycopg.Connection, changes: pl.DataFrame) -> int:
    """Give memories the `new_status` and `new_reason` of `changes` (`memory_id` too), in one
    statement; returns how many changed."""
    connection.execute(
        "create temporary table if not exists incoming_states "
        "(memory_id uuid primary key, new_status text, new_reason text) on commit delete rows"
    )
    connection.execute("truncate incoming_states")
    copy_frame(
        connection, "incoming_states", changes.select("memory_id", "new_status", "new_reason")
    )
    return connection.execute(
        """
        update memories m set status = new_status, status_reason = new_reason
        from incoming_states s where s.memory_id = m.memory_id and m.status <> new_status
        """
    ).rowcount


def history_end(connection: psycopg.Connection) -> datetime | None:
    """When the last message was written; without messages when the last memory was, or None."""
    row = connection.execute(
        """
        select coalesce((select max(ended_at) from cleaned_messages
                         where day = (select max(day) from cleaned_messages)),
                        (select max(last_at) from memories))
        """
    ).fetchone()
    return row[0] if row else None
