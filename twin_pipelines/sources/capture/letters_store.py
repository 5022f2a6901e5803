"""The SQL over `dead_letters`: rows of a source that break its mapping, and wait to be mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import psycopg

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.sources.capture.feeds import Feed


@dataclass(frozen=True)
class Letter:
    """A row that could not be taken over."""

    source: str
    key: str
    reason: str
    excerpt: str


def write_letters(
    connection: psycopg.Connection, feed: Feed, letters: Sequence[Letter], position: str
) -> None:
    """Set rows aside that cannot be taken over; a later state of a row takes the place of one.

    Nothing is quoted of a row that was erased here, nor, while there are rules about what may not
    come back, of any: a broken row does not tell whether it is meant.
    """
    connection.execute(
        """
        insert into dead_letters (feed, source, key, reason, excerpt, position)
        select %(feed)s, source, key, reason,
               case when exists (select from erasure_rules)
                      or exists (select from tombstones
                                 where ref = md5(source || chr(31) || key)::uuid)
                    then '' else excerpt end,
               %(position)s
        from unnest(%(sources)s::text[], %(keys)s::text[], %(reasons)s::text[],
                    %(excerpts)s::text[]) as letter (source, key, reason, excerpt)
        on conflict (source, key) do update
        set (feed, reason, excerpt, position, seen_at, replayed_at)
            = row(excluded.feed, excluded.reason, excluded.excerpt, excluded.position,
                  clock_timestamp(), null)
        """,
        {
            "feed": feed.name,
            "position": position,
            "sources": [letter.source for letter in letters],
            "keys": [letter.key for letter in letters],
            "reasons": [letter.reason for letter in letters],
            "excerpts": [letter.excerpt for letter in letters],
        },
    )


def answer_letters(connection: psycopg.Connection, source: str, keys: Sequence[str]) -> int:
    """Mark rows as taken over after all, as a later state of them was; how many waited."""
    return connection.execute(
        "update dead_letters set replayed_at = clock_timestamp(), excerpt = '' "
        "where source = %s and key = any(%s::text[]) and replayed_at is null",
        (source, list(keys)),
    ).rowcount


def answer_others(connection: psycopg.Connection, source: str, keys: Sequence[str]) -> int:
    """Mark all of a source's rows but these as taken over, or gone; how many waited."""
    return connection.execute(
        "update dead_letters set replayed_at = clock_timestamp(), excerpt = '' "
        "where source = %s and not key = any(%s::text[]) and replayed_at is null",
        (source, list(keys)),
    ).rowcount


def waiting_letters(connection: psycopg.Connection, source: str | None = None) -> pl.DataFrame:
    """Rows that wait, of sources that are followed: `source, key, reason, excerpt, seen_at`, the
    oldest first."""
    return fetch_frame(
        connection,
        """
        select source, key, reason, excerpt, seen_at from dead_letters join feeds using (feed)
        where replayed_at is null and stopped_at is null
          and (%(source)s::text is null or source = %(source)s)
        order by seen_at, letter_id
        """,
        {"source": source},
        schema={
            **dict.fromkeys(("source", "key", "reason", "excerpt"), pl.String),
            "seen_at": pl.Datetime("us", "UTC"),
        },
    )
