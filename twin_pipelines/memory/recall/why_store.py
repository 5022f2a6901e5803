"""What is read to explain a memory; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.memory.records import MEMORIES

_TIME = pl.Datetime("us", "UTC")
EXPLAINED: dict[str, Any] = {
    **MEMORIES,
    "recalls": pl.Int64,
    "last_recalled_at": _TIME,
    "candidate": pl.Boolean,
    "candidates_before": pl.Int64,
    "served": pl.Boolean,
    "indexed": pl.Boolean,
    "superseding": pl.String,
}


def matching(connection: psycopg.Connection, beginning: str, most: int = 5) -> list[str]:
    """At most so many ids of memories that begin like this (lower case, digits a–f and hyphens)."""
    rows = connection.execute(
        "select memory_id::text from memories where starts_with(memory_id::text, %s) "
        "order by memory_id limit %s",
        (beginning, most),
    ).fetchall()
    return [row[0] for row in rows]


def load_explained(
    connection: psycopg.Connection, memory_ids: Sequence[str], threshold: float, sessions: int
) -> pl.DataFrame:
    """Memories (EXPLAINED) with what is known about them elsewhere, in the order of their ids.

    `candidate`: in core_candidates; `candidates_before`: how many candidates that reach the
    thresholds come before it; `served`: a core memory of the release in force; `superseding`: the
    content of the memory that replaced it.
    """
    return fetch_frame(
        connection,
        f"""
        select {", ".join(f"m.{name}" for name in MEMORIES)},
               coalesce(r.recalls, 0) as recalls, r.last_recalled_at,
               c.memory_id is not null as candidate,
               (select count(*) from core_candidates o
                where o.importance >= %(threshold)s::real and o.sessions >= %(sessions)s
                  and (o.importance, c.memory_id) > (c.importance, o.memory_id)
               ) as candidates_before,
               exists (select from core_memories k join releases using (release_id)
                       where k.memory_id = m.memory_id and releases.status = 'champion') as served,
               exists (select from memory_embeddings e where e.memory_id = m.memory_id
                       and e.content_hash = md5(m.content)) as indexed,
               newer.content as superseding
        from memories m
        left join memory_recalls r on r.memory_id = m.memory_id
        left join core_candidates c on c.memory_id = m.memory_id
        left join memories newer on newer.memory_id = m.superseded_by
        where m.memory_id = any(%(ids)s::uuid[])
        order by m.memory_id
        """,
        {"ids": list(memory_ids), "threshold": threshold, "sessions": sessions},
        schema=EXPLAINED,
    )


def load_messages(connection: psycopg.Connection, message_ids: Sequence[str]) -> pl.DataFrame:
    """The raw messages that are still there: `id, speaker, sent_at, text`, in order of time."""
    return fetch_frame(
        connection,
        "select id, speaker, sent_at, text from raw_messages where id = any(%s::uuid[]) "
        "order by sent_at, id",
        [list(message_ids)],
    )


def load_relatives(connection: psycopg.Connection, memory_id: str) -> pl.DataFrame:
    """Memories it was made of (`made_of` true) and those made of it: `made_of, memory_id, type,
    kind, content, status`."""
    return fetch_frame(
        connection,
        """
        select other.memory_id = any(own.source_ids) as made_of, other.memory_id, other.type,
               other.kind, other.content, other.status
        from memories own join memories other
          on other.memory_id = any(own.source_ids) or other.source_ids @> array[own.memory_id]
        where own.memory_id = %s
        order by made_of desc, other.first_at, other.memory_id
        """,
        [memory_id],
    )


def load_unfit(
    connection: psycopg.Connection, words: Sequence[str], at: datetime, most: int
) -> pl.DataFrame:
    """Memories that hold words of a question but are not recalled: `memory_id`, `held` (how many).

    They are archived, quarantined or imagined, no longer hold at `at`, or, named last, merged into
    one that is recalled for them. `words` are lower case.
    """
    return fetch_frame(
        connection,
        """
        select memory_id, held
        from memories cross join lateral (
            select count(*) as held from unnest(%(words)s::text[]) as word
            where position(word in lower(content)) > 0
        ) as counted
        where held > 0 and (status <> 'active' or imagined or valid_until <= %(at)s)
        order by status = 'merged', held desc, importance desc, memory_id limit %(most)s
        """,
        {"words": list(words), "at": at, "most": most},
    )
