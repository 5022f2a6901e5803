"""The SQL over `feeds`, `touched_days` and `touched_tables`, and what a change does to
`raw_messages`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import TwinError
from twin_pipelines.sources.capture.feeds import Feed

LANDED = (
    *("source", "source_message_id", "conversation_id", "speaker", "text", "sent_at", "day"),
    *("reply_to", "metadata"),
)


class Busy(TwinError):
    """Another process reads the feed."""


@dataclass(frozen=True)
class Position:
    """How far a feed was followed; positions are text, as `16/B374D848`."""

    position: str
    snapshot: str | None
    snapshot_until: str | None
    tables: tuple[str, ...]
    mapping: str


@contextmanager
def only_reader(connection: psycopg.Connection, feed: Feed) -> Iterator[None]:
    """Be the one process that reads the feed. Raises Busy when there is another one."""
    row = connection.execute(
        "select pg_try_advisory_lock(hashtext('feeds'), hashtext(%s))", [feed.name]
    ).fetchone()
    connection.commit()
    if row != (True,):
        raise Busy(f"The changes of {feed.name} are being read by another process; let it.")
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()
            connection.execute(
                "select pg_advisory_unlock(hashtext('feeds'), hashtext(%s))", [feed.name]
            )
            connection.commit()


def position(connection: psycopg.Connection, feed: Feed) -> Position | None:
    """How far the feed was followed; None before it was taken over whole."""
    row = connection.execute(
        "select position::text, snapshot::text, snapshot_until::text, tables, mapping "
        "from feeds where feed = %s and position is not null",
        [feed.name],
    ).fetchone()
    return Position(row[0], row[1], row[2], tuple(row[3]), row[4]) if row else None


def begin(
    connection: psycopg.Connection,
    feed: Feed,
    location: str,
    *,
    position: str,
    snapshot: str,
    snapshot_until: str,
) -> None:
    """Write down that the feed was taken over whole; the caller has begun a transaction."""
    connection.execute(
        """
        insert into feeds as old
            (feed, location, tables, mapping, position, snapshot, snapshot_until)
        values (%(feed)s, %(location)s, %(tables)s, %(mapping)s, %(position)s, %(snapshot)s,
                %(until)s)
        on conflict (feed) do update
        set (location, tables, mapping, position, snapshot, snapshot_until, snapshots, problem,
             problem_since, stopped_at, drained_at)
            = row(excluded.location, excluded.tables, excluded.mapping, excluded.position,
                  excluded.snapshot, excluded.snapshot_until, old.snapshots + 1, '', null, null,
                  clock_timestamp())
        """,
        {
            "feed": feed.name,
            "location": location,
            "tables": list(feed.tables),
            "mapping": feed.mapping,
            "position": position,
            "snapshot": snapshot,
            "until": snapshot_until,
        },
    )


def proceed(
    connection: psycopg.Connection,
    feed: Feed,
    *,
    position: str,
    committed_at: datetime,
    rows: Mapping[str, Mapping[str, int]],
) -> None:
    """Move the feed's position and add to its rows, in the caller's transaction."""
    connection.execute(
        """
        update feeds set position = %(position)s, committed_at = %(committed_at)s,
            snapshot = case when snapshot_until > %(position)s::pg_lsn then snapshot end,
            rows = (
                select coalesce(jsonb_object_agg(table_name, kinds), '{}') from (
                    select table_name, jsonb_object_agg(kind, number) as kinds from (
                        select table_name, kind, sum(number::bigint) as number from (
                            select t.key as table_name, k.key as kind, k.value as number
                            from jsonb_each(feeds.rows) as t, jsonb_each_text(t.value) as k
                            union all
                            select t.key, k.key, k.value
                            from jsonb_each(%(rows)s) as t, jsonb_each_text(t.value) as k
                        ) as counted group by table_name, kind
                    ) as summed group by table_name
                ) as tables
            )
        where feed = %(feed)s
        """,
        {
            "feed": feed.name,
            "position": position,
            "committed_at": committed_at,
            "rows": Jsonb(rows),
        },
    )


def feed_positions(connection: psycopg.Connection) -> dict[str, str]:
    """How far each feed was followed."""
    rows = connection.execute(
        "select feed, position::text from feeds where position is not null"
    ).fetchall()
    return dict(rows)


def feed_summary(connection: psycopg.Connection) -> pl.DataFrame:
    """One row a feed: `feed, location, tables, position, snapshots, rows` (JSON), `committed_at,
    drained_at, lag_bytes, clock_ahead` (seconds), `problem, problem_since, stopped_at,
    touched_days`."""
    return fetch_frame(
        connection,
        """
        select feed, location, tables, position::text, snapshots, rows::text, committed_at,
               drained_at, lag_bytes, clock_ahead, problem, problem_since, stopped_at,
               (select count(*) from touched_days where touched_days.feed = feeds.feed)
                   as touched_days
        from feeds order by feed
        """,
        schema={
            "feed": pl.String,
            "location": pl.String,
            "tables": pl.List(pl.String),
            "position": pl.String,
            "snapshots": pl.Int32,
            "rows": pl.String,
            "committed_at": pl.Datetime("us", "UTC"),
            "drained_at": pl.Datetime("us", "UTC"),
            "lag_bytes": pl.Int64,
            "clock_ahead": pl.Float64,
            "problem": pl.String,
            "problem_since": pl.Datetime("us", "UTC"),
            "stopped_at": pl.Datetime("us", "UTC"),
            "touched_days": pl.Int64,
        },
    )


def looked(
    connection: psycopg.Connection, feed: Feed, *, lag_bytes: int, clock_ahead: float
) -> None:
    """Write down that the feed was read to its end, how much was written there since, and by how
    many seconds that server's clock is ahead."""
    connection.execute(
        "update feeds set drained_at = clock_timestamp(), lag_bytes = %s, clock_ahead = %s, "
        "problem = '', problem_since = null where feed = %s",
        (lag_bytes, clock_ahead, feed.name),
    )


def failed(connection: psycopg.Connection, feed: Feed, problem: str) -> None:
    """Write down why the feed cannot be followed, also of one that never was."""
    connection.execute(
        """
        insert into feeds as old (feed, location, tables, mapping, snapshots, problem,
                                  problem_since)
        values (%(feed)s, %(location)s, '{}', '', 0, %(problem)s, clock_timestamp())
        on conflict (feed) do update
        set (problem, problem_since)
            = row(excluded.problem, coalesce(old.problem_since, excluded.problem_since))
        """,
        {"feed": feed.name, "location": feed.location, "problem": problem},
    )


def complain(connection: psycopg.Connection, name: str, problem: str) -> None:
    """Write down a problem of a feed that stands here and is in no settings."""
    connection.execute(
        "update feeds set problem = %s, problem_since = clock_timestamp() where feed = %s",
        (problem, name),
    )


def still_open(connection: psycopg.Connection, but: Sequence[str]) -> dict[str, str]:
    """Problem by feed, of the feeds that were never stopped and are none of these."""
    rows = connection.execute(
        "select feed, problem from feeds where stopped_at is null and not feed = any(%s)",
        [list(but)],
    ).fetchall()
    return dict(rows)


def stop(connection: psycopg.Connection, feed: Feed) -> None:
    """Write down that the feed has no slot any more; its touched days go on waiting."""
    connection.execute(
        "update feeds set stopped_at = clock_timestamp(), lag_bytes = 0, problem = '', "
        "problem_since = null where feed = %s",
        [feed.name],
    )


def seen_by_snapshot(
    connection: psycopg.Connection, snapshot: str, xids: Sequence[int]
) -> set[int]:
    """Those of the transactions (32-bit numbers) that a snapshot saw.

    The number's upper half is the one that brings it nearest to the snapshot's end.
    """
    rows = connection.execute(
        """
        with taken as (
            select %(snapshot)s::pg_snapshot as snapshot,
                   pg_snapshot_xmax(%(snapshot)s::pg_snapshot)::text::numeric as top
        )
        select xid from taken, unnest(%(xids)s::bigint[]) as xid,
        lateral (
            select (xid + 4294967296 * greatest(0, round((top - xid) / 4294967296)))::text::xid8
        ) as whole (number)
        where pg_visible_in_snapshot(number, snapshot)
        """,
        {"snapshot": snapshot, "xids": list(xids)},
    ).fetchall()
    return {xid for (xid,) in rows}


def clear_stage(connection: psycopg.Connection) -> None:
    """An empty place for messages, until the transaction ends."""
    connection.execute(
        "create temporary table if not exists incoming_changes"
        " (like raw_messages including generated) on commit delete rows"
    )
    connection.execute("truncate incoming_changes")


def stage(connection: psycopg.Connection, frame: pl.DataFrame) -> None:
    """Add messages to the place; `frame` has the columns of raw_messages but `id`."""
    copy_frame(connection, "incoming_changes", frame.select(LANDED))


def change_messages(
    connection: psycopg.Connection, source: str, deleted: Sequence[str], *, emptied: bool
) -> list[date]:
    """Bring the staged messages to what they are now, and delete some; the days this changed.

    `deleted` are identities in the source; `emptied` deletes all others but the staged ones. A
    message that is the same already changes nothing.
    """
    rows = connection.execute(
        """
        with gone as (
            delete from raw_messages
            where source = %(source)s and (
                source_message_id = any(%(deleted)s::text[])
                or (%(emptied)s and id not in (select id from incoming_changes))
            )
            returning day
        )
        select day from gone
        """,
        {"source": source, "deleted": list(deleted), "emptied": emptied},
    ).fetchall()
    days = {day for (day,) in rows}
    return sorted(days | _write_staged(connection))


def replace_messages(connection: psycopg.Connection, source: str) -> list[date]:
    """Make the staged messages the whole of a source's; the days that this changed.

    Equal rows are not touched.
    """
    connection.execute("analyze incoming_changes")
    rows = connection.execute(
        """
        delete from raw_messages as old
        where source = %(source)s
          and not exists (select from incoming_changes as new where new.id = old.id)
        returning day
        """,
        {"source": source},
    ).fetchall()
    days = {day for (day,) in rows}
    return sorted(days | _write_staged(connection))


def forget_readings(connection: psycopg.Connection, source: str) -> None:
    """Remove the account of readings of a source's table: the feed keeps it now."""
    connection.execute("delete from imports where source = %s", [source])


def touch_days(
    connection: psycopg.Connection, feed: Feed, days: Sequence[date], position: str
) -> None:
    """Queue days for everything that is derived from their messages."""
    connection.execute(
        """
        insert into touched_days (day, feed, position)
        select day, %(feed)s, %(position)s from unnest(%(days)s::date[]) as day order by day
        on conflict (day, feed) do update set position = excluded.position
        """,
        {"feed": feed.name, "days": list(days), "position": position},
    )


def touch_tables(
    connection: psycopg.Connection, feed: Feed, tables: Sequence[str], position: str
) -> None:
    """Queue tables of memories for their import."""
    connection.execute(
        """
        insert into touched_tables (table_name, feed, position)
        select name, %(feed)s, %(position)s from unnest(%(tables)s::text[]) as name order by name
        on conflict (table_name, feed) do update set position = excluded.position
        """,
        {"feed": feed.name, "tables": list(tables), "position": position},
    )


def touched(connection: psycopg.Connection) -> pl.DataFrame:
    """Days that wait: `day`, `feed`, `position`, `since`, the earliest day first."""
    return fetch_frame(
        connection,
        "select day, feed, position::text, since from touched_days order by day, feed",
        schema={
            "day": pl.Date,
            "feed": pl.String,
            "position": pl.String,
            "since": pl.Datetime("us", "UTC"),
        },
    )


def touched_tables(connection: psycopg.Connection) -> list[str]:
    """Tables of memories that wait for their import, in order."""
    rows = connection.execute("select distinct table_name from touched_tables order by 1")
    return [name for (name,) in rows.fetchall()]


def settle_tables(connection: psycopg.Connection, positions: Mapping[str, str]) -> int:
    """Take tables off the queue that were imported after these positions; how many went."""
    return connection.execute(
        """
        delete from touched_tables as waiting
        using unnest(%(feeds)s::text[], %(positions)s::pg_lsn[]) as done (feed, position)
        where waiting.feed = done.feed and waiting.position <= done.position
        """,
        {"feeds": list(positions), "positions": list(positions.values())},
    ).rowcount


def settle_days(
    connection: psycopg.Connection, days: DayRange, positions: Mapping[str, str]
) -> int:
    """Take days off the queue that were derived after these positions; how many went.

    What changed later than a feed's position stays.
    """
    return connection.execute(
        """
        delete from touched_days as waiting
        using unnest(%(feeds)s::text[], %(positions)s::pg_lsn[]) as done (feed, position)
        where waiting.day between %(first)s and %(last)s and waiting.feed = done.feed
          and waiting.position <= done.position
        """,
        {
            "first": days.first,
            "last": days.last,
            "feeds": list(positions),
            "positions": list(positions.values()),
        },
    ).rowcount


def _write_staged(connection: psycopg.Connection) -> set[date]:
    names = ", ".join(LANDED)
    rows = connection.execute(
        f"""
        with differing as (
            select new.id, old.day as day_before from incoming_changes as new
            left join raw_messages as old using (id)
            where old.id is null or ({", ".join(f"old.{name}" for name in LANDED)})
                is distinct from ({", ".join(f"new.{name}" for name in LANDED)})
        ), written as (
            insert into raw_messages ({names})
            select {names} from incoming_changes where id in (select id from differing)
            on conflict (id) do update
            set ({names}) = row({", ".join(f"excluded.{name}" for name in LANDED)})
            returning day
        )
        select day from written union select day_before from differing where day_before is not null
        """
    ).fetchall()
    return {day for (day,) in rows}
