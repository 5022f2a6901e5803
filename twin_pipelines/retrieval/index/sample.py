"""Whether the index says what was said: a sample of it is made again and compared."""

from __future__ import annotations

import psycopg

from twin_pipelines.retrieval.index import check_store
from twin_pipelines.retrieval.index.entries import STORED, entries_of
from twin_pipelines.retrieval.index.index_store import load

SESSIONS = 200


def outdated(connection: psycopg.Connection, sessions: int) -> int:
    """How many entries of at most so many sessions, and of as many memories, are not of their text.

    The sample is the same as long as the history is. What is queued is left out.
    """
    found, known = load(connection, check_store.sampled(connection, sessions))
    columns = ("kind", "ref", *STORED)
    made = entries_of(found).select(columns)
    return made.join(
        known.select(columns).cast(made.schema), on=columns, how="anti", nulls_equal=True
    ).height + max(known.height - found.height, 0)
