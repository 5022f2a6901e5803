"""A release as a whole comes into force, and goes, in one transaction.

Adapter, persona, retrieval settings and template are recorded with it when it is registered, its
core memories when it is promoted; servers are told in the same transaction (`store.CHANNEL`).

The database is the truth. MLflow's aliases are set after the commit; when a process dies between
the two, the next run puts them right (`sync_aliases`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.evaluation.store import evaluation
from twin_pipelines.foundation import alerts_store
from twin_pipelines.foundation.registry import alias_version, clear_alias, set_alias
from twin_pipelines.promotion import notes_store, store
from twin_pipelines.promotion.signature import signed_allowance, signed_note
from twin_pipelines.settings import Memory, TwinError
from twin_pipelines.training import blocks_store

if TYPE_CHECKING:
    from mlflow import MlflowClient


REPLACEMENT_REFUSED = "replacement_refused"
NOTHING_ERASED = "nothing_erased"  # the condition of the gate that an allowance answers


def admitted(candidates: pl.DataFrame, settings: Memory) -> pl.DataFrame:
    """The candidates that become core memories: important enough, said often enough, the best."""
    return (
        candidates.filter(
            # float32 in the database: 0.55 must reach a threshold of 0.55
            pl.col("importance") >= pl.lit(settings.core_threshold).cast(pl.Float32),
            pl.col("sessions") >= settings.core_sessions,
        )
        .sort("importance", "memory_id", descending=[True, False])
        .head(settings.core_limit)
    )


@dataclass(frozen=True)
class Force:
    """Who insists that a release serves against the gate's word, or although it learnt what was
    erased, and why; `key` signs it."""

    by: str
    reason: str
    key: bytes


def promote(
    connection: psycopg.Connection,
    release_id: int,
    core_memories: pl.DataFrame,
    force: Force | None = None,
    allow: Force | None = None,
) -> store.Release:
    """Let a challenger serve with these core memories, and retire the champion: all or nothing.

    The champion stays as it is when it is promoted again. Raises TwinError when the release is
    unknown or is retired, and, without `force`, when the gate refused it or judged it against
    another champion. With `force` such a release serves and leaves a signed note. One that learnt
    what was erased since is refused without `allow`, which signs for it and brings it back even
    when it is retired.
    """
    with connection.transaction():
        store.lock_releases(connection)
        asked = store.release(connection, release_id)
        if asked is None:
            raise TwinError(f"There is no release {release_id}; see `twin status`.")
        if asked.blocked:
            if allow is None:
                raise TwinError(_told_blocked(asked))
            allow_erased(connection, asked.adapter_id, allow)
        if asked.status == "champion":
            return store.champion(connection) or asked
        if asked.status == "retired" and asked.blocked:
            return rollback(connection, release_id)
        if asked.status == "retired":
            raise TwinError(
                f"Release {release_id} is retired; `twin rollback --to {release_id}` brings it "
                "back with its own core memories."
            )
        present = store.champion(connection)
        objection = _objection(connection, asked, present)
        if objection and force is None:
            raise TwinError(objection)
        if present:
            store.retire(connection, present.release_id)
        store.make_champion(connection, release_id, first_time=True, forced=bool(objection))
        store.replace_core_memories(connection, release_id, core_memories)
        if objection and force:
            _sign(connection, asked, present, force)
        alerts_store.clear_alert(connection, REPLACEMENT_REFUSED)
        store.notify_servers(connection, release_id)
    promoted = store.release(connection, release_id)
    assert promoted, "the release was just promoted"
    return promoted


def refresh_core_memories(connection: psycopg.Connection, core_memories: pl.DataFrame) -> bool:
    """Give the champion these core memories; False when it has them, or there is no champion."""
    with connection.transaction():
        store.lock_releases(connection)
        present = store.champion(connection)
        if present is None or store.core_memories(connection).equals(
            core_memories.sort("importance", "memory_id", descending=[True, False])
        ):
            return False
        store.replace_core_memories(connection, present.release_id, core_memories)
        store.notify_servers(connection, present.release_id)
    return True


def allow_erased(connection: psycopg.Connection, adapter_id: str, allow: Force) -> int:
    """Sign that an adapter may answer although it learnt what was erased; how many blocks that was.

    A later erasure that reaches it blocks it anew. Servers are told when the transaction commits.
    """
    erasures = blocks_store.erasures_blocking(connection, adapter_id)
    signed = [
        signed_allowance(
            allow.key,
            adapter_id=adapter_id,
            erasure_id=erasure,
            allowed_by=allow.by,
            allowed_because=allow.reason,
            allowed_at=datetime.now(UTC),
        )
        for erasure in erasures
    ]
    blocks_store.save_allowance(connection, signed)
    return len(signed)


def rollback_target(connection: psycopg.Connection, to: int | None = None) -> store.Release:
    """The release a rollback brings back: the one that served before, or the one named.

    Raises TwinError when nothing served before, the one named never served, or it learnt what was
    erased since.
    """
    present = store.champion(connection)
    if to is None:
        before = store.previous_champion(connection, present) if present else None
        if before is None:
            raise TwinError(
                "No earlier release has served that may answer still, so there is nothing to go "
                "back to."
            )
        return before
    named = store.release(connection, to)
    if named is None:
        raise TwinError(f"There is no release {to}; see `twin status`.")
    if named.status == "champion":
        raise TwinError(f"Release {to} serves already.")
    if named.status != "retired":
        raise TwinError(
            f"Release {to} has never served ({named.status}), so there is nothing to go back to; "
            f"`twin promote {to}` asks for it."
        )
    if named.blocked:
        raise TwinError(_told_blocked(named))
    return named


def rollback(connection: psycopg.Connection, to: int | None = None) -> store.Release:
    """Let an earlier release serve again whole: adapter, persona, retrieval and core memories.

    By default the one that served before. The present champion is retired; it is not promoted
    again by itself. Raises TwinError as `rollback_target` does.
    """
    with connection.transaction():
        store.lock_releases(connection)
        target = rollback_target(connection, to)
        present = store.champion(connection)
        if present:
            store.retire(connection, present.release_id)
        store.make_champion(connection, target.release_id, first_time=False)
        alerts_store.clear_alert(connection, REPLACEMENT_REFUSED)
        store.notify_servers(connection, target.release_id)
    restored = store.release(connection, target.release_id)
    assert restored, "the release was just restored"
    return restored


def watch_refusals(connection: psycopg.Connection, limit: int) -> str | None:
    """Raise an alert once the champion was refused `limit` replacements in a row; its words."""
    present = store.champion(connection)
    if present is None:
        return None
    refused = store.refused_since(connection, present.in_force_since)
    if len(refused) < limit:
        alerts_store.clear_alert(connection, REPLACEMENT_REFUSED)
        return None
    words = (
        f"{len(refused)} challengers in a row were refused since release {present.release_id} "
        f"came into force (releases {', '.join(map(str, refused))}), so the twin no longer learns "
        "from new data; read their verdicts in the web UI and mend data or settings, or let one "
        "serve with `twin promote RELEASE --force`."
    )
    alerts_store.raise_alert(connection, REPLACEMENT_REFUSED, words, present.release_id)
    return words


def sync_aliases(connection: psycopg.Connection, client: MlflowClient) -> int | None:
    """Point MLflow's aliases where the database says; returns the champion's version.

    `challenger` names the release judged last while it is not the champion.
    """
    present, judged = store.champion(connection), store.latest_release(connection)
    serving = present.model_version if present else None
    if serving is None:
        clear_alias(client, "champion")
    elif alias_version(client, "champion") != serving:
        set_alias(client, "champion", serving)
    if judged is None or judged.status != "challenger":
        clear_alias(client, "challenger")
    elif alias_version(client, "challenger") != judged.model_version:
        set_alias(client, "challenger", judged.model_version)
    return serving


def _objection(
    connection: psycopg.Connection, asked: store.Release, present: store.Release | None
) -> str | None:
    """Why this release may not serve unless forced; None when it may."""
    number = asked.release_id
    if asked.status == "refused" and _refused_by(asked) != [NOTHING_ERASED]:
        return f"Release {number} is refused and cannot be promoted. {asked.verdict['words']}"
    judged = evaluation(connection, asked.evaluation_id)
    against = judged.champion_id if judged else None
    if present and not present.blocked and present.adapter_id not in (against, asked.adapter_id):
        return (
            f"Release {number} was never compared with release {present.release_id}, which serves "
            "now; run `twin train` to judge it anew."
        )
    return None


def _refused_by(asked: store.Release) -> list[str]:
    return [one["name"] for one in asked.verdict["conditions"] if not one["passed"]]


def _told_blocked(asked: store.Release) -> str:
    number = asked.release_id
    return (
        f"Release {number} may not serve: {asked.blocked}; `twin train` makes one without it, and "
        f"`twin promote {number} --allow-erased --by NAME --reason TEXT` signs for this one."
    )


def _sign(
    connection: psycopg.Connection,
    asked: store.Release,
    present: store.Release | None,
    force: Force,
) -> None:
    note = signed_note(
        force.key,
        release_id=asked.release_id,
        replaced=present.release_id if present else None,
        adapter_id=asked.adapter_id,
        evaluation_id=asked.evaluation_id,
        signed_by=force.by,
        reason=force.reason,
        signed_at=datetime.now(UTC),
        verdict=asked.verdict,
    )
    notes_store.save_note(connection, note)
