"""What the checks read of the search index."""

from __future__ import annotations

import polars as pl
import psycopg

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.retrieval.index.queue_store import Ref


def coverage(connection: psycopg.Connection) -> pl.DataFrame:
    """A row a kind: how many turns and active memories there are, and how the index covers them.

    Columns `kind`, `wanted`, `missing` (without an entry), `unwanted` (entries of what is not to be
    found).
    """
    return fetch_frame(
        connection,
        """
        with wanted as (
            select 'turn' as kind, id as ref from cleaned_messages
            where id not in (select id from forgotten_turns)
            union all
            select 'memory', memory_id from memories where status = 'active'
        ), indexed as (
            select case when message_id is null then 'memory' else 'turn' end as kind,
                   coalesce(message_id, memory_id) as ref
            from search_entries
        )
        select kind, count(wanted.ref) as wanted,
               count(*) filter (where indexed.ref is null) as missing,
               count(*) filter (where wanted.ref is null) as unwanted
        from wanted full join indexed using (kind, ref)
        group by kind order by kind desc
        """,
    )


def vector_summary(connection: psycopg.Connection) -> pl.DataFrame:
    """A row a model: `model`, `entries`, `shortest`, `longest` (Euclidean), `dimensions`."""
    return fetch_frame(
        connection,
        """
        select model, count(*) as entries,
               least(min(l2_norm(own_vector)), min(l2_norm(around_vector))) as shortest,
               greatest(max(l2_norm(own_vector)), max(l2_norm(around_vector))) as longest,
               count(distinct vector_dims(own_vector) || '/' || vector_dims(around_vector))
                   as dimensions
        from search_entries group by model order by model
        """,
    )


def recounted(connection: psycopg.Connection) -> pl.DataFrame:
    """What triggers keep beside a recount: `what`, `kept`, `counted`.

    Terms first, as the number of terms that are right and the number there are; then the sums.
    """
    return fetch_frame(
        connection,
        """
        with recounted as (
            select term, sum(own) as own, sum(around) as around from (
                select unnest(own_terms) as term, 1 as own, 0 as around from search_entries
                union all
                select unnest(terms), 0, 1 from search_entries
            ) as each group by term
        ), sums as (
            select count(*) as entries, coalesce(sum(own_length), 0) as own,
                   coalesce(sum(around_length), 0) as around
            from search_entries
        )
        select 'terms' as what, count(*) filter (
            where coalesce(kept.own, 0) = coalesce(recounted.own, 0)
              and coalesce(kept.around, 0) = coalesce(recounted.around, 0)
        ) as kept, count(*) as counted
        from search_terms as kept full join recounted using (term)
        union all
        select 'entries', state.entries, sums.entries from search_state as state, sums
        union all
        select 'own length', state.own_length, sums.own::bigint from search_state as state, sums
        union all
        select 'around length', state.around_length, sums.around::bigint
        from search_state as state, sums
        """,
    )


def queued(connection: psycopg.Connection) -> int:
    """How many sessions and memories wait to be indexed."""
    row = connection.execute("select count(*) from search_queue").fetchone()
    return row[0] if row else 0


def sampled(connection: psycopg.Connection, most: int) -> list[Ref]:
    """At most so many sessions, and as many memories, that are not queued; always the same ones."""
    return connection.execute(
        """
        (
            select 'session', session_id::text, now() from cleaned_messages
            where not exists (select from search_queue where kind = 'session' and ref = session_id)
            group by session_id order by md5(session_id::text) limit %(most)s
        ) union all (
            select 'memory', memory_id::text, now() from memories
            where status = 'active'
              and not exists (select from search_queue where kind = 'memory' and ref = memory_id)
            order by md5(memory_id::text) limit %(most)s
        )
        """,
        {"most": most},
    ).fetchall()
