"""The queue of the search index: what changed since it was indexed, and who drains it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import psycopg
from psycopg import sql

MOST_REFS = 4_096  # of the queue that are looked at at once
_LOCK = "hashtext('search index')"

Ref = tuple[str, str, datetime]  # kind, id, queued at
Order = Literal["newest", "fresh", "oldest"]
_ORDERS = {
    "newest": "queued_at desc, kind, ref",
    "fresh": "queued_at desc, kind, ref",
    "oldest": "queued_at, kind, ref",
}


def try_alone(connection: psycopg.Connection, *, wait: bool) -> bool:
    """Become the one that drains the queue, for the life of the connection; False when one is."""
    if wait:
        connection.execute(f"select pg_advisory_lock({_LOCK})")
        return True
    return connection.execute(f"select pg_try_advisory_lock({_LOCK})").fetchone() == (True,)


def end_alone(connection: psycopg.Connection) -> None:
    """Let another drain the queue."""
    connection.execute(f"select pg_advisory_unlock({_LOCK})")


def something_waits(connection: psycopg.Connection) -> bool:
    """Whether anything is queued."""
    row = connection.execute("select exists (select from search_queue)").fetchone()
    return row == (True,)


def more_wait_than(connection: psycopg.Connection, number: int) -> bool:
    """Whether more sessions and memories are queued than so many."""
    row = connection.execute(
        "select exists (select from search_queue offset %s)", [number]
    ).fetchone()
    return row == (True,)


def waiting(connection: psycopg.Connection, model: str) -> int:
    """Turns and memories that are queued and have no entry of this model and weighing."""
    row = connection.execute(
        """
        select count(*) from (
            select e.model, e.weighing
            from search_queue q join cleaned_messages c on c.session_id = q.ref
            left join search_entries e on e.message_id = c.id
            where q.kind = 'session' and c.id not in (select id from forgotten_turns)
            union all
            select e.model, e.weighing
            from search_queue q join memories m on m.memory_id = q.ref
            left join search_entries e on e.memory_id = m.memory_id
            where q.kind = 'memory' and m.status = 'active'
        ) as queued
        cross join search_state as now
        where queued.model is distinct from %(model)s or queued.weighing <> now.weighing
        """,
        {"model": model},
    ).fetchone()
    return row[0] if row else 0


def pick(
    connection: psycopg.Connection, most: int, passed: Iterable[Ref], order: Order = "newest"
) -> list[Ref]:
    """What waits, up to about `most` turns and memories, without the passed.

    What changed last comes first, or what has waited longest; `fresh`: without sessions of which
    nothing waits but what stands beside a turn that changed (`let_wait`). At least one, however
    many turns its session has.
    """
    barred = list(passed)
    statement = sql.SQL(
        """
        select kind, ref::text, queued_at from (
            select kind, ref, queued_at, size,
                   sum(size) over (order by {order}) - size as before
            from (
                select * from search_queue
                where (kind, ref, queued_at) not in (
                    select * from unnest(%(kinds)s::text[], %(refs)s::uuid[], %(at)s::timestamptz[])
                ) and {open}
                order by {order} limit %(limit)s
            ) as newest,
            lateral (
                select case kind when 'memory' then 1 else (
                    select count(*) from cleaned_messages where session_id = ref
                ) end as size
            ) as sized
        ) as counted
        where before < %(most)s
        """
    ).format(order=sql.SQL(_ORDERS[order]), open=sql.SQL("fresh" if order == "fresh" else "true"))
    rows = connection.execute(
        statement,
        {
            "kinds": [kind for kind, _, _ in barred],
            "refs": [ref for _, ref, _ in barred],
            "at": [at for _, _, at in barred],
            "limit": min(most, MOST_REFS),
            "most": most,
        },
    )
    return rows.fetchall()


def sampled(connection: psycopg.Connection, most: int) -> list[Ref]:
    """At most so many of what waits, from all over the queue."""
    return connection.execute(
        "select kind, ref::text, queued_at from search_queue order by md5(ref::text) limit %s",
        [most],
    ).fetchall()


def still_queued(connection: psycopg.Connection, picked: Sequence[Ref]) -> set[Ref]:
    """Those that nobody queued anew or took out since; locked until the end of the transaction."""
    return set(
        connection.execute(
            """
            select q.kind, q.ref::text, q.queued_at
            from search_queue q
            join unnest(%s::text[], %s::uuid[], %s::timestamptz[]) as picked (kind, ref, at)
                on q.kind = picked.kind and q.ref = picked.ref and q.queued_at = picked.at
            for update of q skip locked
            """,
            [list(column) for column in zip(*picked, strict=True)],
        ).fetchall()
    )


def take_out(connection: psycopg.Connection, done: Iterable[Ref]) -> None:
    """Take what was indexed out of the queue (after `still_queued`)."""
    connection.execute(
        """
        delete from search_queue using unnest(%s::text[], %s::uuid[]) as done (kind, ref)
        where search_queue.kind = done.kind and search_queue.ref = done.ref
        """,
        _named(done),
    )


def let_wait(connection: psycopg.Connection, done: Iterable[Ref]) -> None:
    """Of these nothing waits any more but what stands beside a turn that changed."""
    connection.execute(
        """
        update search_queue set fresh = false
        from unnest(%s::text[], %s::uuid[]) as done (kind, ref)
        where search_queue.kind = done.kind and search_queue.ref = done.ref
        """,
        _named(done),
    )


def _named(refs: Iterable[Ref]) -> list[list[str]]:
    pairs = [(kind, ref) for kind, ref, _ in refs]
    return [[kind for kind, _ in pairs], [ref for _, ref in pairs]]


def queue_all(connection: psycopg.Connection) -> None:
    """Queue every session and every memory that is not queued yet.

    To be called at the beginning of a transaction: first it waits until nobody has anything
    uncommitted in the queue, then everybody else waits until the transaction ends.
    """
    connection.execute("lock table search_queue in share row exclusive mode")
    connection.execute(
        """
        insert into search_queue (kind, ref)
        select distinct 'session', session_id from cleaned_messages
        union all
        select 'memory', memory_id from memories where status = 'active'
        on conflict (kind, ref) do nothing
        """
    )
