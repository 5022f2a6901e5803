"""A release as a whole: adapter and core memories come into force, and go, in one transaction.

The database is the truth. MLflow's aliases are set after the commit; when a process dies between
the two, the next run puts them right (`sync_aliases`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.foundation.tracking import alias_version, clear_alias, set_alias
from twin_pipelines.promotion import store
from twin_pipelines.settings import Memory, TwinError

if TYPE_CHECKING:
    from mlflow import MlflowClient


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


def promote(
    connection: psycopg.Connection, release_id: int, core_memories: pl.DataFrame
) -> store.Release:
    """Let a challenger serve with these core memories, and retire the champion: all or nothing.

    The champion stays as it is when it is promoted again. Raises TwinError when the release is
    unknown, was refused or is retired.
    """
    with connection.transaction():
        store.lock_releases(connection)
        asked = store.release(connection, release_id)
        if asked is None:
            raise TwinError(f"There is no release {release_id}; see `twin status`.")
        if asked.status == "champion":
            return asked
        if asked.status != "challenger":
            raise TwinError(
                f"Release {release_id} is {asked.status} and cannot be promoted. "
                f"{asked.verdict['words']}"
            )
        present = store.champion(connection)
        if present:
            store.retire(connection, present.release_id)
        store.make_champion(connection, release_id, first_time=True)
        store.replace_core_memories(connection, release_id, core_memories)
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
    return True


def rollback(connection: psycopg.Connection) -> store.Release:
    """Let the release that served before serve again, with the core memories it had.

    The present champion is retired; it is not promoted again by itself. Raises TwinError when
    nothing served before.
    """
    with connection.transaction():
        store.lock_releases(connection)
        present = store.champion(connection)
        before = store.previous_champion(connection, present) if present else None
        if present is None or before is None:
            raise TwinError("No earlier release has served, so there is nothing to go back to.")
        store.retire(connection, present.release_id)
        store.make_champion(connection, before.release_id, first_time=False)
    restored = store.release(connection, before.release_id)
    assert restored, "the release was just restored"
    return restored


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
