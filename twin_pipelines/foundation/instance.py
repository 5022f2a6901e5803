"""The Dagster instance of a twin: its home, its storage, and running a job in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import psutil

from twin_pipelines.foundation.database import Databases, open_databases
from twin_pipelines.foundation.leases import alone
from twin_pipelines.settings import TwinSettings

STORAGE = """
storage:
  postgres:
    postgres_url:
      env: TWIN_DAGSTER_URL
"""
PROCESS = "twin/process"
TRAINING_POOL = "training"  # as the assets name it; one slot, see dagster.yaml
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def project_file(name: str) -> Path:
    """A file that lies beside the package in a checkout, and inside it in a wheel."""
    package = Path(__file__).parents[1]
    inside = package / name
    return inside if inside.exists() else package.parent / name


def exports(settings: TwinSettings, databases: Databases) -> dict[str, str]:
    """The environment variables under which other tools meet this twin."""
    return {
        "TWIN_HOME": str(settings.home),
        "DAGSTER_HOME": str(settings.dagster_home),
        "TWIN_DAGSTER_URL": databases.dagster,
        "TWIN_DATABASE_URL": databases.twin,
        "MLFLOW_TRACKING_URI": databases.mlflow.replace("postgresql://", "postgresql+psycopg2://"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


@contextmanager
def open_instance(settings: TwinSettings) -> Iterator[tuple[dg.DagsterInstance, Databases]]:
    """The databases and the Dagster instance over them, for as long as the context lasts."""
    with open_databases(settings) as databases:
        prepare_home(settings)
        os.environ.update(exports(settings, databases))
        with dg.DagsterInstance.get() as instance:
            _make_pool(settings, instance)
            fail_orphans(instance)
            yield instance, databases


def fail_orphans(instance: dg.DagsterInstance) -> int:
    """Mark as failed the runs whose `twin` process was killed; returns how many there were.

    Nothing else would: a run that lives in a command has no launcher that could look after it.
    """
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    orphans = [run for run in started if PROCESS in run.tags and not _lives(run.tags[PROCESS])]
    for run in orphans:
        instance.report_run_failed(run, "The process that ran this was killed; run it again.")
    _free_pools(instance)
    return len(orphans)


def _make_pool(settings: TwinSettings, instance: dg.DagsterInstance) -> None:
    """Make the pool of trainings before its first use: two runs that make it at once both fail."""
    storage = instance.event_log_storage
    with alone(settings.dagster_home / "pool.lock"):
        if TRAINING_POOL not in storage.get_concurrency_keys():
            storage.initialize_concurrency_limit_to_default(TRAINING_POOL)


def _free_pools(instance: dg.DagsterInstance) -> None:
    """Take back the pool slots of runs that have ended, or the next run waits for ever."""
    storage = instance.event_log_storage
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        for run_id in {*info.active_run_ids, *info.pending_run_ids}:
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(run_id)


def _process_name(process: psutil.Process) -> str:
    return f"{process.pid}-{process.create_time():.2f}"


def _lives(name: str) -> bool:
    try:
        return _process_name(psutil.Process(int(name.partition("-")[0]))) == name
    except psutil.NoSuchProcess:
        return False


def prepare_home(settings: TwinSettings) -> None:
    """Write `dagster.yaml`, with its storage, into the state folder, where DAGSTER_HOME points."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    target = settings.dagster_home / "dagster.yaml"
    wanted = project_file("dagster.yaml").read_text() + STORAGE
    if not target.exists() or target.read_text() != wanted:
        scratch = target.with_suffix(f".{os.getpid()}")
        scratch.write_text(wanted)
        scratch.replace(target)


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: `failures` holds one sentence for each failed step."""

    run_id: str
    success: bool
    failures: tuple[str, ...]


def run_job(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    *,
    days: tuple[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    ops: Mapping[str, Any] | None = None,
    on_event: Callable[[dg.EventLogEntry], None] | None = None,
) -> RunOutcome:
    """Run a job in this process, recorded in the instance as any run is.

    `days` is the first and last partition, materialised as one run; `ops` configures assets by
    name. `on_event` sees every event and log message while it happens.
    """
    failures: list[str] = []
    run_id = str(uuid4())

    def listen(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is not None and event.is_step_failure:
            failures.append(_failure_sentence(event))
        if on_event is not None:
            on_event(entry)

    instance.add_event_listener(run_id, listen)
    all_tags = {**(tags or {}), PROCESS: _process_name(psutil.Process())}
    if days is not None:
        all_tags |= {RANGE_START: days[0], RANGE_END: days[1]}
    result = job.execute_in_process(
        instance=instance,
        run_id=run_id,
        tags=all_tags,
        raise_on_error=False,
        run_config={
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            "ops": {name: {"config": config} for name, config in (ops or {}).items()},
        },
    )
    return RunOutcome(run_id, result.success, tuple(failures))


def _failure_sentence(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    text = (error.message if error else event.message or "failed").strip() or "failed"
    sentence = text.splitlines()[0].removeprefix("twin_pipelines.settings.TwinError: ")
    return f"{event.step_key}: {sentence.rstrip('.')}"
