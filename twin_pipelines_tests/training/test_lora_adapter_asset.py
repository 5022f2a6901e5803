"""The lora_adapter asset through a real Pipes process, and the checks on what it made."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import polars as pl
import psutil
import psycopg
import pytest

from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking
from twin_pipelines.instruct.pairs import PAIR_SCHEMA
from twin_pipelines.instruct.store import DatasetVersion, save_dataset
from twin_pipelines.settings import TwinSettings, load_settings
from twin_pipelines.training import checks, store
from twin_pipelines.training.assets import lora_adapter
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.fine_tune import fine_tune
from twin_pipelines.training.progress import Losses, finished_report, is_complete

VERSION = "feedfeedfeed"
CHECKS = [
    checks.adapter_changes_the_base,
    checks.validation_loss_fell,
    checks.losses_and_weights_are_numbers,
    checks.trained_on_the_train_split_only,
]


@pytest.fixture
def ready(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    made_dataset: Path,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> TwinSettings:
    """A twin with a dataset, set up to train the tiny model."""
    given = {"BASE_MODEL": str(tiny_base), "MAX_STEPS": "150", "LEARNING_RATE": "0.01"}
    given |= {"DTYPE": "float32", "MAX_TOKENS": "128", "SAVE_STEPS": "5", "MAX_EPOCHS": "500"}
    for name, value in given.items():
        monkeypatch.setenv(f"TWIN_TRAINING__{name}", value)
    load_settings.cache_clear()
    settings = load_settings()
    settings.datasets_dir.mkdir()
    made_dataset.rename(settings.datasets_dir / VERSION)
    now = datetime(2018, 5, 1, tzinfo=UTC)
    dataset = DatasetVersion(
        version=VERSION,
        subject="mali",
        settings={},
        train=72,
        validation=18,
        test=18,
        purged={},
        train_until=now,
        test_from=now,
        path=PurePosixPath("datasets") / VERSION,
    )
    save_dataset(connection, dataset, pl.DataFrame(schema={**PAIR_SCHEMA, "split": pl.String}))
    connection.commit()
    return settings


def materialize(*, checked: bool = True, instance: Any = None) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [lora_adapter, *(CHECKS if checked else [])],
        instance=instance,
        resources={
            "twin": TwinResource(),
            "tracking": MlflowTracking(),
            "pipes": dg.PipesSubprocessClient(),
        },
        raise_on_error=False,
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("lora_adapter")
    return {name: value.value for name, value in event.metadata.items()}


def log_of(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(result.run_id)]


class Killer(threading.Thread):
    """Kills the training process with -9 as soon as a checkpoint of that step is whole."""

    def __init__(self, settings: TwinSettings, step: int) -> None:
        super().__init__(daemon=True)
        self.pattern = f"*/checkpoints/checkpoint-{step}"
        self.folder = settings.adapters_dir
        self.killed = 0

    def run(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if any(is_complete(made) for made in self.folder.glob(self.pattern)):
                for child in psutil.Process().children():
                    if "twin_pipelines.training.sft" in child.cmdline():
                        child.kill()
                        self.killed += 1
                return
            time.sleep(0.005)


def test_a_killed_training_resumes_in_the_retry_and_is_done_once(
    ready: TwinSettings, connection: psycopg.Connection, tmp_path: Path
) -> None:
    killer = Killer(ready, step=20)
    killer.start()
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(instance=instance)
        said = log_of(instance, result)
    assert killer.killed == 1
    assert result.success
    assert "STEP_UP_FOR_RETRY" in [event.event_type_value for event in result.all_events]
    assert any(line.startswith("training begins: 72 pairs") for line in said)
    assert any("step 10/150 · loss" in line for line in said)
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == len(CHECKS) and all(found.passed for found in evaluations)

    adapter = store.latest_adapter(connection)
    assert adapter
    _resumed_like_an_unharmed_one(ready.home / adapter.path, said, tmp_path)
    metadata = metadata_of(result)
    assert metadata["reused"] is False and metadata["adapter_id"] == adapter.adapter_id
    assert metadata["validation_loss_end"] < metadata["validation_loss_start"]
    assert metadata["plot"].startswith("![losses](data:image/png;base64,")
    assert adapter.dataset_version == VERSION and adapter.metrics["steps"] == 150
    _tracked(adapter)

    connection.commit()
    again = materialize(checked=False)
    assert again.success and metadata_of(again)["reused"] is True
    assert metadata_of(again)["seconds"] == metadata["seconds"]
    _tampered_checks_fail(ready, connection, adapter)


def _resumed_like_an_unharmed_one(folder: Path, said: list[str], tmp_path: Path) -> None:
    """The same losses, and no step twice."""
    report = finished_report(folder)
    assert report
    resumed = report["resumed_at_step"]
    assert 20 <= resumed < 150
    begins = next(place for place, line in enumerate(said) if "training resumes at step" in line)
    later = [line for line in said[begins + 1 :] if line.startswith("step ")]
    assert all(int(line.split("/")[0].removeprefix("step ")) > resumed for line in later)
    steps = [row["step"] for row in Losses(folder / "losses.jsonl").read() if "loss" in row]
    assert steps == list(range(5, 151, 5))
    config = TrainConfig.load(folder / "config.json")
    unharmed = fine_tune(replace(config, output=str(tmp_path / "unharmed")), lambda _: None)
    for figure in ("loss_last", "validation_loss_end"):
        assert report[figure] == pytest.approx(unharmed[figure], abs=1e-3)


def _tracked(adapter: store.Adapter) -> None:
    with MlflowTracking().client() as client:
        run = client.get_run(adapter.mlflow_run_id)
        assert run.info.status == "FINISHED"
        assert run.data.params["training.max_steps"] == "150"
        assert run.data.params["dataset_version"] == VERSION
        assert len(client.get_metric_history(adapter.mlflow_run_id, "loss")) == 30
        assert run.data.tags["dagster/asset_key"] == "lora_adapter"


def _tampered_checks_fail(
    settings: TwinSettings, connection: psycopg.Connection, adapter: store.Adapter
) -> None:
    """Each critical check fails on what it is there for."""
    twin = TwinResource()
    train = settings.datasets_dir / VERSION / "train.jsonl"
    stolen = (settings.datasets_dir / VERSION / "test.jsonl").read_text().splitlines()[0]
    train.write_text(train.read_text() + stolen + "\n")
    found = checks.trained_on_the_train_split_only(twin)
    assert not found.passed and "pairs shared with other splits: 1" in (found.description or "")

    worse = {**adapter.metrics, "validation_loss_end": 99.0, "stopped": "nan"}
    store.save_adapter(connection, replace(adapter, metrics=worse))
    connection.commit()
    assert not checks.validation_loss_fell(twin).passed
    assert not checks.losses_and_weights_are_numbers(twin).passed
    store.save_adapter(connection, replace(adapter, base_hash="other"))
    connection.commit()
    assert not checks.adapter_changes_the_base(twin).passed


def test_a_mendable_failure_is_not_tried_again(ready: TwinSettings) -> None:
    (ready.datasets_dir / VERSION / "train.jsonl").write_text("")
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(checked=False, instance=instance)
        kinds = [event.event_type_value for event in result.all_events]
    assert not result.success
    assert "STEP_UP_FOR_RETRY" not in kinds
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "holds no pairs; import more conversations" in str(failure.event_specific_data)


def test_without_a_dataset_the_asset_says_what_to_do(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    result = materialize(checked=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "materialise instruct_dataset first" in str(failure.event_specific_data)
    assert [event for event in result.all_events if "RETRY" in event.event_type_value] == []


def test_the_latest_adapter_is_the_one_chosen_last(
    ready: TwinSettings, connection: psycopg.Connection
) -> None:
    made = store.Adapter(
        adapter_id="one",
        dataset_version=VERSION,
        base_model="tiny",
        base_hash="0",
        config={},
        code_version="1",
        path=PurePosixPath("adapters/one"),
        metrics={"steps": 1},
        mlflow_run_id="run",
        created_at=datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert store.latest_adapter(connection) is None
    store.save_adapter(connection, made)
    store.save_adapter(connection, replace(made, adapter_id="two"))
    assert store.latest_adapter(connection) == replace(made, adapter_id="two")
    assert store.choose_adapter(connection, "one") == made
    assert store.latest_adapter(connection) == made
    assert store.choose_adapter(connection, "three") is None


def test_checks_without_an_adapter_say_what_to_do(ready: TwinSettings) -> None:
    from twin_pipelines.settings import TwinError

    with pytest.raises(TwinError, match="materialise lora_adapter first"):
        checks.validation_loss_fell(TwinResource())
