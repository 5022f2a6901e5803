"""The evaluated_model asset through a real Pipes process, and the checks on what it measured."""

from __future__ import annotations

import dataclasses
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.evaluation import assets, checks, store
from twin_pipelines.evaluation.assets import evaluated_model, evaluation_id
from twin_pipelines.evaluation.task import Task
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking
from twin_pipelines.instruct.pairs import PAIR_SCHEMA
from twin_pipelines.instruct.store import DatasetVersion, save_dataset
from twin_pipelines.settings import TwinError, TwinSettings, load_settings
from twin_pipelines.training.store import Adapter, save_adapter

CHECKS = [
    checks.test_set_is_untouched,
    checks.subject_is_one_voice,
    checks.little_is_memorised,
    checks.enough_was_measured,
]


@pytest.fixture
def ready(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
) -> TwinSettings:
    """A twin with a dataset and a tiny adapter, set up for a small evaluation."""
    for name, value in task.settings.model_dump(mode="json").items():
        monkeypatch.setenv(f"TWIN_EVALUATION__{name.upper()}", str(value))
    monkeypatch.setenv("TWIN_TRAINING__DTYPE", "float32")
    load_settings.cache_clear()
    settings = load_settings()
    settings.datasets_dir.mkdir()
    for rows in task.dataset.glob("*.jsonl"):
        lines = [json.loads(line) for line in rows.read_text().splitlines()]
        for line in lines:
            line["pair_id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, line["pair_id"]))
        rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    task.dataset.rename(settings.datasets_dir / "d1")
    now = datetime(2018, 5, 1, tzinfo=UTC)
    save_dataset(
        connection,
        DatasetVersion(
            version="d1",
            subject="mali",
            settings={},
            train=60,
            validation=4,
            test=40,
            purged={},
            train_until=now,
            test_from=now,
            path=PurePosixPath("datasets/d1"),
        ),
        pl.DataFrame(schema={**PAIR_SCHEMA, "split": pl.String}),
    )
    adapter_folder = settings.adapters_dir / "a1"
    adapter_folder.mkdir(parents=True)
    assert task.twin.adapter
    (adapter_folder / "adapter").symlink_to(task.twin.adapter)
    with MlflowTracking().client() as client:
        run_id = client.create_run(client.search_experiments()[0].experiment_id).info.run_id
    save_adapter(
        connection,
        Adapter(
            adapter_id="a1",
            dataset_version="d1",
            base_model=str(task.twin.base.path),
            base_hash="b",
            config={},
            code_version="1",
            path=PurePosixPath("adapters/a1"),
            metrics={},
            mlflow_run_id=run_id,
            created_at=now,
        ),
    )
    connection.commit()
    return settings


def materialize() -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [evaluated_model, *CHECKS],
        resources={
            "twin": TwinResource(),
            "tracking": MlflowTracking(),
            "pipes": dg.PipesSubprocessClient(),
        },
        raise_on_error=False,
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("evaluated_model")
    return {name: value.value for name, value in event.metadata.items()}


def outcomes(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str | None]]:
    return {
        one.check_name: (one.passed, one.description)
        for one in result.get_asset_check_evaluations()
    }


def test_an_adapter_is_measured_once_and_the_figures_are_shown_stored_and_checked(
    ready: TwinSettings, connection: psycopg.Connection
) -> None:
    first = materialize()
    assert first.success
    shown = metadata_of(first)
    assert not shown["reused"]
    assert shown["reply_perplexity_twin"] > 1
    assert "| figure | value |" in shown["figures"]
    assert "data:image/png;base64," in shown["plots"]
    measured = store.latest_evaluation(connection)
    assert measured.adapter_id == "a1"
    assert measured.champion_id is None
    assert (ready.home / measured.path / "replies.jsonl").exists()
    with MlflowTracking().client() as client:
        nested, training_run = client.search_runs([client.search_experiments()[0].experiment_id])
    assert nested.data.tags["mlflow.parentRunId"] == training_run.info.run_id
    assert [one.dataset.name for one in nested.inputs.dataset_inputs] == ["frozen_set"]
    logged = training_run.data.metrics
    assert logged["evaluation.reply_perplexity_twin"] == pytest.approx(
        shown["reply_perplexity_twin"]
    )

    seen = outcomes(first)
    assert seen["test_set_is_untouched"][0]
    assert seen["subject_is_one_voice"] == (True, "the one-voice test was not made")
    assert seen["little_is_memorised"][0]
    assert not seen["enough_was_measured"][0]
    assert "12 replies were generated; 150 are needed" in seen["enough_was_measured"][1]

    connection.commit()
    again = materialize()
    assert metadata_of(again)["reused"]
    assert store.latest_evaluation(connection).created_at == measured.created_at

    train = ready.datasets_dir / "d1" / "train.jsonl"
    with (ready.datasets_dir / "d1" / "test.jsonl").open() as test:
        train.write_text(train.read_text() + test.readline())
    leaking = materialize()
    (failure,) = leaking.get_step_failure_events()
    assert "also stand in the train split" in str(failure.step_failure_data.error)
    caught = checks.test_set_is_untouched(TwinResource())
    assert not caught.passed
    assert "also stand in the train split" in caught.description


def test_a_bad_dataset_is_one_sentence_in_the_run(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    result = materialize()
    (failure,) = result.get_step_failure_events()
    assert "materialise lora_adapter first" in str(failure.step_failure_data.error)
    assert not [one for one in outcomes(result) if one == "evaluated_model"]


def test_what_the_process_says_is_what_the_run_says(
    twin_home: TwinSettings, task: Task, tmp_path: Path
) -> None:
    class Reports:
        def run(self, **_: Any) -> Reports:
            return self

        def get_custom_messages(self) -> list[dict[str, str]]:
            return [{"error": "No usable model in x; train it again."}]

    with pytest.raises(TwinError, match="No usable model in x"):
        assets._measure(None, twin_home, Reports(), task)


def test_the_identity_follows_everything_that_decides_the_figures(
    twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        evaluation_id("a", None, "f", twin_home),
        evaluation_id("b", None, "f", twin_home),
        evaluation_id("a", "c", "f", twin_home),
        evaluation_id("a", None, "g", twin_home),
    }
    monkeypatch.setenv("TWIN_EVALUATION__SEED", "5")
    known.add(evaluation_id("a", None, "f", TwinSettings()))
    monkeypatch.setattr(assets, "CODE_VERSION", "0")
    known.add(evaluation_id("a", None, "f", twin_home))
    known.add(evaluation_id("a", None, "f", twin_home, beside=["another person"]))
    assert len(known) == 7


def test_sessions_the_champion_learnt_from_are_known_or_the_comparison_is_refused(
    ready: TwinSettings, connection: psycopg.Connection
) -> None:
    serving = assets.training.latest_adapter(connection)
    same = assets.champion_sessions(connection, ready, serving, "d1")
    assert same == assets.champion_sessions(connection, ready, None, "d2") == []
    learnt = assets.champion_sessions(connection, ready, serving, "d2")
    assert len(learnt) == 16
    assert "train-0" in learnt
    gone = dataclasses.replace(serving, dataset_version="d0")
    with pytest.raises(TwinError, match="roll back or promote another"):
        assets.champion_sessions(connection, ready, gone, "d1")


def test_shortfalls_are_named() -> None:
    metrics = {
        "frozen_set": {"generated": 160, "n_pairs": 300},
        "style_consistency": {"ci95": [0.2, 0.9]},
        "reply_perplexity": {"ratio_ci95": [0.5, 0.9]},
    }
    assert len(checks.shortfalls(metrics)) == 2
    metrics["style_consistency"]["ci95"] = None
    assert len(checks.shortfalls(metrics)) == 2
    metrics["style_consistency"]["ci95"] = [0.8, 1.0]
    metrics["reply_perplexity"]["ratio_ci95"] = [0.5, 0.6]
    assert checks.shortfalls(metrics) == []
    metrics |= {"depth": "full", "person_specific_gain": {"value": None, "note": "no control"}}
    assert checks.shortfalls(metrics) == [
        "the gain over another person's adapter is missing: no control"
    ]


def test_checks_without_an_evaluation_fail_in_words(
    twin_home: TwinSettings, connection: psycopg.Connection, tmp_path: Path
) -> None:
    for check in (checks.test_set_is_untouched, checks.little_is_memorised):
        outcome = check(TwinResource())
        assert not outcome.passed
        assert outcome.description == "there is no evaluation yet"
    connection.execute("insert into subjects (speaker, name, chosen_by) values ('m', 'm', 'rank')")
    connection.execute(
        """
        insert into voice_tests (speaker, fingerprint, own_share, other_share, own_windows, passed,
                                 note) values ('m', 'f', 0.8, 0.3, 40, false, 'several people')
        """
    )
    connection.commit()
    voice = checks.subject_is_one_voice(TwinResource())
    assert not voice.passed
    assert voice.description == "several people"
