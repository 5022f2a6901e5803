"""The SQL over `sync_looks` and `sync_conflicts`, and over the conflicts a side keeps."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.sources.sync.pair import Pair, Side
from twin_pipelines.sources.sync.standing import Difference, Standing

KEPT = timedelta(days=30)  # deletions, by which a later setup knows what is gone
_CONFLICTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "sync": pl.String,
    "side": pl.String,
    "conflict_id": pl.Int64,
    "table_name": pl.String,
    "key": pl.String,
    "kind": pl.String,
    "lost_at": pl.Datetime("us", "UTC"),
    "kept_at": pl.Datetime("us", "UTC"),
    "seen_at": pl.Datetime("us", "UTC"),
}


def record_look(
    connection: psycopg.Connection,
    pair: Pair,
    seen: Standing,
    compared: list[Difference] | None,
) -> None:
    """Write down what a look saw; `compared` is None where the rows were not compared."""
    connection.execute(
        """
        insert into sync_looks as old
            (sync, local, remote, tables, problems, lag_bytes, skew_ms, compared_at, differing)
        values (%(sync)s, %(local)s, %(remote)s, %(tables)s, %(problems)s, %(lag)s, %(skew)s,
                case when %(compared)s then clock_timestamp() end, %(differing)s)
        on conflict (sync) do update
        set (local, remote, tables, looked_at, problems, lag_bytes, skew_ms, compared_at, differing)
            = row(excluded.local, excluded.remote, excluded.tables, clock_timestamp(),
                  excluded.problems, excluded.lag_bytes, excluded.skew_ms,
                  coalesce(excluded.compared_at, old.compared_at),
                  case when %(compared)s then excluded.differing else old.differing end)
        """,
        {
            "sync": pair.name,
            "local": pair.local.place,
            "remote": pair.remote.place,
            "tables": [one.table for one in pair.tables],
            "problems": list(seen.problems),
            "lag": Jsonb({one.giver: one.lag_bytes for one in seen.directions}),
            "skew": seen.skew_ms,
            "compared": compared is not None,
            "differing": Jsonb({one.table: one.rows for one in compared or []}),
        },
    )


def record_problem(connection: psycopg.Connection, sync: str, problem: str) -> None:
    """Write down why a sync cannot even be looked at, where it was seen before."""
    connection.execute(
        "update sync_looks set problems = %s, looked_at = clock_timestamp() where sync = %s",
        ([problem], sync),
    )


def forget_look(connection: psycopg.Connection, sync: str) -> None:
    """The sync is no more; its conflicts stay."""
    connection.execute("delete from sync_looks where sync = %s", [sync])


def compared_at(connection: psycopg.Connection, sync: str) -> datetime | None:
    """When both sides were compared row by row last; None: never."""
    row = connection.execute(
        "select compared_at from sync_looks where sync = %s", [sync]
    ).fetchone()
    return row[0] if row else None


def collect_conflicts(connection: psycopg.Connection, side: Side) -> int:
    """Take over which changes lost on a side since the last time, without their rows; how many."""
    row = connection.execute(
        "select max(seen_at) from sync_conflicts where sync = %s and side = %s",
        (side.sync, side.name),
    ).fetchone()
    since = row[0] if row else None
    found = fetch_frame(
        side.connection,
        sql.SQL(
            "select %(sync)s::text as sync, %(side)s::text as side, conflict_id, table_name, key, "
            "kind, lost_at, kept_at, seen_at from {} "
            "where %(since)s::timestamptz is null or seen_at >= %(since)s::timestamptz"
        ).format(sql.Identifier(side.sync, "conflicts")),
        {"sync": side.sync, "side": side.name, "since": since},
        _CONFLICTS,
    )
    connection.execute(
        "create temporary table if not exists incoming_conflicts (like sync_conflicts) "
        "on commit delete rows"
    )
    connection.execute("truncate incoming_conflicts")
    copy_frame(connection, "incoming_conflicts", found)
    return connection.execute(
        "insert into sync_conflicts select * from incoming_conflicts on conflict do nothing"
    ).rowcount


def prune_deletions(side: Side) -> int:
    """Forget deletions that are older than any log that could still arrive; how many."""
    return side.connection.execute(
        sql.SQL("delete from {} where deleted_at < clock_timestamp() - %s").format(
            sql.Identifier(side.sync, "deletions")
        ),
        [KEPT],
    ).rowcount


def conflicts(connection: psycopg.Connection, sync: str, most: int = 10) -> list[dict[str, Any]]:
    """The latest conflicts: `side, table_name, key, kind, lost_at, kept_at, seen_at`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            select side, table_name, key, kind, lost_at, kept_at, seen_at
            from sync_conflicts where sync = %s order by seen_at desc limit %s
            """,
            (sync, most),
        ).fetchall()


def summary(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Every sync as it stood at its last look, with `conflicts` ({table: number})."""
    found = fetch_frame(
        connection,
        """
        select sync, local, remote, tables, looked_at, problems, lag_bytes::text, skew_ms,
               compared_at, differing::text,
               (select coalesce(jsonb_object_agg(table_name, number), '{}')::text from (
                   select table_name, count(*) as number from sync_conflicts
                   where sync_conflicts.sync = sync_looks.sync group by table_name
               ) as counted) as conflicts
        from sync_looks order by sync
        """,
    )
    decoded = ("lag_bytes", "differing", "conflicts")
    return [
        {name: json.loads(value) if name in decoded else value for name, value in row.items()}
        for row in found.iter_rows(named=True)
    ]
