"""The only SQL over `memory_runs` and `memory_changes`: the journal and its undoing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import fetch_frame

_COLUMNS: LiteralString = """
    memory_id, type, kind, title, content, about, people, language, importance, importance_parts,
    confidence, sessions, day, first_at, last_at, valid_from, valid_until, superseded_by,
    happens_on, status, status_reason, pinned, origin, source_ref, message_ids, source_ids, details
"""
_OF_ROW: LiteralString = """
    row.memory_id, row.type, row.kind, row.title, row.content, row.about, row.people, row.language,
    row.importance, row.importance_parts, row.confidence, row.sessions, row.day, row.first_at,
    row.last_at, row.valid_from, row.valid_until, row.superseded_by, row.happens_on, row.status,
    row.status_reason, row.pinned, row.origin, row.source_ref, row.message_ids, row.source_ids,
    row.details
"""


def present_run(connection: psycopg.Connection) -> int | None:
    """The run the present transaction writes to; None: it writes to none."""
    query = "select nullif(current_setting('twin.memory_run', true), '')::bigint"
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def open_run(
    connection: psycopg.Connection, kind: str, words: str, settings: Mapping[str, Any]
) -> int:
    """Begin a run and let the transaction's changes be journaled as its own."""
    row = connection.execute(
        """
        with opened as (
            insert into memory_runs (kind, words, settings) values (%s, %s, %s) returning run_id
        )
        select run_id, set_config('twin.memory_run', run_id::text, true) from opened
        """,
        (kind, words, Jsonb(dict(settings))),
    ).fetchone()
    if row is None:
        raise RuntimeError("the database gave a run no number")
    return int(row[0])


def close_run(
    connection: psycopg.Connection, run_id: int, words: str, counts: Mapping[str, int]
) -> dict[str, int]:
    """End the run; one that changed nothing leaves no trace. Returns `made, changed, removed`."""
    row = connection.execute(
        """
        select count(*) filter (where before is null),
               count(*) filter (where before is not null and after is not null),
               count(*) filter (where after is null),
               set_config('twin.memory_run', '', true)
        from memory_changes where run_id = %s
        """,
        [run_id],
    ).fetchone()
    made, changed, removed = row[:3] if row else (0, 0, 0)
    totals = {"made": made, "changed": changed, "removed": removed}
    if made or changed or removed:
        connection.execute(
            "update memory_runs set words = %s, counts = %s where run_id = %s",
            (words, Jsonb({**totals, **counts}), run_id),
        )
    else:
        connection.execute("delete from memory_runs where run_id = %s", [run_id])
    return totals


def load_runs(
    connection: psycopg.Connection, run_ids: Sequence[int] = (), limit: int = 50
) -> pl.DataFrame:
    """Runs, latest first (or those of `run_ids`).

    Columns `run_id, kind, words, settings, counts, started_at, undone_by`; settings and counts are
    JSON.
    """
    return fetch_frame(
        connection,
        """
        select run_id, kind, words, settings, counts, started_at, undone_by from memory_runs
        where cardinality(%(ids)s::bigint[]) = 0 or run_id = any(%(ids)s)
        order by run_id desc limit %(limit)s
        """,
        {"ids": list(run_ids), "limit": limit},
    )


def load_changes(
    connection: psycopg.Connection, *, run_id: int | None = None, memory_id: str | None = None
) -> pl.DataFrame:
    """What a run did, or what was done to a memory, in order.

    Columns `run_id, kind, words, started_at, undone_by, memory_id, before, after`; the last two are
    JSON of the row, null where there was none.
    """
    return fetch_frame(
        connection,
        """
        select run_id, kind, words, started_at, undone_by, memory_id, before, after
        from memory_changes join memory_runs using (run_id)
        where (%(run)s::bigint is null or run_id = %(run)s)
          and (%(memory)s::uuid is null or memory_id = %(memory)s)
        order by run_id, place
        """,
        {"run": run_id, "memory": memory_id},
    )


def later_runs(connection: psycopg.Connection, run_id: int) -> list[int]:
    """Standing runs after this one that changed one of its memories, latest first.

    A later run and its undo cancel out: neither is in the way.
    """
    rows = connection.execute(
        """
        select distinct later.run_id
        from memory_changes as own
        join memory_changes as later on later.memory_id = own.memory_id
                                    and later.run_id > own.run_id
        join memory_runs as run on run.run_id = later.run_id
        where own.run_id = %(run)s and run.undone_by is null
          and not exists (select from memory_runs as undone
                          where undone.undone_by = run.run_id
                            and undone.run_id > %(run)s)
        order by later.run_id desc
        """,
        {"run": run_id},
    )
    return [number for (number,) in rows.fetchall()]


def gather_changes(connection: psycopg.Connection, run_id: int) -> int:
    """Put into `undoing` what the run changed in all: one row a memory, as it was and became.

    `possible` is false where the former row rests on a message that is gone meanwhile. Returns how
    many memories it changed.
    """
    connection.execute(
        """
        create temporary table if not exists undoing (
            memory_id uuid primary key, before jsonb, after jsonb, possible boolean
        ) on commit delete rows
        """
    )
    connection.execute("truncate undoing")
    return connection.execute(
        """
        insert into undoing
        select net.memory_id, before, after, not exists (
            select from jsonb_array_elements_text(before -> 'message_ids') as message (id)
            where message.id::uuid <> all (coalesce(now.message_ids, '{}'))
              and not exists (select from raw_messages where raw_messages.id = message.id::uuid)
        )
        from (
            select distinct memory_id,
                first_value(before) over whole as before, last_value(after) over whole as after
            from memory_changes where run_id = %s
            window whole as (partition by memory_id order by place
                             rows between unbounded preceding and unbounded following)
        ) as net
        left join memories as now on now.memory_id = net.memory_id
        where before is distinct from after
        """,
        [run_id],
    ).rowcount


def restore_gathered(connection: psycopg.Connection) -> dict[str, int]:
    """Undo what `gather_changes` found; returns memories `returned`, `restored` and `taken_back`.

    Of a changed memory those columns go back that the run changed and that still are as it left
    them: what was derived anew since stays.
    """
    returned = connection.execute(
        f"""
        insert into memories ({_COLUMNS})
        select {_OF_ROW} from undoing, jsonb_populate_record(null::memories, before) as row
        where after is null and possible
        on conflict (memory_id) do nothing
        """
    ).rowcount
    restored = connection.execute(
        f"""
        update memories as old set ({_COLUMNS}) = row({_OF_ROW})
        from undoing,
            lateral (select to_jsonb(now) - 'imagined' as present
                     from memories as now where now.memory_id = undoing.memory_id) as found,
            lateral (select coalesce(jsonb_object_agg(key, value), '{{}}') as former
                     from jsonb_each(before) as part
                     where value is distinct from after -> key
                       and present -> key is not distinct from after -> key) as changed,
            jsonb_populate_record(null::memories, present || former) as row
        where old.memory_id = undoing.memory_id and before is not null and after is not null
          and possible and former <> '{{}}'
        """
    ).rowcount
    taken_back = connection.execute(
        "delete from memories using undoing "
        "where memories.memory_id = undoing.memory_id and before is null"
    ).rowcount
    return {"returned": returned, "restored": restored, "taken_back": taken_back}


def mark_undone(connection: psycopg.Connection, run_id: int, by: int) -> None:
    """Note that a run was undone.

    If it was an undo itself, what it took back stands again; if that was an undo too, what that had
    taken back is undone again; and so on.
    """
    connection.execute(
        """
        with recursive chain as (
            select run_id, %(by)s::bigint as undo, kind, settings, 0 as depth
            from memory_runs where run_id = %(run)s
            union all
            select run.run_id, chain.run_id, run.kind, run.settings, chain.depth + 1
            from chain join memory_runs as run on run.run_id = (chain.settings ->> 'run')::bigint
            where chain.kind = 'undo'
        )
        update memory_runs as run
        set undone_by = case when mod(chain.depth, 2) = 0 then chain.undo end
        from chain where run.run_id = chain.run_id
        """,
        {"run": run_id, "by": by},
    )


def remove_groundless(connection: psycopg.Connection) -> int:
    """Take out of the journal what is said no more; returns how many rows.

    Rows of memories a message of which is gone, of those that were extracted and are not any more,
    and of those made of a memory that is gone: none could be brought back. A sentence of the
    owner's run that quoted one goes too.
    """
    row = connection.execute(
        """
        with going as materialized (
            select run_id, place from memory_changes
            cross join lateral (values (before), (after)) as state (row)
            where exists (
                    select from jsonb_array_elements_text(row -> 'message_ids') as said (id)
                    where not exists (
                        select from raw_messages where raw_messages.id = said.id::uuid))
               or exists (
                    select from jsonb_array_elements_text(row -> 'source_ids') as source (id)
                    where not exists (select from memories where memory_id = source.id::uuid))
               or row ->> 'type' = 'episodic' and row ->> 'origin' in ('extracted', 'llm')
                  and not exists (select from memories
                                  where memories.memory_id = memory_changes.memory_id)
        ), reworded as (
            update memory_runs set words = kind || ': a memory of what is said no more'
            where kind in ('owner', 'undo') and run_id in (select run_id from going)
        ), removed as (
            delete from memory_changes where (run_id, place) in (select run_id, place from going)
            returning 1
        )
        select count(*) from removed
        """
    ).fetchone()
    return int(row[0]) if row else 0


def store_hash(connection: psycopg.Connection) -> str:
    """One hash of every column of every memory: equal stores have equal hashes."""
    row = connection.execute(
        "select md5(coalesce(string_agg(md5(memories::text), '' order by memory_id), '')) "
        "from memories"
    ).fetchone()
    return str(row[0]) if row else ""
