"""The only SQL over `core_candidates`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.memory.candidates import CANDIDATES

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange


def rewrite_candidates(connection: psycopg.Connection, candidates: pl.DataFrame) -> None:
    """Make `candidates` (`candidates.CANDIDATES`) the whole table, in one transaction."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('core_candidates'))")
        connection.execute("delete from core_candidates")
        copy_frame(connection, "core_candidates", candidates)


def load_candidates(
    connection: psycopg.Connection, least_importance: float = 0.0, least_sessions: int = 1
) -> pl.DataFrame:
    """Candidates at least that important, said in at least so many sessions, weightiest first."""
    return fetch_frame(
        connection,
        f"""
        select {", ".join(CANDIDATES)} from core_candidates
        where importance >= %s::real and sessions >= %s order by importance desc, memory_id
        """,
        (least_importance, least_sessions),
        schema=CANDIDATES,
    )


def candidate_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each candidate with what could be wrong with it; `days` is ignored.

    Columns `content_length`, `importance`, `least_part`, `greatest_part`, `sessions`, `messages`
    (how many it came from), `unknown_messages` (how many of them are no raw message) and `backward`
    (whether it was said last before it was said first).
    """
    del days
    return fetch_frame(
        connection,
        """
        select length(btrim(content)) as content_length, importance, sessions,
            (select min(part.value::real) from jsonb_each_text(parts) as part) as least_part,
            (select max(part.value::real) from jsonb_each_text(parts) as part) as greatest_part,
            cardinality(message_ids) as messages,
            (select count(*) from unnest(message_ids) as message
             where not exists (select from raw_messages where raw_messages.id = message)
            ) as unknown_messages,
            (last_said_at < first_said_at)::int as backward
        from core_candidates
        """,
    )
