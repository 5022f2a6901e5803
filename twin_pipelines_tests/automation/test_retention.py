"""Old runs are purged, but never one that made what still stands; and one training runs at a time.

On a real instance, with the storage and the `dagster.yaml` that `twin` writes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from twin_pipelines.automation import retention
from twin_pipelines.automation.jobs import export_model, train_and_promote
from twin_pipelines.automation.retention import purge_runs
from twin_pipelines.automation.upkeep import purge_old_runs
from twin_pipelines.definitions import defs
from twin_pipelines.foundation.instance import TRAINING_POOL, open_instance, project_file
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinSettings

DAYS = dg.DailyPartitionsDefinition("2018-05-01", end_date="2018-05-05")
SOON = timedelta(minutes=1)


@dg.asset(partitions_def=DAYS)
def of_a_day() -> None:
    """Made by day."""


@dg.asset
def whole() -> None:
    """Made at once."""


@dg.asset_check(asset=whole)
def is_well() -> dg.AssetCheckResult:
    """Passes."""
    return dg.AssetCheckResult(passed=True)


@dg.op
def nothing() -> None:
    """Makes nothing."""


@dg.job
def idle() -> None:
    nothing()


TRAINS = """
import time
import dagster as dg

@dg.asset(pool="training")
def trained():
    print(time.time())
    time.sleep(0.5)
    print(time.time(), flush=True)

with dg.DagsterInstance.get() as instance:
    assert dg.materialize([trained], instance=instance).success
"""
CHECKS = [dg.AssetCheckKey(dg.AssetKey("whole"), "is_well")]


@pytest.fixture
def instance(twin_home: TwinSettings) -> Iterator[dg.DagsterInstance]:
    with open_instance(twin_home) as (opened, _):
        yield opened


def make(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, day: str | None = None) -> str:
    return dg.materialize([asset], instance=instance, partition_key=day).run_id


def purge(instance: dg.DagsterInstance) -> tuple[int, int]:
    gone, kept, _ = purge_runs(instance, datetime.now(UTC) + SOON, CHECKS)
    return gone, kept


def test_a_run_goes_once_everything_it_made_was_made_anew(instance: dg.DagsterInstance) -> None:
    first = make(instance, of_a_day, "2018-05-01")
    make(instance, of_a_day, "2018-05-02")
    make(instance, whole)
    assert purge(instance) == (0, 3)
    make(instance, of_a_day, "2018-05-01")
    assert purge(instance) == (1, 3)
    assert instance.get_run_by_id(first) is None
    days = instance.get_materialized_partitions(dg.AssetKey("of_a_day"))
    assert days == {"2018-05-01", "2018-05-02"}, "what was made counts as made"
    assert instance.get_latest_materialization_event(dg.AssetKey("whole"))


def test_a_run_that_made_nothing_goes_and_one_whose_check_stands_stays(
    instance: dg.DagsterInstance,
) -> None:
    idle.execute_in_process(instance=instance)
    made = dg.materialize([whole], instance=instance).run_id
    checked = dg.materialize(
        [whole, is_well], instance=instance, selection=dg.AssetSelection.all_asset_checks()
    ).run_id
    assert purge(instance) == (1, 2)
    assert {run.run_id for run in instance.get_runs()} == {made, checked}


def test_neither_a_young_run_nor_one_that_goes_on_is_touched(instance: dg.DagsterInstance) -> None:
    idle.execute_in_process(instance=instance)
    instance.create_run_for_job(idle, status=dg.DagsterRunStatus.STARTED)
    gone, kept, cursor = purge_runs(instance, datetime.now(UTC) - SOON, CHECKS)
    assert (gone, kept, cursor) == (0, 0, None)
    assert purge(instance) == (1, 0)


def test_what_a_run_printed_goes_with_it(instance: dg.DagsterInstance) -> None:
    run_id = idle.execute_in_process(instance=instance).run_id
    printed = Path(instance.storage_directory()) / run_id / "compute_logs"
    printed.mkdir(parents=True, exist_ok=True)
    (printed / "nothing.out").write_text("words")
    purge(instance)
    assert not (printed / "nothing.out").exists()


def test_many_runs_are_purged_look_by_look(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST", 2)
    make(instance, whole)
    for _ in range(4):
        idle.execute_in_process(instance=instance)
    make(instance, of_a_day, "2018-05-01")
    cursor, gone = None, 0
    for _ in range(4):
        some, _, cursor = purge_runs(instance, datetime.now(UTC) + SOON, CHECKS, cursor)
        gone += some
    assert (gone, instance.get_runs_count()) == (4, 2)


def test_the_sensor_says_what_it_did(instance: dg.DagsterInstance) -> None:
    context = dg.build_sensor_context(
        instance=instance, definitions=defs, resources={"twin": TwinResource()}
    )
    result = purge_old_runs(context)
    assert isinstance(result, dg.SensorResult) and result.skip_reason
    assert "0 runs from before" in str(result.skip_reason.skip_message)


def test_only_one_training_runs_at_a_time(instance: dg.DagsterInstance) -> None:
    graph = defs.resolve_asset_graph()
    heavy = ("lora_adapter", "control_adapter", "evaluated_model", "exported_model")
    pools = [set(graph.get(dg.AssetKey(name)).pools or ()) for name in heavy]
    assert pools == [{TRAINING_POOL}] * len(heavy)
    trainings = [
        subprocess.Popen([sys.executable, "-c", TRAINS], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    spans = [training.communicate(timeout=90)[0].split()[-2:] for training in trainings]
    (_, first_ended), (second_begun, _) = sorted((float(a), float(b)) for a, b in spans)
    assert second_begun >= first_ended


def test_a_waiting_training_leaves_a_place_in_the_queue_to_the_days() -> None:
    kept = yaml.safe_load(project_file("dagster.yaml").read_text())["concurrency"]["runs"]
    (limit,) = kept["tag_concurrency_limits"]
    assert limit["limit"] < kept["max_concurrent_runs"]
    for job in (train_and_promote, export_model):
        assert limit["key"] in defs.resolve_job_def(job.name).tags
    assert limit["key"] not in defs.resolve_job_def("daily_refresh").tags


def test_ticks_of_every_kind_are_purged_by_dagster() -> None:
    kept = yaml.safe_load(project_file("dagster.yaml").read_text())["retention"]
    assert set(kept) == {"schedule", "sensor", "auto_materialize"}
