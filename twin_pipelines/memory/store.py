"""The only SQL over `memories` and `core_candidates` (their journal: `ledger_store`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.memory.consolidation.candidates import CANDIDATES
from twin_pipelines.memory.records import MEMORIES

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

_COLUMNS = ", ".join(MEMORIES)
_EXTRACTED = [
    name
    for name in MEMORIES
    if name
    not in {
        "memory_id",
        "status",
        "status_reason",
        "pinned",
        "valid_from",
        "valid_until",
        "superseded_by",
    }
]
_WRITE_EXTRACTED = f"""
    insert into memories as old ({_COLUMNS}) select {_COLUMNS} from incoming_memories
    on conflict (memory_id) do update
    set ({", ".join(_EXTRACTED)}) = row({", ".join(f"excluded.{name}" for name in _EXTRACTED)})
    where ({", ".join(f"old.{name}" for name in _EXTRACTED)})
        is distinct from ({", ".join(f"excluded.{name}" for name in _EXTRACTED)})
"""
# What is newly seen to be suspicious is set aside unless somebody gave it its status on purpose.
_QUARANTINE_EXTRACTED = """
    update memories as old set status = new.status, status_reason = new.status_reason
    from incoming_memories as new
    where new.memory_id = old.memory_id and new.status = 'quarantined'
      and old.status = 'active' and old.status_reason = '' and not old.pinned
"""
_FADE_EXTRACTED = """
    update memories as old set valid_until = new.valid_until
    from incoming_memories as new
    where new.memory_id = old.memory_id and new.type = 'short_term'
      and old.valid_until is distinct from new.valid_until
"""


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
    (how many it came from; a row of another table or the owner's word counts as one),
    `unknown_messages` (how many of them are no raw message) and `backward` (whether it was said
    last before it was said first).
    """
    del days
    return fetch_frame(
        connection,
        """
        select length(btrim(content)) as content_length, importance, sessions,
            (select min(part.value::real) from jsonb_each_text(parts) as part) as least_part,
            (select max(part.value::real) from jsonb_each_text(parts) as part) as greatest_part,
            cardinality(message_ids) + (
                select count(*) from memories
                where memory_id = core_candidates.memory_id
                  and (source_ref is not null or origin = 'owner')
            ) as messages,
            (select count(*) from unnest(message_ids) as message
             where not exists (select from raw_messages where raw_messages.id = message)
            ) as unknown_messages,
            (last_said_at < first_said_at)::int as backward
        from core_candidates
        """,
    )


def load_memories(
    connection: psycopg.Connection,
    *,
    types: Sequence[str] = (),
    states: Sequence[str] = ("active",),
    about: str | None = None,
) -> pl.DataFrame:
    """Memories (MEMORIES) of these types (none: any) and states, weightiest first.

    `about` keeps those about one speaker.
    """
    return fetch_frame(
        connection,
        f"""
        select {_COLUMNS} from memories
        where (cardinality(%(types)s::text[]) = 0 or type = any(%(types)s))
          and status = any(%(states)s) and (%(about)s::text is null or about = %(about)s)
        order by importance desc, memory_id
        """,
        {"types": list(types), "states": list(states), "about": about},
        schema=MEMORIES,
    )


def rewrite_days(connection: psycopg.Connection, days: DayRange, extracted: pl.DataFrame) -> int:
    """Make `extracted` (MEMORIES) all that was extracted from the days, in one transaction.

    What is there and equal is not touched; of what changed, only what extraction decides is written
    (its status, pin and validity stay, but what turns out suspicious is quarantined); what is gone
    is deleted. Returns the rows written or deleted.
    """
    with connection.transaction():
        lock_memories(connection)
        connection.execute(
            "create temporary table if not exists incoming_memories (like memories) "
            "on commit delete rows"
        )
        connection.execute("truncate incoming_memories")
        copy_frame(connection, "incoming_memories", extracted)
        connection.execute("analyze incoming_memories")
        deleted = connection.execute(
            """
            delete from memories as old
            where day between %s and %s and origin in ('extracted', 'llm')
              and not exists (select from incoming_memories as new
                              where new.memory_id = old.memory_id)
            """,
            (days.first, days.last),
        ).rowcount
        written = connection.execute(_WRITE_EXTRACTED).rowcount
        for statement in (_QUARANTINE_EXTRACTED, _FADE_EXTRACTED):
            written += connection.execute(statement).rowcount
        return deleted + written


def lock_memories(connection: psycopg.Connection) -> None:
    """Let nobody else write memories until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtext('memories'))")


def memory_counts(connection: psycopg.Connection) -> pl.DataFrame:
    """Memories by `type` and `status`: `memories`, and how many of them are `pinned`."""
    return fetch_frame(
        connection,
        """
        select type, status, count(*) as memories, count(*) filter (where pinned) as pinned
        from memories group by type, status order by type, status
        """,
    )


def matching_memories(connection: psycopg.Connection, beginning: str, limit: int) -> pl.DataFrame:
    """At most so many memories (MEMORIES) whose id begins so, whatever their state."""
    return fetch_frame(
        connection,
        f"select {_COLUMNS} from memories where starts_with(memory_id::text, %s) "
        "order by memory_id limit %s",
        (beginning.lower(), limit),
        schema=MEMORIES,
    )


def set_pinned(connection: psycopg.Connection, memory_id: str, pinned: bool) -> None:
    """Pin a memory or not; what was archived is active once it is pinned."""
    connection.execute(
        """
        update memories set pinned = %(pinned)s,
            status_reason = case when %(pinned)s and status = 'archived' then ''
                            else status_reason end,
            status = case when %(pinned)s and status = 'archived' then 'active' else status end
        where memory_id = %(memory_id)s
        """,
        {"memory_id": memory_id, "pinned": pinned},
    )


def pinned_memories(connection: psycopg.Connection) -> pl.DataFrame:
    """What the owner pinned and still holds (MEMORIES), the most important first; no dreams."""
    return fetch_frame(
        connection,
        f"""
        select {_COLUMNS} from memories
        where pinned and status = 'active' and not imagined
          and (valid_until is null or valid_until > now())
        order by importance desc, last_at desc, memory_id
        """,
        schema=MEMORIES,
    )


def memories_by_month(connection: psycopg.Connection) -> pl.DataFrame:
    """How many memories of each type were first told in each month: `month`, `type`, `memories`.

    Those that are part of another or suspicious are left out.
    """
    return fetch_frame(
        connection,
        """
        select date_trunc('month', first_at)::date as month, type, count(*) as memories
        from memories where status in ('active', 'archived')
        group by month, type order by month, type
        """,
    )
