"""When retraining starts by itself, and when it must not."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import dagster as dg
import pytest

from twin_pipelines.automation import sensors
from twin_pipelines.automation.jobs import train_and_promote
from twin_pipelines.automation.schedules import daily_schedule
from twin_pipelines.automation.sensors import retrain_on_volume
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinSettings


def _evaluate(instance: dg.DagsterInstance) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, resources={"twin": TwinResource()})
    result = retrain_on_volume(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_without_a_champion_nothing_is_retrained(twin_home: TwinSettings) -> None:
    result = _evaluate(dg.DagsterInstance.ephemeral())
    assert isinstance(result, dg.SkipReason)
    assert "No champion yet" in str(result.skip_message)


@pytest.mark.parametrize(("new_pairs", "asked"), [(499, False), (500, True), (1_203, True)])
def test_retraining_is_asked_for_once_a_threshold_of_new_pairs(
    twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch, new_pairs: int, asked: bool
) -> None:
    champion = SimpleNamespace(dataset_version="abc123")
    monkeypatch.setattr(sensors.promotion, "champion", lambda _: champion)
    monkeypatch.setattr(sensors.instruct, "new_pairs_since", lambda *_: new_pairs)
    result = _evaluate(dg.DagsterInstance.ephemeral())
    assert isinstance(result, dg.SensorResult) == asked
    if asked:
        assert isinstance(result, dg.SensorResult) and result.run_requests
        assert result.run_requests[0].run_key == f"abc123-{new_pairs // 500}"


def test_a_training_on_its_way_is_not_asked_for_twice(
    twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = SimpleNamespace(dataset_version="abc123")
    monkeypatch.setattr(sensors.promotion, "champion", lambda _: champion)
    monkeypatch.setattr(sensors.instruct, "new_pairs_since", lambda *_: 900)
    instance = dg.DagsterInstance.ephemeral()
    run = dg.DagsterRun(job_name=train_and_promote.name, status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    result = _evaluate(instance)
    assert isinstance(result, dg.SkipReason)
    assert "already on its way" in str(result.skip_message)


def test_the_daily_schedule_asks_for_the_day_that_has_just_ended() -> None:
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2018, 6, 2, 3, tzinfo=UTC)
    )
    data = daily_schedule.evaluate_tick(context)
    assert data.run_requests
    assert [request.partition_key for request in data.run_requests] == ["2018-06-01"]
