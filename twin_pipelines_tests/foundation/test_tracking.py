"""Runs must exist while training runs, survive its death, and aliases must name one version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from twin_pipelines.foundation import tracking
from twin_pipelines.foundation.server import EmbeddedServer
from twin_pipelines.foundation.tracking import MlflowTracking
from twin_pipelines.settings import TwinSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def _start(client: MlflowClient, key: str = "adapter-1", dagster_run: str = "first") -> str:
    return tracking.start_run(client, key=key, name=key, tags={"dagster/run_id": dagster_run})


def test_two_first_users_make_one_experiment_quietly(ready: list[str]) -> None:
    assert ready[0] == ready[1]
    assert ready[0].strip().isdigit(), "nothing but the experiment's number is printed"


def test_killed_training_continues_its_run(client: MlflowClient) -> None:
    """After kill -9 the run is still RUNNING: the resumed training must not open another."""
    run_id = _start(client)
    tracking.log_series(client, run_id, [{"step": 1, "time": 1e9, "loss": 3.0}])
    assert _start(client, dagster_run="second") == run_id
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert run.data.tags["dagster/run_id"] == "second"
    assert run.data.metrics == {"loss": 3.0}


@pytest.mark.parametrize("ending", ["FAILED", "KILLED"])
def test_failed_training_continues_its_run(client: MlflowClient, ending: tracking.Ending) -> None:
    run_id = _start(client)
    tracking.end_run(client, run_id, ending)
    assert _start(client) == run_id


def test_finished_training_is_not_reopened(client: MlflowClient) -> None:
    run_id = _start(client)
    tracking.end_run(client, run_id, "FINISHED")
    assert _start(client) != run_id


def test_other_training_gets_its_own_run(client: MlflowClient) -> None:
    assert _start(client, key="adapter-1") != _start(client, key="adapter-2")


def test_series_logged_again_after_a_resume_counts_once(client: MlflowClient) -> None:
    run_id = _start(client)
    rows = [{"step": step, "time": 1e9 + step, "loss": 1 / step} for step in range(1, 1_201)]
    assert tracking.log_series(client, run_id, rows[:700]) == 700
    assert tracking.log_series(client, run_id, rows) == 1_200
    history = client.get_metric_history(run_id, "loss")
    assert sorted(each.step for each in history) == list(range(1, 1_201))


def test_only_finite_numbers_become_metrics(client: MlflowClient) -> None:
    run_id = _start(client)
    row = {"step": 1, "loss": 2.0, "flag": True, "note": "x", "bad": float("nan"), "none": None}
    assert tracking.log_series(client, run_id, [row]) == 1
    figures = {"perplexity": {"twin": 20.5, "base": float("inf")}, "n": 3}
    assert tracking.log_metrics(client, run_id, figures) == 2
    assert client.get_run(run_id).data.metrics == {"loss": 2.0, "perplexity.twin": 20.5, "n": 3.0}


def test_parameters_of_a_continued_run_keep_their_first_value(client: MlflowClient) -> None:
    """MLflow refuses a changed parameter, and a resume must not fail on it."""
    run_id = _start(client)
    many = {f"p{number}": number for number in range(250)}
    tracking.log_params(client, run_id, {"lora": {"rank": 16}, "long": "x" * 10_000, **many})
    tracking.log_params(client, run_id, {"lora": {"rank": 8}, "seed": 7})
    params = client.get_run(run_id).data.params
    assert params["lora.rank"] == "16"
    assert params["seed"] == "7"
    assert len(params) == 253


def test_dataset_version_is_the_input_of_the_run(client: MlflowClient, tmp_path: Path) -> None:
    run_id = _start(client)
    tracking.log_dataset(
        client, run_id, name="instruct_dataset", version="0123456789ab", location=tmp_path, rows=9
    )
    run = client.get_run(run_id)
    assert run.inputs is not None
    assert [each.dataset.digest for each in run.inputs.dataset_inputs] == ["0123456789ab"]
    assert run.data.tags["twin/dataset_version"] == "0123456789ab"


def test_artifacts_lie_in_the_state_folder(
    client: MlflowClient, tracked_home: TwinSettings, tmp_path: Path
) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "loss.png").write_bytes(b"png")
    run_id = _start(client)
    client.log_artifacts(run_id, str(tmp_path / "plots"), artifact_path="plots")
    assert [each.path for each in client.list_artifacts(run_id, "plots")] == ["plots/loss.png"]
    assert not Path("mlruns").exists()


def test_fresh_state_folder_keeps_artifacts_below_itself(
    server: EmbeddedServer, client: MlflowClient, tracked_home: TwinSettings
) -> None:
    client.rename_experiment("1", "of another folder")
    with MlflowTracking().client() as again:
        experiment = again.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    assert experiment.artifact_location == (tracked_home.artifacts_dir / "twin").as_uri()


def test_a_child_run_is_nested_and_ends_as_its_block_does(client: MlflowClient) -> None:
    parent = _start(client)
    with tracking.child_run(client, parent, key="evaluation-1", name="evaluate") as child:
        tracking.log_metrics(client, child, {"style": 0.9})
    run = client.get_run(child)
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.info.status == "FINISHED"
    with (
        pytest.raises(ValueError, match="broken"),
        tracking.child_run(client, parent, key="evaluation-2", name="evaluate") as other,
    ):
        raise ValueError("broken")
    assert client.get_run(other).info.status == "FAILED"


@pytest.mark.parametrize(
    ("failure", "status"),
    [(None, "FINISHED"), (ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")],
)
def test_run_of_an_asset_ends_as_the_asset_does(
    tracked_home: TwinSettings, failure: type[BaseException] | None, status: str
) -> None:
    """And carries the tags that lead from MLflow back to Dagster."""
    seen: list[str] = []

    @dg.asset
    def tracked(context, tracking: MlflowTracking) -> None:  # type: ignore[no-untyped-def]
        with tracking.run(context, key="adapter-1") as run:
            seen.extend([run.run_id, context.run_id])
            if failure:
                raise failure("stop")

    resources = {"tracking": MlflowTracking()}
    dg.materialize([tracked], resources=resources, raise_on_error=False)
    with MlflowTracking().client() as client:
        run = client.get_run(seen[0])
    assert run.info.status == status
    assert run.data.tags["dagster/run_id"] == seen[1]
    assert run.data.tags["dagster/asset_key"] == "tracked"


def test_telemetry_is_off(client: MlflowClient) -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert is_telemetry_disabled()
