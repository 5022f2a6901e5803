"""How often, and when last, each memory was recalled: the only SQL that writes `memory_recalls`.

Apart from `memories`, because it changes with every answer: recalling journals nothing and waits
for no consolidation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl
import psycopg

from twin_pipelines.foundation.database import fetch_frame


def record_recalls(connection: psycopg.Connection, memory_ids: Sequence[str], at: datetime) -> int:
    """Count one recall at `at` (with its time zone) of each memory, in one statement.

    A memory named twice counts once, one that is gone is left out, and the latest time stays. Rows
    are taken in the order of their ids, so that two answers at once cannot lock each other out.
    Returns how many were counted; the caller commits.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a recall needs a time zone")
    return connection.execute(
        """
        insert into memory_recalls as old (memory_id, recalls, last_recalled_at)
        select memory_id, 1, %s from memories where memory_id = any(%s::uuid[])
        order by memory_id for key share
        on conflict (memory_id) do update
        set recalls = old.recalls + 1,
            last_recalled_at = greatest(old.last_recalled_at, excluded.last_recalled_at)
        """,
        (at, list(memory_ids)),
    ).rowcount


def load_recalls(
    connection: psycopg.Connection, memory_ids: Sequence[str] | None = None
) -> pl.DataFrame:
    """`memory_id`, `recalls` and `last_recalled_at` of these memories (None: of all), most first.

    A memory that was never recalled has no row.
    """
    return fetch_frame(
        connection,
        """
        select memory_id, recalls, last_recalled_at from memory_recalls
        where %(ids)s::uuid[] is null or memory_id = any(%(ids)s::uuid[])
        order by recalls desc, memory_id
        """,
        {"ids": None if memory_ids is None else list(memory_ids)},
    )
