"""SQL of the extraction over `memories`, beside `store.rewrite_days`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.memory.records import MEMORIES

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange


def in_mind(connection: psycopg.Connection, hours: float) -> list[str]:
    """The latest session of each conversation, if it ended within `hours` of the history's end."""
    rows = connection.execute(
        """
        with last as (
            select distinct on (source, conversation_id) session_id
            from cleaned_messages order by source, conversation_id, sent_at desc, place desc
        )
        select session_id::text from cleaned_messages join last using (session_id)
        group by session_id
        having max(ended_at) > (select max(ended_at) from cleaned_messages) - %s * interval '1 hour'
        order by session_id
        """,
        (hours,),
    )
    return [session for (session,) in rows]


def load_read(connection: psycopg.Connection, days: DayRange) -> pl.DataFrame:
    """Memories (MEMORIES) of the days that a language model found, and the episodes it read."""
    return fetch_frame(
        connection,
        f"""
        select {", ".join(MEMORIES)} from memories
        where day between %s and %s
          and (origin = 'llm' or type = 'episodic' and kind = 'session' and details ? 'read')
        order by memory_id
        """,
        (days.first, days.last),
        schema=MEMORIES,
    )


def drop_faded(connection: psycopg.Connection, sessions: Sequence[str]) -> int:
    """Delete extracts of sessions other than these, which are still in mind; what happened stays.

    Pinned ones stay. Returns how many were deleted.
    """
    return connection.execute(
        """
        delete from memories
        where type = 'short_term' and origin = 'extracted' and not pinned
          and details ->> 'session_id' <> all(%s)
        """,
        (list(sessions),),
    ).rowcount


def extraction_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each memory extracted from the days with what could be wrong with it.

    Columns `type`, `kind`, `content_length`, `importance`, `confidence`, `backward` (ended before
    it began), `premature` (a plan for a day before it was said), `elsewhere` (its session did not
    begin on its day), `messages` and `unknown_messages` (of them, no raw message).
    """
    return fetch_frame(
        connection,
        """
        with asked as (
            select *, (details ->> 'session_id')::uuid as session_id from memories
            where origin in ('extracted', 'llm') and day is not null
              and (%(first)s::date is null or day between %(first)s and %(last)s)
        ), linked as (
            select memory_id, count(*) as messages,
                   count(*) filter (where raw.id is null) as unknown_messages
            from asked, unnest(message_ids) as message
            left join raw_messages as raw on raw.id = message
            group by memory_id
        )
        select type, kind, length(btrim(content)) as content_length, importance, confidence,
            (last_at < first_at)::int as backward,
            coalesce(happens_on < asked.day, false)::int as premature,
            (began.day is distinct from asked.day)::int as elsewhere,
            coalesce(messages, 0) as messages, coalesce(unknown_messages, 0) as unknown_messages
        from asked left join linked using (memory_id)
        left join (
            select session_id, min(day) as day from cleaned_messages
            where session_id in (select session_id from asked) group by session_id
        ) as began on began.session_id = asked.session_id
        """,
        {"first": days and days.first, "last": days and days.last},
    )


def sessions_untold(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Sessions by the day they began: `day`, `sessions`, `untold` (without an episode)."""
    return fetch_frame(
        connection,
        """
        with begun as (
            select session_id, min(day) as day from cleaned_messages
            where %(first)s::date is null or day between %(first)s::date - 1 and %(last)s
            group by session_id
        ), told as (
            select (details ->> 'session_id')::uuid as session_id from memories
            where type = 'episodic' and kind = 'session'
        )
        select begun.day, count(*) as sessions,
               count(*) filter (where told.session_id is null) as untold
        from begun left join told using (session_id)
        where %(first)s::date is null or begun.day between %(first)s and %(last)s
        group by begun.day order by begun.day
        """,
        {"first": days and days.first, "last": days and days.last},
    )
