"""Every asset says how old it may get; an export made before follows a promotion, once."""

from __future__ import annotations

import os
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.definitions.freshness import CronFreshnessPolicy

from twin_pipelines.automation.conditions import RENEWED
from twin_pipelines.automation.freshness import (
    CLOSED,
    NIGHTLY_GROUPS,
    RELEASE,
    deadline,
    keep_fresh,
)
from twin_pipelines.automation.jobs import daily_refresh, remember
from twin_pipelines.definitions import defs
from twin_pipelines.settings import Automation, History, Source, TwinSettings

LIVE = Source(name="angela", kind="table", consent="David, 2026")


def policies(settings: TwinSettings) -> dict[str, dg.FreshnessPolicy | None]:
    given = defs.map_asset_specs(func=keep_fresh(settings))
    return {
        spec.key.to_user_string(): spec.freshness_policy for spec in given.resolve_all_asset_specs()
    }


def test_every_asset_of_a_growing_history_has_a_policy_of_its_rhythm(
    twin_home: TwinSettings,
) -> None:
    found = policies(twin_home.model_copy(update={"sources": (LIVE,)}))
    nightly = {name for name, one in found.items() if isinstance(one, CronFreshnessPolicy)}
    assert set(found) - nightly == {name for name, one in found.items() if one == RELEASE}
    graph = defs.resolve_asset_graph()
    made = {
        key.to_user_string()
        for job in (daily_refresh, remember)
        for key in job.selection.resolve(graph)
    }
    assert nightly == made, "what the nightly jobs make is due each day, and nothing else is"


def test_a_closed_history_is_not_late_every_day(twin_home: TwinSettings) -> None:
    assert set(policies(twin_home).values()) == {CLOSED}
    loaded = {spec.freshness_policy for spec in defs.resolve_all_asset_specs()}
    assert loaded == {CLOSED}, "the definitions give it to the whole graph"


@pytest.mark.parametrize(
    ("daily_at", "line"),
    [("03:00", "0 7 * * *"), ("22:30", "30 2 * * *"), ("00:05", "5 4 * * *")],
)
def test_the_deadline_is_some_hours_after_the_nightly_run_begins(daily_at: str, line: str) -> None:
    assert deadline(daily_at) == line


def test_deadlines_are_of_the_history_s_time_zone(twin_home: TwinSettings) -> None:
    settings = twin_home.model_copy(
        update={
            "sources": (LIVE,),
            "history": History(timezone="Asia/Bangkok"),
            "automation": Automation(daily_at="02:30"),
        }
    )
    policy = policies(settings)["raw_conversations"]
    assert isinstance(policy, CronFreshnessPolicy)
    assert (policy.timezone, policy.deadline_cron) == ("Asia/Bangkok", "30 6 * * *")


def test_the_daily_schedule_runs_by_the_clock_of_the_history_s_time_zone() -> None:
    code = (
        "import dagster as dg\n"
        "from datetime import UTC, datetime\n"
        "from twin_pipelines.definitions import defs\n"
        "one = defs.resolve_schedule_def('daily_schedule')\n"
        "at = datetime(2018, 6, 1, 19, 30, tzinfo=UTC)\n"
        "context = dg.build_schedule_context(scheduled_execution_time=at)\n"
        "(asked,) = one.evaluate_tick(context).run_requests\n"
        "print(one.cron_schedule, one.execution_timezone, one.default_status.value)\n"
        "print(asked.partition_key)"
    )
    settings = {
        "TWIN_HISTORY__TIMEZONE": "Asia/Bangkok",
        "TWIN_AUTOMATION__DAILY_AT": "02:30",
    }
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    *_, schedule, day = result.stdout.strip().splitlines()
    assert schedule == "30 2 * * * Asia/Bangkok RUNNING"
    assert day == "2018-06-01", "there it is half past two of the second of June"


@pytest.fixture
def releasing() -> dg.Definitions:
    @dg.asset
    def promoted_model() -> None: ...

    @dg.asset(automation_condition=RENEWED)
    def exported_model() -> None: ...

    return dg.Definitions(assets=[promoted_model, exported_model])


def asked(result: dg.EvaluateAutomationConditionsResult) -> int:
    return result.total_requested


def test_an_export_is_renewed_once_after_a_promotion_and_only_if_there_was_one(
    releasing: dg.Definitions,
) -> None:
    graph = releasing.resolve_all_asset_specs()
    assert len(list(graph)) == 2
    with dg.DagsterInstance.ephemeral() as instance:

        def tick(cursor: object | None) -> dg.EvaluateAutomationConditionsResult:
            return dg.evaluate_automation_conditions(
                releasing,
                instance=instance,
                cursor=cursor,  # type: ignore[arg-type]
            )

        def make(name: str) -> None:
            instance.report_runless_asset_event(dg.AssetMaterialization(name))

        result = tick(None)
        make("promoted_model")
        result = tick(result.cursor)
        assert asked(result) == 0, "nobody ever exported"
        make("exported_model")
        result = tick(result.cursor)
        assert asked(result) == 0, "it is newer than the promotion"
        make("promoted_model")
        result = tick(result.cursor)
        assert asked(result) == 1
        result = tick(result.cursor)
        assert asked(result) == 0, "once"


def test_nothing_has_both_a_job_that_runs_by_itself_and_a_condition() -> None:
    graph = defs.resolve_asset_graph()
    conditioned = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).automation_condition
    }
    assert conditioned == {"exported_model"}
    assert {str(spec.group_name) for spec in defs.resolve_all_asset_specs()} >= NIGHTLY_GROUPS
