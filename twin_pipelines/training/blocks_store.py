"""The only SQL over `dataset_erasures` and `adapter_blocks`: what was erased of what was learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg


@dataclass(frozen=True)
class Blocked:
    """An adapter that learnt what an erasure took away; `reason` quotes nothing."""

    adapter_id: str
    dataset_version: str
    reason: str


@dataclass(frozen=True)
class Affected:
    """A dataset that an erasure would reach: its rows by part, of them those that were learnt.

    `adapters` were trained on it, and would be blocked where `learnt` is not 0; `releases` are
    theirs.
    """

    version: str
    parts: dict[str, int]  # see dataset_erasures.part
    adapters: tuple[str, ...]
    releases: tuple[int, ...]

    @property
    def learnt(self) -> int:
        """Rows that an adapter learns: all but those of test."""
        return sum(number for part, number in self.parts.items() if part != "test")


@dataclass(frozen=True)
class Allowance:
    """A block that somebody signed away; see `adapter_blocks`."""

    adapter_id: str
    erasure_id: str
    allowed_by: str
    allowed_because: str
    allowed_at: datetime
    document: str
    signature: str


_TOUCHED = """
    with gone as materialized (select distinct unnest(%(messages)s::uuid[]) as id),
    touched as (
        select distinct held.version, held.pair_id, held.split
        from dataset_pairs as held
        cross join unnest(held.message_ids || held.pair_id) as message (id)
        join gone on gone.id = message.id
    ), counted as (
        select version, split as part, count(*)::int as number from touched group by 1, 2
        union all
        select version, 'corrections', count(*)::int from preference_pairs
        where correction_id = any(%(corrections)s::uuid[])
           or liked_chat = any(%(chats)s::uuid[]) or disliked_chat = any(%(chats)s::uuid[])
        group by 1
        union all
        select version, 'prompt', 1 from datasets where version = any(%(versions)s)
    )
"""
_ENTER = f"""
    {_TOUCHED}, entered as (
        insert into dataset_erasures (version, erasure_id, part, number)
        select version, %(erasure)s, part, number from counted
        on conflict (version, erasure_id, part) do update
        set number = case when excluded.part = 'prompt' then dataset_erasures.number
                          else dataset_erasures.number + excluded.number end
    ), preferred as (
        delete from preference_pairs using touched
        where preference_pairs.version = touched.version
          and preference_pairs.pair_id = touched.pair_id
    )
    delete from dataset_pairs using touched
    where dataset_pairs.version = touched.version and dataset_pairs.pair_id = touched.pair_id
"""


def affected(
    connection: psycopg.Connection,
    message_ids: Sequence[str],
    *,
    correction_ids: Sequence[str] = (),
    chat_ids: Sequence[str] = (),
    versions: Sequence[str] = (),
) -> list[Affected]:
    """The datasets that hold a pair of one of these raw messages, and what was trained on them.

    A pair counts when the message stands in its context, too, and when the message is gone already.
    `correction_ids` are corrections that go as well, `chat_ids` chats that lose answers somebody
    judged, `versions` further datasets whose prompt says what goes. Writes nothing.
    """
    rows = connection.execute(
        f"""
        {_TOUCHED}
        select version, jsonb_object_agg(part, number),
               coalesce((select array_agg(adapter_id order by created_at, adapter_id)
                         from adapters where dataset_version = version), '{{}}'),
               coalesce((select array_agg(release_id order by release_id)
                         from releases join adapters using (adapter_id)
                         where dataset_version = version), '{{}}')
        from counted group by version order by version
        """,
        _given(message_ids, correction_ids, chat_ids, versions),
    ).fetchall()
    return [Affected(name, parts, tuple(made), tuple(of)) for name, parts, made, of in rows]


def block(
    connection: psycopg.Connection,
    erasure_id: str,
    message_ids: Sequence[str],
    *,
    correction_ids: Sequence[str] = (),
    chat_ids: Sequence[str] = (),
    versions: Sequence[str] = (),
) -> list[Blocked]:
    """Take what is erased off the datasets' lineage and block every adapter that learnt it.

    To be called in the erasure's transaction, before corrections and preference pairs are deleted.
    The rows of `dataset_pairs` go, and a number stays; servers are told when the transaction
    commits. The same erasure once more adds only what was not there before. Returns every adapter
    it blocked. The arguments are those of `affected`.
    """
    given = _given(message_ids, correction_ids, chat_ids, versions)
    connection.execute(_ENTER, {**given, "erasure": erasure_id})
    rows = connection.execute(
        "select adapter_id, dataset_version, reason from adapter_blocks join adapters "
        "using (adapter_id) where erasure_id = %s order by adapter_id",
        (erasure_id,),
    ).fetchall()
    return [Blocked(*row) for row in rows]


def blocked_adapters(connection: psycopg.Connection) -> dict[str, str]:
    """Adapters that may answer nobody, each with the reason."""
    return dict(connection.execute("select adapter_id, reason from blocked_adapters").fetchall())


def erased_of_dataset(connection: psycopg.Connection, version: str) -> int:
    """How much of what a dataset itself teaches was erased since it was frozen."""
    row = connection.execute(
        "select coalesce(sum(number), 0) from dataset_erasures where version = %s "
        "and part in ('train', 'validation', 'prompt')",
        (version,),
    ).fetchone()
    return int(row[0]) if row else 0


def erasures_blocking(connection: psycopg.Connection, adapter_id: str) -> list[str]:
    """The erasures for which an adapter is blocked and nobody signed."""
    rows = connection.execute(
        "select erasure_id from adapter_blocks where adapter_id = %s and allowed_at is null "
        "order by erasure_id",
        (adapter_id,),
    ).fetchall()
    return [row[0] for row in rows]


def save_allowance(connection: psycopg.Connection, allowed: Sequence[Allowance]) -> None:
    """Enter under blocks who signed them away."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "update adapter_blocks set allowed_by = %(allowed_by)s, "
            "allowed_because = %(allowed_because)s, allowed_at = %(allowed_at)s, "
            "document = %(document)s, signature = %(signature)s "
            "where adapter_id = %(adapter_id)s and erasure_id = %(erasure_id)s",
            [vars(one) for one in allowed],
        )


def allowances(connection: psycopg.Connection) -> list[Allowance]:
    """Every block that somebody signed away, the newest first."""
    rows = connection.execute(
        "select adapter_id, erasure_id, allowed_by, allowed_because, allowed_at, document, "
        "signature from adapter_blocks where allowed_at is not null "
        "order by allowed_at desc, adapter_id, erasure_id"
    ).fetchall()
    return [
        Allowance(adapter, erasure, by, because, at.astimezone(UTC), document, signature)
        for adapter, erasure, by, because, at, document, signature in rows
    ]


def _given(
    message_ids: Sequence[str],
    correction_ids: Sequence[str],
    chat_ids: Sequence[str],
    versions: Sequence[str],
) -> dict[str, list[str]]:
    return {
        "messages": list(message_ids),
        "corrections": list(correction_ids),
        "chats": list(chat_ids),
        "versions": list(versions),
    }
