"""What the triggers and the sensors look at: the only SQL of this room, and all of it reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import psycopg

from twin_pipelines.automation.drift import Reply

RECENT, LEARNT = 1_000, 2_000  # replies compared at most


def recent_replies(connection: psycopg.Connection, version: str) -> list[Reply]:
    """The newest usable replies that the dataset `version` does not hold, RECENT at most."""
    rows = connection.execute(
        """
        select session_id::text, reply, language from instruct_pairs
        where excluded is null and replied_at > (
            select coalesce(max(replied_at), '-infinity') from instruct_pairs as known
            join dataset_pairs on pair_id = known.id and version = %(version)s
        )
        order by replied_at desc limit %(limit)s
        """,
        {"version": version, "limit": RECENT},
    ).fetchall()
    return [Reply(*row) for row in rows]


def learnt_replies(connection: psycopg.Connection, version: str) -> list[Reply]:
    """Replies of the dataset's train split that still exist, LEARNT of them at most.

    Which ones is decided by their identity, so that the choice neither changes nor favours a time.
    """
    rows = connection.execute(
        """
        select session_id::text, reply, language from instruct_pairs
        join dataset_pairs on pair_id = id and version = %s and split = 'train'
        order by md5(id::text) limit %s
        """,
        (version, LEARNT),
    ).fetchall()
    return [Reply(*row) for row in rows]


def corrections_since(connection: psycopg.Connection, since: datetime) -> int:
    """How many answers of the twin its owner corrected after a moment."""
    row = connection.execute(
        "select count(*) from corrections where made_at > %s", (since,)
    ).fetchone()
    return int(row[0]) if row else 0


def last_training(connection: psycopg.Connection) -> datetime | None:
    """When the last training ended; None before the first."""
    row = connection.execute("select max(created_at) from adapters").fetchone()
    return row[0] if row else None


def days_run_into(
    connection: psycopg.Connection, days: Sequence[date], pause_minutes: int
) -> list[date]:
    """The days after these that a session runs into from one of them, now or when last derived."""
    rows = connection.execute(
        """
        with touched as (select day, day + 1 as next from unnest(%(days)s::date[]) as day)
        select next from touched where exists (
            select from cleaned_messages as turn
            join raw_messages as first on first.id = turn.session_id
            where turn.day = next and first.day = touched.day
        )
        union
        select next from touched, lateral (
            select source, conversation_id, max(sent_at) as last from raw_messages
            where raw_messages.day = touched.day group by source, conversation_id
        ) as evening
        join lateral (
            select source, conversation_id, min(sent_at) as first from raw_messages
            where raw_messages.day = touched.next group by source, conversation_id
        ) as morning using (source, conversation_id)
        where first - last < make_interval(mins => %(pause)s)
        order by 1
        """,
        {"days": list(days), "pause": pause_minutes},
    ).fetchall()
    return [day for (day,) in rows]
