"""The SQL over `erasures`, `erasing`, `tombstones`, `erasure_rules` and `kept_out`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from twin_pipelines.automation.erasure.gone import Gone
from twin_pipelines.automation.erasure.request import Request

STAGES = ("removed", "cleansed", "derived", "done")
_COLUMNS = (
    "erasure_id::text, kind, request_hash, reason, asked_by, keep_serving, stage, asked_at, days, "
    "removed, before, affected, finished_at, verified"
)


@dataclass(frozen=True)
class Erasure:
    """One erasure as it stands; nothing here names anybody or says what was said."""

    erasure_id: str
    kind: str
    request_hash: str
    reason: str
    asked_by: str
    keep_serving: bool
    stage: str  # one of STAGES
    asked_at: datetime
    days: tuple[date, ...]  # that are derived anew
    counts: dict[str, int]  # rows removed or rewritten, by table
    before: dict[str, int]  # rows of these tables before
    datasets: tuple[str, ...]
    blocked: tuple[str, ...]  # adapters that learnt some of it
    releases: tuple[int, ...]
    retrievers: tuple[str, ...]
    finished_at: datetime | None
    verified: bool | None


def begin(connection: psycopg.Connection, request: Request) -> str:
    """Write down that something is asked for, and the rule for what comes later; the identity.

    A single message needs no rule: its tombstone is enough. The caller has begun a transaction.
    """
    row = connection.execute(
        """
        insert into erasures (kind, request_hash, reason, asked_by, keep_serving)
        select %(kind)s, encode(erasure_hash(salt, 'request', %(request)s), 'hex'), %(reason)s,
               %(asked_by)s, %(keep_serving)s
        from erasure_salt returning erasure_id::text
        """,
        {**vars(request), "kind": request.kind, "request": request.canonical()},
    ).fetchone()
    assert row, "erasure_salt has its one row"
    if not request.message:
        connection.execute(
            """
            insert into erasure_rules
                (erasure_id, speaker, source, conversation, first_day, last_day)
            select %(erasure)s::uuid, erasure_hash(salt, 'speaker', %(person)s),
                   erasure_hash(salt, 'source', %(source)s),
                   erasure_hash(salt, 'conversation', %(conversation)s),
                   %(first_day)s, %(last_day)s
            from erasure_salt
            """,
            {**vars(request), "erasure": row[0]},
        )
    return str(row[0])


def bury(connection: psycopg.Connection, erasure_id: str) -> int:
    """Leave a tombstone for every message of `erased_messages` and imported memory of
    `erased_memories`; how many."""
    return connection.execute(
        """
        insert into tombstones (ref, erasure_id, content, words)
        select id, %(erasure)s::uuid, message_hash(salt, speaker, text, sent_at),
               case when telling then erasure_hash(salt, 'words', said) end
        from erased_messages cross join erasure_salt
        union all
        select memory_id, %(erasure)s::uuid, null,
               erasure_hash(salt, 'words', spoken_words(content))
        from erased_memories join memories using (memory_id) cross join erasure_salt
        where origin = 'imported'
        on conflict (ref) do nothing
        """,
        {"erasure": erasure_id},
    ).rowcount


def note_what_to_look_for(connection: psycopg.Connection, erasure_id: str) -> None:
    """Keep, while the erasure is on its way, what files may still hold of it."""
    connection.execute(
        """
        insert into erasing (erasure_id, kind, ref, text)
        select %(erasure)s::uuid, 'message', id, null from erased_messages
        union all select distinct %(erasure)s::uuid, 'text', null::uuid, text from erased_texts
        union all select %(erasure)s::uuid, 'pair', id, null from (
            select id from erased_pairs
            union select pair_id from dataset_pairs
                  cross join unnest(dataset_pairs.message_ids || pair_id) as raw (id)
                  join erased_messages on erased_messages.id = raw.id
        ) as pairs
        union all select %(erasure)s::uuid, 'session', session_id, null from erased_sessions
        """,
        {"erasure": erasure_id},
    )


def account(
    connection: psycopg.Connection,
    erasure_id: str,
    *,
    days: Iterable[date],
    removed: Mapping[str, int],
    before: Mapping[str, int],
    affected: Mapping[str, Any],
) -> None:
    """Write down what went."""
    connection.execute(
        "update erasures set days = %s, removed = %s, before = %s, affected = %s "
        "where erasure_id = %s",
        (list(days), Jsonb(dict(removed)), Jsonb(dict(before)), Jsonb(dict(affected)), erasure_id),
    )


def gone(connection: psycopg.Connection, erasure_id: str) -> Gone:
    """What an unfinished erasure removes; empty once it is done."""
    row = connection.execute(
        """
        select coalesce(array_agg(ref) filter (where kind = 'message'), '{}'),
               coalesce(array_agg(ref) filter (where kind = 'pair'), '{}'),
               coalesce(array_agg(ref) filter (where kind = 'session'), '{}'),
               coalesce(array_agg(text order by text) filter (where kind = 'text'), '{}')
        from erasing where erasure_id = %s
        """,
        (erasure_id,),
    ).fetchone()
    messages, pairs, sessions, texts = row or ((), (), (), ())
    return Gone(
        erasure_id=erasure_id,
        message_ids=frozenset(messages),
        pair_ids=frozenset(pairs),
        session_ids=frozenset(sessions),
        texts=tuple(texts),
    )


def erasure(connection: psycopg.Connection, erasure_id: str) -> Erasure | None:
    """One erasure; None when there is none."""
    return _one(connection, "where erasure_id = %s", (erasure_id,))


def unfinished(connection: psycopg.Connection) -> Erasure | None:
    """The erasure that is on its way; None when there is none."""
    return _one(connection, "where stage <> 'done'", ())


def reach(connection: psycopg.Connection, erasure_id: str, stage: str) -> None:
    """Note that a stage (one of STAGES but `done`) is behind it."""
    connection.execute("update erasures set stage = %s where erasure_id = %s", (stage, erasure_id))


def finish(connection: psycopg.Connection, erasure_id: str) -> None:
    """The receipt is written: nothing is looked for any more. The caller commits."""
    connection.execute("delete from erasing where erasure_id = %s", (erasure_id,))
    connection.execute(
        "update erasures set stage = 'done', verified = true, finished_at = clock_timestamp() "
        "where erasure_id = %s",
        (erasure_id,),
    )


def doubt(connection: psycopg.Connection, erasure_id: str) -> None:
    """Note that some of it was found afterwards; it stays unfinished."""
    connection.execute("update erasures set verified = false where erasure_id = %s", (erasure_id,))


def summary(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Every erasure, the latest first: `erasure_id, kind, asked_at, stage, verified, messages`
    (erased), `kept_out` (rows that came again and were not let in) and `last_came_at`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            select erasures.erasure_id::text, kind, asked_at, stage, verified,
                   coalesce((removed ->> 'raw_messages')::bigint, 0) as messages,
                   coalesce(sum(kept_out.rows), 0)::bigint as kept_out,
                   max(came_at) as last_came_at
            from erasures left join kept_out using (erasure_id)
            group by erasures.erasure_id order by asked_at desc
            """
        ).fetchall()


def rows_kept_out(connection: psycopg.Connection) -> int:
    """Rows that came again after whatever erasure and were not let in, each time they came."""
    row = connection.execute("select coalesce(sum(rows), 0) from kept_out").fetchone()
    return int(row[0]) if row else 0


def _one(connection: psycopg.Connection, clause: str, given: tuple[str, ...]) -> Erasure | None:
    row = connection.execute(f"select {_COLUMNS} from erasures {clause}", given).fetchone()
    if row is None:
        return None
    number, kind, request, reason, asked_by, keep, stage, asked_at, days, *rest = row
    removed, before, affected, finished_at, verified = rest
    return Erasure(
        erasure_id=number,
        kind=kind,
        request_hash=request,
        reason=reason,
        asked_by=asked_by,
        keep_serving=keep,
        stage=stage,
        asked_at=asked_at,
        days=tuple(days),
        counts=removed,
        before=before,
        datasets=tuple(affected.get("datasets", ())),
        blocked=tuple(affected.get("adapters", ())),
        releases=tuple(affected.get("releases", ())),
        retrievers=tuple(affected.get("retrievers", ())),
        finished_at=finished_at,
        verified=verified,
    )
