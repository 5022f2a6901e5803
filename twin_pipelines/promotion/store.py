"""The only SQL over `releases` and `core_memories`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.evaluation.store import latest_evaluation
from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.memory.consolidation.candidates import CANDIDATES
from twin_pipelines.memory.owner_store import forgotten_words
from twin_pipelines.promotion.in_force import CoreMemory, ReleaseInForce, without_sentences
from twin_pipelines.promotion.parts import ReleaseParts

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

__all__ = [
    "Release",
    "champion",
    "core_memories",
    "core_memory_count",
    "core_memory_faults",
    "latest_evaluation",
    "latest_metrics",
    "latest_release",
    "listen_for_releases",
    "lock_releases",
    "make_champion",
    "notify_servers",
    "previous_champion",
    "refused_since",
    "release",
    "release_faults",
    "release_in_force",
    "release_of",
    "releases",
    "replace_core_memories",
    "retire",
    "save_release",
    "unknown_messages",
]

CHANNEL = "twin_release"  # PostgreSQL NOTIFY: the number of the release that came into force


@dataclass(frozen=True)
class Release:
    """An adapter with its verdict. `path` (of the adapter) is relative to the state folder."""

    release_id: int
    adapter_id: str
    evaluation_id: str
    model_version: int
    status: str  # challenger, refused, champion or retired
    verdict: dict[str, Any]
    created_at: datetime
    promoted_at: datetime | None
    dataset_version: str
    base_model: str
    path: PurePosixPath
    parts: ReleaseParts
    forced: bool  # it serves, or served, although the gate had refused it
    in_force_since: datetime | None
    blocked: str = ""  # why its adapter may answer nobody, in half a sentence; empty: it may


_PARTS = tuple(ReleaseParts.__dataclass_fields__)
_COLUMNS = "release_id, releases.adapter_id, evaluation_id, model_version, status, verdict, "
_COLUMNS += "releases.created_at, promoted_at, dataset_version, base_model, adapters.path, "
_COLUMNS += f"jsonb_build_array({', '.join(_PARTS)}), forced, in_force_since, "
_COLUMNS += "coalesce(blocked_adapters.reason, '')"
_FROM = f"select {_COLUMNS} from releases join adapters using (adapter_id) "
_FROM += "left join blocked_adapters using (adapter_id)"


_RECORDED = ("adapter_id", "evaluation_id", "model_version", "status", "verdict", *_PARTS)
_RENEWED = ", ".join(
    f"{name} = case when releases.status in ('champion', 'retired') "
    f"then releases.{name} else excluded.{name} end"
    for name in ("status", *_PARTS)
)
_SAVE = f"""
    insert into releases ({", ".join(_RECORDED)})
    values ({", ".join(f"%({name})s" for name in _RECORDED)})
    on conflict (evaluation_id) do update
    set verdict = excluded.verdict, model_version = excluded.model_version, {_RENEWED}
    returning release_id
"""


def champion(connection: psycopg.Connection) -> Release | None:
    """The release that serves; None while nothing was promoted."""
    return _one(connection, "where status = 'champion'")


def release(connection: psycopg.Connection, release_id: int) -> Release | None:
    """A release by number."""
    return _one(connection, "where release_id = %s", release_id)


def release_of(connection: psycopg.Connection, evaluation_id: str) -> Release | None:
    """The release of an evaluation."""
    return _one(connection, "where evaluation_id = %s", evaluation_id)


def latest_release(connection: psycopg.Connection) -> Release | None:
    """The release judged last: that of the current evaluation; None before the first."""
    return _one(
        connection,
        "join evaluations using (evaluation_id) order by evaluations.chosen_at desc limit 1",
    )


def releases(connection: psycopg.Connection) -> pl.DataFrame:
    """The history, newest first, with adapter, base and the verdict in words."""
    return fetch_frame(
        connection,
        """
        select release_id, model_version, status, releases.created_at, promoted_at, adapter_id,
               base_model, dataset_version, evaluation_id, verdict ->> 'words' as words, forced,
               in_force_since
        from releases join adapters using (adapter_id) order by release_id desc
        """,
    )


def latest_metrics(connection: psycopg.Connection) -> dict[str, Any] | None:
    """The figures of the current evaluation; None before the first."""
    measured = latest_evaluation(connection)
    return measured.metrics if measured else None


def lock_releases(connection: psycopg.Connection) -> None:
    """Until the transaction ends nobody else promotes, rolls back or refreshes memories."""
    connection.execute("select pg_advisory_xact_lock(hashtext('releases'))")


def notify_servers(connection: psycopg.Connection, release_id: int) -> None:
    """Tell who listens, when this transaction commits, that another release is in force."""
    connection.execute("select pg_notify(%s, %s)", (CHANNEL, str(release_id)))


def save_release(
    connection: psycopg.Connection,
    *,
    adapter_id: str,
    evaluation_id: str,
    model_version: int,
    verdict: dict[str, Any],
    parts: ReleaseParts,
) -> Release:
    """Record a judged challenger, or judge a known one again, in one transaction.

    What the verdict refuses is `refused`, else `challenger`. A champion or retired release keeps
    its status and parts; the champion's adapter evaluated anew keeps its release, which takes over
    the new evaluation and verdict.
    """
    values = {
        "adapter_id": adapter_id,
        "evaluation_id": evaluation_id,
        "model_version": model_version,
        "status": "challenger" if verdict["passed"] else "refused",
        "verdict": Jsonb(verdict),
        **vars(parts),
        "persona": Jsonb(parts.persona),
        "retrieval": Jsonb(parts.retrieval),
    }
    with connection.transaction():
        lock_releases(connection)
        present = champion(connection)
        known = release_of(connection, evaluation_id)
        if known is None and present and present.adapter_id == adapter_id:
            row = connection.execute(
                "update releases set evaluation_id = %s, verdict = %s where release_id = %s "
                "returning release_id",
                (evaluation_id, Jsonb(verdict), present.release_id),
            ).fetchone()
        else:
            row = connection.execute(_SAVE, values).fetchone()
    assert row, "insert or update returns the release"
    saved = release(connection, row[0])
    assert saved, "the release was just written"
    return saved


def make_champion(
    connection: psycopg.Connection, release_id: int, *, first_time: bool, forced: bool = False
) -> None:
    """Let the release serve; the caller has retired the one before it in the same transaction."""
    connection.execute(
        "update releases set status = 'champion', in_force_since = clock_timestamp(), "
        "promoted_at = case when %s then clock_timestamp() else promoted_at end, "
        "forced = forced or %s where release_id = %s",
        (first_time, forced, release_id),
    )


def retire(connection: psycopg.Connection, release_id: int) -> None:
    """Let the release serve no longer; it can come back by a rollback."""
    connection.execute(
        "update releases set status = 'retired' where release_id = %s", (release_id,)
    )


def previous_champion(connection: psycopg.Connection, present: Release) -> Release | None:
    """The release that served before this one; of those that learnt what was erased, none."""
    return _one(
        connection,
        "where status = 'retired' and promoted_at < %s and blocked_adapters.adapter_id is null "
        "order by promoted_at desc limit 1",
        present.promoted_at,
    )


def refused_since(connection: psycopg.Connection, since: datetime | None) -> list[int]:
    """Releases that were refused since a moment, the oldest first: refusals in a row."""
    rows = connection.execute(
        "select release_id from releases where status = 'refused' and created_at > %s "
        "order by release_id",
        (since,),
    ).fetchall()
    return [row[0] for row in rows]


def replace_core_memories(
    connection: psycopg.Connection, release_id: int, memories: pl.DataFrame
) -> None:
    """Make `memories` (columns of `core_candidates`) the core memories of a release."""
    connection.execute("delete from core_memories where release_id = %s", (release_id,))
    numbered = memories.with_columns(pl.lit(release_id).alias("release_id"))
    copy_frame(connection, "core_memories", numbered)


def core_memories(connection: psycopg.Connection) -> pl.DataFrame:
    """The core memories in force (the champion's), the most important first."""
    return fetch_frame(
        connection,
        """
        select memory_id, title, content, importance, parts, sessions, first_said_at, last_said_at,
               message_ids
        from core_memories join releases using (release_id)
        where status = 'champion' order by importance desc, memory_id
        """,
        schema=CANDIDATES,
    )


def core_memory_count(connection: psycopg.Connection) -> int:
    """How many core memories are in force."""
    row = connection.execute(
        "select count(*) from core_memories join releases using (release_id) "
        "where status = 'champion'"
    ).fetchone()
    return int(row[0]) if row else 0


def unknown_messages(connection: psycopg.Connection) -> pl.DataFrame:
    """Core memories in force that name messages which do not exist: `memory_id`, `unknown`."""
    return fetch_frame(
        connection,
        """
        select memory_id, count(*) as unknown
        from core_memories join releases using (release_id), unnest(message_ids) as message
        where status = 'champion'
          and not exists (select from raw_messages where raw_messages.id = message)
        group by 1 order by 1
        """,
    )


def core_memory_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each core memory in force with what could be wrong with it; `days` is ignored.

    Columns `title`, `content_length`, `importance`, `sessions`, `messages` (how many it came from;
    a row of another table counts as one) and `backward` (whether it was said last before it was
    said first).
    """
    del days
    return fetch_frame(
        connection,
        """
        select title, length(btrim(content)) as content_length, importance, sessions,
               cardinality(message_ids) + (
                   select count(*) from memories
                   where memory_id = core_memories.memory_id
                     and (source_ref is not null or origin = 'owner')
               ) as messages,
               (last_said_at < first_said_at)::int as backward
        from core_memories join releases using (release_id) where status = 'champion'
        """,
    )


def release_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each release with what could be wrong with it; `days` is ignored.

    Columns `status`, `model_version`, `conditions` (how many were judged), `unfit` (whether one
    that serves or served had not passed), `undated` (whether it served without a date).
    """
    del days
    return fetch_frame(
        connection,
        """
        select status, model_version, jsonb_array_length(verdict -> 'conditions') as conditions,
               (status in ('champion', 'retired') and promoted_at is null)::int as undated,
               (status = 'challenger' and not (verdict ->> 'passed')::boolean)::int as unfit
        from releases
        """,
    )


def _one(connection: psycopg.Connection, clause: str, *given: Any) -> Release | None:
    row = connection.execute(f"{_FROM} {clause}", given).fetchone()
    if row is None:
        return None
    values = dict(zip(Release.__dataclass_fields__, row, strict=True))
    parts = ReleaseParts(**dict(zip(_PARTS, values["parts"], strict=True)))
    return Release(**{**values, "path": PurePosixPath(values["path"]), "parts": parts})


def listen_for_releases(connection: psycopg.Connection) -> None:
    """Let the connection be notified of every change of what serves."""
    connection.execute(f"listen {CHANNEL}")


def release_in_force(
    connection: psycopg.Connection, release_id: int | None = None
) -> ReleaseInForce | None:
    """The release that serves, as one consistent snapshot; None while nothing was promoted.

    With `release_id` another release, as it was when it served; None when there is none.

    A promotion, a rollback and a change of the core memories notify CHANNEL in their transaction:
    `listen_for_releases`, and call this again on each notification. What the owner wants forgotten
    is in neither its memories nor its prompt.
    """
    row = connection.execute(
        """
        select release_id, model_version, releases.adapter_id, adapters.path, base_reference,
               base_sha256, template_hash, persona ->> 'system_prompt', persona ->> 'version',
               persona ->> 'identity', (persona ->> 'identity_version')::int,
               retrieval, forced, coalesce(in_force_since, promoted_at),
               coalesce((
                   select jsonb_agg(jsonb_build_object(
                              'title', title, 'content', content, 'importance', importance,
                              'memory_id', memory_id, 'message_ids', message_ids)
                          order by importance desc, memory_id)
                   from core_memories where core_memories.release_id = releases.release_id
                     and not is_forgotten(memory_id, message_ids, content)
               ), '[]')
        from releases join adapters using (adapter_id)
        where case when %(release)s::bigint is null then status = 'champion'
                   else release_id = %(release)s end
        """,
        {"release": release_id},
    ).fetchone()
    if row is None:
        return None
    number, version, adapter, path, base, sha256, template, prompt, persona, *rest = row
    identity, identity_version, retrieval, forced, since, memories = rest
    gone = forgotten_words(connection)
    return ReleaseInForce(
        release_id=number,
        model_version=version,
        adapter_id=adapter,
        adapter=PurePosixPath(path) / "adapter",
        base_reference=base,
        base_sha256=sha256,
        template_hash=template,
        system_prompt=without_sentences(prompt or "", gone),
        persona_version=persona or "",
        retrieval=retrieval,
        core_memories=tuple(
            CoreMemory(**{**memory, "message_ids": tuple(memory["message_ids"])})
            for memory in memories
        ),
        forced=forced,
        in_force_since=since,
        identity=without_sentences(identity or "", gone),
        forgotten=without_sentences(f"{prompt}\n{identity}", gone) != f"{prompt}\n{identity}",
        identity_version=identity_version,
    )
