"""The SQL that compares landed messages with those of a followed source."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.reconciliation_store import Compared

_UNLIKE = {"key": pl.String, "day": pl.Date, "there": pl.String}


def compared(source: str, days: DayRange) -> Compared:
    """A source's landed messages of the days, as `tables.compared` gives those of its table."""
    return Compared(
        sql.SQL("raw_messages"),
        sql.SQL("source_message_id"),
        sql.SQL("day"),
        [
            *(sql.SQL(name) for name in ("conversation_id", "speaker", "text")),
            sql.SQL("(extract(epoch from sent_at) * 1000000)::bigint"),
            *(sql.SQL(name) for name in ("reply_to", "metadata::text")),
        ],
        sql.SQL("source = %(source)s and day between %(first)s and %(last)s"),
        {"source": source, "first": days.first, "last": days.last},
    )


def unlike(
    connection: psycopg.Connection, source: str, messages: pl.DataFrame, keys: Sequence[str]
) -> pl.DataFrame:
    """Those of the identities whose message is not the one that landed: `key`, `day`, `there` (a
    hash of the source's message, null where it has none).

    `messages` are the source's of these identities, as raw_messages has them. What was erased here
    and is kept out is none. Begins a transaction that the caller ends.
    """
    capture_store.clear_stage(connection)
    capture_store.stage(connection, messages)
    compared = sql.SQL(", ").join(map(sql.Identifier, capture_store.LANDED))
    return fetch_frame(
        connection,
        sql.SQL(
            """
            select key, coalesce(here.day, there.day) as day, md5(there.said) as there
            from unnest(%(keys)s::text[]) as key
            left join (
                select source_message_id, day, row({compared})::text as said from raw_messages
                where source = %(source)s and source_message_id = any(%(keys)s::text[])
            ) as here on here.source_message_id = key
            left join (
                select source_message_id, day, row({compared})::text as said from incoming_changes
            ) as there on there.source_message_id = key
            where here.said is distinct from there.said
              and not (here.said is null and exists (
                  select from tombstones
                  where ref = md5(%(source)s || chr(31) || key)::uuid))
            """
        ).format(compared=compared),
        {"source": source, "keys": list(keys)},
        _UNLIKE,
    )


def nothing() -> pl.DataFrame:
    """What `unlike` gives when all is alike."""
    return pl.DataFrame(schema=_UNLIKE)
