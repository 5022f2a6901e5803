"""What failed opens an alert, what was made good closes it, and no words of anyone stand in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psycopg
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.automation.drift import Drift, Shift
from twin_pipelines.automation.upkeep import GATE, watch_over_twin
from twin_pipelines.automation.watching import (
    Ended,
    drifted,
    failed_checks,
    failed_runs,
    feeds_behind,
    full_disk,
    set_aside,
    unmended,
)
from twin_pipelines.definitions import defs
from twin_pipelines.foundation.alerts_store import open_alerts
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.instance import RANGE_END, RANGE_START
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinSettings

SAID = "ฉันรักเธอ and this was said in private"


@dg.op
def breaks() -> None:
    raise ValueError(SAID)


@dg.job
def broken() -> None:
    breaks()


@dg.asset
def made() -> None:
    """Made."""


@dg.asset_check(asset=made, blocking=True)
def says_what_was_said() -> dg.AssetCheckResult:
    """Fails, and quotes."""
    return dg.AssetCheckResult(passed=False, description=SAID)


def ended(
    success: bool, first: int | None = None, last: int | None = None, assets: set[str] | None = None
) -> Ended:
    days = DayRange(date(2018, 5, first), date(2018, 5, last or first)) if first else None
    chosen = frozenset(assets) if assets else None
    return Ended("run", "daily_refresh", success, chosen, days)


def test_a_failed_day_stays_failed_until_a_later_run_covers_it() -> None:
    failed = ended(False, 7)
    assert unmended([ended(True, 8), failed]) == [failed], "another day's success is no remedy"
    assert unmended([failed, ended(True, 7)]) == [failed], "nor is an earlier one"
    assert unmended([ended(True, 1, 31), failed]) == []
    assert unmended([ended(True, 7, assets={"raw_conversations"}), failed]) == [failed]
    some = ended(False, 7, assets={"raw_conversations"})
    assert unmended([ended(True, 7, assets={"raw_conversations", "instruct_pairs"}), some]) == []


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 9)), max_size=12))
def test_a_run_that_covers_everything_mends_everything(runs: list[tuple[bool, int, int]]) -> None:
    history = [ended(success, first, first + more) for success, first, more in runs]
    assert unmended([ended(True, 1, 31), *history]) == []
    assert len(unmended(history)) <= sum(not run.success for run in history)


def test_a_failed_run_is_told_without_what_it_said() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        broken.execute_in_process(instance=instance, raise_on_error=False)
        (words,) = failed_runs(instance, ["broken", "never_ran"]).values()
        assert "A run of broken failed at breaks" in words
        assert SAID not in words


def test_a_run_that_a_check_ended_is_the_checks_news_and_not_quoted() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([made, says_what_was_said], instance=instance, raise_on_error=False)
        key = dg.AssetCheckKey(dg.AssetKey("made"), "says_what_was_said")
        (words,) = failed_checks(instance, [key]).values()
        assert "says_what_was_said of made fails" in words and SAID not in words
        assert failed_checks(instance, [key], ["made.says_what_was_said"]) == {}
        job = instance.get_runs()[0].job_name
        assert failed_runs(instance, [job]) == {}


def test_an_old_failure_is_let_go() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        broken.execute_in_process(instance=instance, raise_on_error=False)
        assert failed_runs(instance, ["broken"], days=0) == {}


def test_a_source_is_behind_once_it_was_not_read_for_minutes() -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    feeds = pl.DataFrame(
        {
            "feed": ["twin_new", "twin_late", "twin_broken"],
            "drained_at": [now - timedelta(minutes=late) for late in (1, 6, 60)],
            "problem": ["a hiccup", "", f"The source answered: {SAID}"],
        }
    )
    found = feeds_behind(feeds, 5, now)
    assert set(found) == {"twin_late", "twin_broken"}
    assert "start `twin follow`" in found["twin_late"]
    assert "cannot be followed" in found["twin_broken"] and SAID not in found["twin_broken"]


def test_a_disk_a_voice_and_a_folder_are_told_only_when_they_are_bad(tmp_path: Path) -> None:
    assert full_disk(tmp_path, 0) == {}
    assert "make room" in full_disk(tmp_path, 10**9)["state_folder"]
    assert set_aside({}) == {}
    words = set_aside({"ann's chat.csv": f"says {SAID}"})["drop_folder"]
    assert "ann" not in words and SAID not in words
    assert drifted(None, 0.02) == {}
    shift = Shift("languages moved", 0.3, 0.05, 0.1)
    assert "writes differently" in drifted(Drift((shift,)), 0.02)["voice"]
    assert drifted(Drift((shift,)), 0.9) == {}


def watched(instance: dg.DagsterInstance) -> Any:
    context = dg.build_sensor_context(
        instance=instance, definitions=defs, resources={"twin": TwinResource()}
    )
    return watch_over_twin(context)


def test_the_sensor_opens_an_alert_and_closes_it_when_the_day_was_run_again(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    job = defs.resolve_job_def("daily_refresh")
    days = {RANGE_START: "2018-05-01", RANGE_END: "2018-05-03"}
    with dg.DagsterInstance.ephemeral() as instance:
        assert watched(instance).skip_message == "All is well."
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE, tags=days)
        for _ in range(2):
            assert "daily_refresh failed" in watched(instance).skip_message
        assert [one.kind for one in open_alerts(connection)] == ["run_failed:daily_refresh"]
        connection.rollback()
        wider = {RANGE_START: "2018-04-30", RANGE_END: "2018-05-03"}
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS, tags=wider)
        assert watched(instance).skip_message == "All is well."
        assert open_alerts(connection) == []


def test_a_challenger_that_the_gate_refuses_is_no_fault() -> None:
    keys = {
        f"{key.asset_key.to_user_string()}.{key.name}"
        for key in defs.resolve_asset_graph().asset_check_keys
    }
    assert GATE and set(GATE) <= keys
