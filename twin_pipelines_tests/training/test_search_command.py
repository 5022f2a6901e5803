"""`twin search`: child runs in MLflow, a table, and lines for twin.toml that change nothing."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl
import psycopg
import pytest
from rich.console import Console

from twin_pipelines.commands.search import run_search, search_table, verdict
from twin_pipelines.foundation.database import open_databases
from twin_pipelines.foundation.fingerprints import write_json
from twin_pipelines.foundation.tracking import open_client
from twin_pipelines.instruct.pairs import PAIR_SCHEMA
from twin_pipelines.instruct.store import DatasetVersion, save_dataset
from twin_pipelines.settings import TwinError, TwinSettings, load_settings
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.search import train_in_process

VERSION = "feedfeedfeed"


@pytest.fixture
def ready(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    made_dataset: Path,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> TwinSettings:
    """A twin with a dataset, set up to train the tiny model."""
    given = {"TRAINING__BASE_MODEL": str(tiny_base), "TRAINING__MAX_STEPS": "30"}
    given |= {"SEARCH__TRIALS": "3", "TRAINING__MAX_TOKENS": "128"}
    for name, value in given.items():
        monkeypatch.setenv(f"TWIN_{name}", value)
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


def pretend(config: TrainConfig) -> dict[str, Any]:
    """The report of a training whose loss is least at the highest learning rate."""
    output = Path(config.output)
    output.mkdir(parents=True)
    (output / "losses.jsonl").write_text('{"step": 5, "time": 1700000000.0, "loss": 3.0}\n')
    if config.learning_rate < 1e-3:
        raise TwinError("Training ran out of memory.")
    loss = 4 - 100 * config.learning_rate
    report = {"validation_loss_end": loss, "stopped": "steps", "seconds": 1.0, "tokens": 10}
    write_json(output / "training.json", report)
    return report


def test_every_trial_is_a_child_run_of_the_search(ready: TwinSettings) -> None:
    shown = Console(width=160, record=True, quiet=False, file=(ready.home / "shown").open("w"))
    found, lines = run_search(ready, shown, pretend)
    with open_databases(ready) as databases:
        client = open_client(ready, databases)
        experiment = client.get_experiment_by_name("twin")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    (parent,) = parents
    children = [run for run in runs if run not in parents]
    assert len(children) == len(found.trials) >= 4
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in children} == {"FINISHED", "FAILED"}
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_validation_loss"] == found.best_loss
    assert parent.data.params["best.learning_rate"] == str(found.best["learning_rate"])
    whole = next(run for run in children if run.info.status == "FINISHED")
    assert whole.data.metrics["loss"] == 3.0 and "training.lora_rank" in whole.data.params
    assert shown.export_text().count("round ") == len(found.trials)

    values = tomllib.loads(lines.read_text())["training"]
    assert values["learning_rate"] == found.best["learning_rate"] > 1e-3
    assert load_settings().training == ready.training  # nothing was changed by itself
    shown.print(search_table(found))
    table = shown.export_text()
    assert "present settings" in table and "Training ran out of memory." in table
    assert verdict(found).startswith("The best settings have a validation loss of ")
    again, _ = run_search(ready, shown, pretend)
    assert again == found


def test_without_a_dataset_there_is_nothing_to_search_on(twin_home: TwinSettings) -> None:
    with pytest.raises(TwinError, match="There is no dataset to search on; materialise"):
        run_search(twin_home, Console(quiet=True), pretend)


def test_a_trial_runs_in_a_process_of_its_own(ready: TwinSettings, config_of: Any) -> None:
    config = config_of(
        dataset=str(ready.datasets_dir / VERSION), max_steps=2, output=str(ready.home / "one")
    )
    assert train_in_process(config)["steps"] == 2
    with pytest.raises(TwinError, match=r"The dataset file .* does not exist"):
        train_in_process(
            config_of(dataset=str(ready.home / "gone"), output=str(ready.home / "two"))
        )
