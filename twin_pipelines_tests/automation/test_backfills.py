"""A year is one run; one message of long ago re-runs one partition of each asset and nothing else.

The backfill goes the way the web UI's goes: asked of the daemon, planned by a code server.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from followed import say

from twin_pipelines.automation.sensors import follow_sources, settle_what_was_followed
from twin_pipelines.commands import importing
from twin_pipelines.definitions import defs
from twin_pipelines.foundation.instance import RANGE_END, RANGE_START, open_instance, run_job
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinError, TwinSettings, load_settings

DAILY_ASSETS = (
    "raw_conversations",
    "cleaned_messages",
    "message_embeddings",
    "episodic_memories",
    "instruct_pairs",
)
FIRST = date(2017, 3, 1)
YEAR = [(FIRST + timedelta(days=number)).isoformat() for number in range(365)]


@pytest.fixture
def followed(twin_home: TwinSettings, source_url: str, source: psycopg.Connection) -> TwinSettings:
    """Settings, as a user writes them, of a twin that follows a table."""
    (twin_home.home / "twin.toml").write_text(
        f"""
        [[sources]]
        name = "angela"
        kind = "table"
        consent = "David, 2026"
        url = "{source_url}"
        capture = true
        [subject]
        speaker = "angela"
        """
    )
    load_settings.cache_clear()
    return load_settings()


def made(
    instance: dg.DagsterInstance,
    run_id: str,
    kind: dg.DagsterEventType = dg.DagsterEventType.ASSET_MATERIALIZATION,
) -> dict[str, set[str]]:
    """The partitions of each asset that a run materialised, or is to."""
    found: dict[str, set[str]] = {}
    for record in instance.get_records_for_run(run_id, of_type=kind, limit=None).records:
        event = record.event_log_entry.dagster_event
        assert event is not None and event.asset_key is not None
        found.setdefault(event.asset_key.to_user_string(), set()).add(event.partition or "")
    return found


def derive(instance: dg.DagsterInstance) -> str:
    """One look at the source, the run it asks for, and its settling; returns the run."""
    resources = {"twin": TwinResource()}
    context = dg.build_sensor_context(instance=instance, definitions=defs, resources=resources)
    result: Any = follow_sources(context)
    (request,) = result.run_requests
    days = (request.tags[RANGE_START], request.tags[RANGE_END])
    job = defs.resolve_job_def(request.job_name)
    outcome = run_job(instance, job, days=days, tags=request.tags)
    assert outcome.success, outcome.failures
    run = instance.get_run_by_id(outcome.run_id)
    assert run is not None
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name
    )
    ended = dg.build_run_status_sensor_context(
        "any", dagster_run=run, dagster_instance=instance, dagster_event=event
    )
    settle_what_was_followed(ended, twin=TwinResource())
    return outcome.run_id


@pytest.mark.slow
def test_one_message_to_one_old_day_runs_one_partition_of_each_asset(
    followed: TwinSettings, source: psycopg.Connection
) -> None:
    with open_instance(followed) as (instance, _):
        for day in range(1, 29):
            say(source, f"what happened on day {day}", day=day)
        first = made(instance, derive(instance))
        everything = {f"2018-05-{day:02}" for day in range(1, 29)}
        assert first == dict.fromkeys(DAILY_ASSETS, everything), "the whole range was one run"
        say(source, "one more of long ago", day=7)
        again = made(instance, derive(instance))
        assert again == {name: {"2018-05-07"} for name in DAILY_ASSETS}
        assert instance.get_runs_count() == 2


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        (None, None, ("2018-04-10", "2018-11-16")),
        (date(2018, 5, 1), date(2018, 5, 3), ("2018-05-01", "2018-05-03")),
        (date(2018, 5, 1), None, ("2018-05-01", "2018-11-16")),
        (None, date(2018, 4, 11), ("2018-04-10", "2018-04-11")),
        (date(2000, 1, 1), date(2018, 4, 10), ("2018-04-10", "2018-04-10")),
        (date(2018, 11, 16), date(2099, 1, 1), ("2018-11-16", "2018-11-16")),
    ],
)
def test_any_range_of_days_is_refreshed_as_one_run(
    twin_home: TwinSettings,
    monkeypatch: pytest.MonkeyPatch,
    since: date | None,
    until: date | None,
    days: tuple[str, str],
) -> None:
    asked = _asked(twin_home, monkeypatch, since, until)
    assert asked == [days]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (date(2019, 1, 1), None),
        (None, date(2018, 1, 1)),
        (date(2018, 5, 3), date(2018, 5, 1)),
    ],
)
def test_a_range_without_a_day_of_the_history_is_refused(
    twin_home: TwinSettings,
    monkeypatch: pytest.MonkeyPatch,
    since: date | None,
    until: date | None,
) -> None:
    with pytest.raises(TwinError, match="goes from 2018-04-10 to 2018-11-16"):
        _asked(twin_home, monkeypatch, since, until)


def _asked(
    settings: TwinSettings, monkeypatch: pytest.MonkeyPatch, since: date | None, until: date | None
) -> list[tuple[str, str]]:
    asked: list[tuple[str, str]] = []

    @contextmanager
    def opened(_: TwinSettings) -> Iterator[tuple[None, None]]:
        yield None, None

    def refresh(_instance: None, first: date, last: date, _console: None) -> None:
        asked.append((first.isoformat(), last.isoformat()))

    monkeypatch.setattr(importing.runs, "open_twin", opened)
    monkeypatch.setattr(importing.runs, "refresh", refresh)
    importing.refresh_days(settings, since, until, None)  # type: ignore[arg-type]
    return asked


@pytest.mark.slow
def test_a_backfill_of_365_days_is_one_run_of_exactly_those(
    followed: TwinSettings, source: psycopg.Connection
) -> None:
    span = {"first": "2017-01-01", "last": "2018-11-16"}
    (followed.home / "history.json").write_text(json.dumps(span))
    for day in (YEAR[0], YEAR[100], YEAR[-1]):
        say(source, f"said on {day}", created_at=f"{day}T12:00:00Z")
    with (
        open_instance(followed) as (instance, _),
        create_test_daemon_workspace_context(
            ModuleTarget("twin_pipelines.definitions", None, None, "twin"), instance
        ) as workspace,
    ):
        context = workspace.create_request_context()
        assert not [one for one in context.get_code_location_entries().values() if one.load_error]
        (location,) = context.code_locations
        (repository,) = location.get_repositories().values()
        (days,) = [
            one for one in repository.get_partition_sets() if one.job_name == "daily_refresh"
        ]
        instance.add_backfill(
            PartitionBackfill(
                backfill_id="year",
                partition_set_origin=days.get_remote_origin(),
                status=BulkActionStatus.REQUESTED,
                partition_names=YEAR,
                from_failure=False,
                reexecution_steps=None,
                tags={},
                backfill_timestamp=time.time(),
            )
        )
        errors = list(execute_backfill_iteration(workspace, logging.getLogger("backfill")))
        assert not [error for error in errors if error]
        (run,) = instance.get_runs()
        assert (run.tags[RANGE_START], run.tags[RANGE_END]) == (YEAR[0], YEAR[-1])
        assert run.job_name == "daily_refresh"
        planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        assert made(instance, run.run_id, planned) == {name: set(YEAR) for name in DAILY_ASSETS}
