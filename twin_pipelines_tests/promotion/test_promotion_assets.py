"""Registered, judged, promoted or refused: the whole room in runs as the user has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking, alias_version, set_alias
from twin_pipelines.memory.store import rewrite_candidates
from twin_pipelines.promotion import assets, checks, release, store
from twin_pipelines.promotion.gate import CONDITIONS
from twin_pipelines.settings import TwinSettings

ROOM = [
    assets.registered_model,
    assets.promoted_model,
    assets.core_memories,
    checks.gate,
    checks.one_champion_serves,
    checks.memories_come_from_messages,
    checks.releases_are_sound,
    checks.memories_are_sound,
]
MESSAGE = "00000000-0000-4000-8000-00000000abcd"


class Room:
    """Runs the room's assets and tells what came of it."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def run(self) -> dg.ExecuteInProcessResult:
        self.connection.commit()
        return dg.materialize(
            ROOM,
            resources={"twin": TwinResource(), "tracking": MlflowTracking()},
            raise_on_error=False,
        )

    @property
    def serving(self) -> str | None:
        self.connection.commit()
        champion = store.champion(self.connection)
        return champion.adapter_id if champion else None

    def alias(self, name: str) -> int | None:
        with MlflowTracking().client() as client:
            return alias_version(client, name)


def outcomes(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {
        event.step_key
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    }


@pytest.fixture
def room(
    twin_home: TwinSettings, connection: psycopg.Connection, candidates: Callable[..., pl.DataFrame]
) -> Room:
    for adapter in ("a1", "a2", "a3"):
        (twin_home.adapters_dir / adapter / "adapter").mkdir(parents=True)
    rewrite_candidates(connection, candidates(0.9, 0.7, 0.1))
    connection.commit()
    return Room(connection)


def test_from_first_challenger_to_champion_refusal_crash_and_rollback(
    room: Room,
    evaluated: Callable[..., str],
    good: dict[str, Any],
    candidates: Callable[..., pl.DataFrame],
) -> None:
    evaluated("a1", good)
    first = room.run()
    assert room.serving == "a1"
    assert room.alias("champion") == 1
    assert room.alias("challenger") is None
    assert all(outcomes(first)[name] for name in CONDITIONS)
    assert outcomes(first)["one_champion_serves"]
    assert outcomes(first)["memories_are_sound"]
    assert not outcomes(first)["memories_come_from_messages"], "the messages were never landed"
    assert store.core_memory_count(room.connection) == 2

    again = room.run()
    assert materialized(again) == {"registered_model", "promoted_model", "core_memories"}
    assert room.serving == "a1"
    assert store.releases(room.connection).height == 1

    good["memorisation"]["beyond_human"] = {"value": 0.5, "ci95": [0.4, 0.6], "n": 160}
    evaluated("a2", good)
    refused = room.run()
    assert not refused.success
    assert materialized(refused) == {"registered_model"}
    failed = [name for name, passed in outcomes(refused).items() if not passed]
    assert failed == ["memorisation_under_limit"]
    assert room.serving == "a1"
    assert room.alias("champion") == 1
    latest = store.latest_release(room.connection)
    assert latest.status == "refused"
    assert "50.0% of the replies copy a training reply" in latest.verdict["words"]

    good["memorisation"]["beyond_human"] = {"value": 0.0, "ci95": [0.0, 0.0], "n": 160}
    good["reply_perplexity"]["champion_delta"] = {"value": -0.1, "ci95": [-0.2, -0.05], "n": 300}
    good["reply_perplexity"]["champion"] = 40.0
    evaluated("a3", good)
    rewrite_candidates(room.connection, candidates(0.9, 0.7, 0.6))
    room.run()
    assert room.serving == "a3"
    assert room.alias("champion") == 3
    assert store.core_memory_count(room.connection) == 3

    with MlflowTracking().client() as client:
        set_alias(client, "champion", 1)  # as after a crash between commit and alias
    assert not checks.one_champion_serves(TwinResource(), MlflowTracking()).passed
    rewrite_candidates(room.connection, candidates(0.9))
    healed = room.run()
    assert outcomes(healed)["one_champion_serves"]
    assert room.alias("champion") == 3
    assert store.core_memory_count(room.connection) == 1

    with MlflowTracking().client() as client:
        assert release.rollback(room.connection).adapter_id == "a1"
        room.connection.commit()
        assert release.sync_aliases(room.connection, client) == 1
    assert room.alias("champion") == 1
    assert store.core_memory_count(room.connection) == 2
    room.run()
    assert room.serving == "a1", "what was rolled back does not come back by itself"


def test_nothing_to_register_or_promote_is_said(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    outcome = list(checks.gate(TwinResource()))
    assert [one.check_name for one in outcome] == list(CONDITIONS)
    assert not any(one.passed for one in outcome)
    assert store.latest_metrics(connection) is None
    result = dg.materialize(
        [assets.promoted_model],
        resources={"twin": TwinResource(), "tracking": MlflowTracking()},
        raise_on_error=False,
    )
    (failure,) = result.get_step_failure_events()
    assert "materialise registered_model first" in str(failure.step_failure_data.error)
