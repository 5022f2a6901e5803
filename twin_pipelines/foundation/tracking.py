"""MLflow: runs with their parameters, losses and datasets; the registry is in `registry`.

The asset, not the training process, owns the run: it opens it before the process starts and logs
what the process reports, so that the run exists even if training is killed, and a training that
resumes continues the run it had (`start_run` finds it by key). Runs live in the `mlflow` database,
artifacts in `settings.artifacts_dir`; nothing leaves the machine.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import psycopg

from twin_pipelines.foundation.database import Databases, open_databases
from twin_pipelines.settings import TwinSettings, load_settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "twin"
KEY_TAG = "twin/key"
PARENT_TAG = "mlflow.parentRunId"

Ending = Literal["FINISHED", "FAILED", "KILLED"]

_SCHEMA_LOCK = 0x7477696E_6D6C  # advisory lock number: "twinml"
_BATCH = 1_000  # MLflow's limit of metrics in one call
_PARAM_BATCH = 100
_PARAM_CHARS = 6_000


@dataclass(frozen=True)
class TrackedRun:
    """An open MLflow run."""

    client: MlflowClient
    run_id: str


class MlflowTracking(dg.ConfigurableResource):
    """MLflow runs tagged with the Dagster run and asset they belong to, and the model registry."""

    @contextmanager
    def client(self) -> Iterator[MlflowClient]:
        """A client on the twin's MLflow database; the server stays up while it is open."""
        settings = load_settings()
        with open_databases(settings) as databases:
            yield open_client(settings, databases)

    @contextmanager
    def run(
        self, context: dg.AssetExecutionContext, *, key: str, name: str = ""
    ) -> Iterator[TrackedRun]:
        """The run of what `key` identifies; ends FINISHED, FAILED or, when interrupted, KILLED."""
        tags = {
            "dagster/run_id": context.run_id,
            "dagster/asset_key": context.asset_key.to_user_string(),
        }
        with self.client() as client:
            run_id = start_run(client, key=key, name=name or key, tags=tags)
            with ending(client, run_id):
                yield TrackedRun(client, run_id)


def tracking_uri(databases: Databases) -> str:
    """MLflow's address of its database (SQLAlchemy must be told which driver to use)."""
    _, _, rest = databases.mlflow.partition("://")
    return f"postgresql+psycopg2://{rest}"


def open_client(settings: TwinSettings, databases: Databases) -> MlflowClient:
    """A client whose database schema and experiment exist; safe when many processes are first.

    The first call on a new database makes MLflow's schema, which takes several seconds.
    """
    _keep_quiet()
    from mlflow import MlflowClient

    with psycopg.connect(databases.mlflow) as lock, lock.transaction():
        lock.execute("select pg_advisory_xact_lock(%s)", [_SCHEMA_LOCK])
        uri = tracking_uri(databases)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        if client.get_experiment_by_name(EXPERIMENT) is None:
            artifacts = settings.artifacts_dir / EXPERIMENT
            artifacts.mkdir(parents=True, exist_ok=True)
            client.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
    return client


@contextmanager
def child_run(
    client: MlflowClient, parent: str, *, key: str, name: str, tags: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A run nested in the run `parent`, as MLflow shows it; ends as the block does.

    A child that was killed is continued, like `start_run`'s.
    """
    run_id = start_run(client, key=key, name=name, tags=tags or {}, parent=parent)
    with ending(client, run_id):
        yield run_id


@contextmanager
def ending(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Ends a run as its block ends: FINISHED, FAILED or, when interrupted, KILLED."""
    try:
        yield
    except Exception:
        end_run(client, run_id, "FAILED")
        raise
    except BaseException:
        end_run(client, run_id, "KILLED")
        raise
    end_run(client, run_id, "FINISHED")


def start_run(
    client: MlflowClient, *, key: str, name: str, tags: Mapping[str, str], parent: str = ""
) -> str:
    """Continue the unfinished run of `key`, or begin one, nested in `parent`; returns its id."""
    experiment = _experiment(client)
    tags = {**tags, KEY_TAG: key, "mlflow.source.name": "twin_pipelines"}
    if parent:
        tags[PARENT_TAG] = parent
    unfinished = client.search_runs(
        [experiment],
        f"tags.`{KEY_TAG}` = '{key}' and attributes.status != 'FINISHED'",
        max_results=1,
    )
    if not unfinished:
        return str(client.create_run(experiment, tags=tags, run_name=name).info.run_id)
    run_id = str(unfinished[0].info.run_id)
    client.update_run(run_id, status="RUNNING")
    for tag, value in tags.items():
        client.set_tag(run_id, tag, value)
    return run_id


def end_run(client: MlflowClient, run_id: str, status: Ending) -> None:
    """Close the run with this status."""
    client.set_terminated(run_id, status)


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, Any]) -> None:
    """Log nested parameters as `section.key`; MLflow keeps the first value of a continued run."""
    from mlflow.entities import Param

    known = client.get_run(run_id).data.params
    fresh = [Param(key, value[:_PARAM_CHARS]) for key, value in _flat(params) if key not in known]
    for start in range(0, len(fresh), _PARAM_BATCH):
        client.log_batch(run_id, params=fresh[start : start + _PARAM_BATCH])


def log_series(client: MlflowClient, run_id: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Log rows such as `{"step": 5, "time": 1700000000.0, "loss": 2.1}`; returns values written.

    `time` is in seconds since 1970 (absent: now). Every other finite number is a metric of that
    step. Rows with a time may be logged again: MLflow keeps each value once.
    """
    from mlflow.entities import Metric

    metrics = []
    for row in rows:
        milliseconds = int(row.get("time", time.time()) * 1_000)
        metrics += [
            Metric(key, float(value), milliseconds, int(row["step"]))
            for key, value in row.items()
            if key not in ("step", "time") and _is_figure(value)
        ]
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])
    return len(metrics)


def log_metrics(client: MlflowClient, run_id: str, metrics: Mapping[str, Any]) -> int:
    """Log nested figures once, as `section.key`; returns values written."""
    flat = {key: value for key, value in _walk(metrics) if _is_figure(value)}
    return log_series(client, run_id, [{"step": 0, **flat}])


def log_dataset(
    client: MlflowClient,
    run_id: str,
    *,
    name: str,
    version: str,
    location: Path,
    rows: int,
    context: Literal["training", "evaluation"] = "training",
) -> None:
    """Name the dataset version the run read; MLflow lists it as the run's input."""
    import json

    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=name,
        digest=version[:36],
        source_type="local",
        source=json.dumps({"uri": location.as_uri()}),
        profile=json.dumps({"num_rows": rows}),
    )
    tags = [InputTag("mlflow.data.context", context)]
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags)])
    client.set_tag(run_id, "twin/dataset_version", version)


def _experiment(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        raise RuntimeError("open_client makes the experiment; use a client it returned")
    return str(experiment.experiment_id)


def _keep_quiet() -> None:
    """No telemetry, no progress bars, no INFO lines; must precede the first import of mlflow."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _walk(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _walk(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in _walk(values):
        yield key, str(value)


def _is_figure(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)
