"""Whether the index says what was said: a sample of it is made again and compared."""

from __future__ import annotations

import psycopg

from twin_pipelines.retrieval.index import check_store
from twin_pipelines.retrieval.index.index_store import load, state

SESSIONS = 200


def outdated(connection: psycopg.Connection, sessions: int) -> int:
    """How many entries of at most so many sessions, and of as many memories, are not of their text.

    The sample is the same as long as the history is. What is queued is left out.
    """
    sample = check_store.sampled(connection, sessions)
    return load(connection, sample, state(connection).model).filter("stale").height
