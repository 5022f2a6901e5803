"""The graph follows its sources: exactly what was touched is derived, once for a burst."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from followed import say

from twin_pipelines.automation.following import stretches, work
from twin_pipelines.automation.sensors import (
    POSITIONS,
    follow_sources,
    remember_what_is_new,
    settle_what_was_followed,
)
from twin_pipelines.definitions import defs
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.instance import RANGE_END, RANGE_START
from twin_pipelines.foundation.partitions import daily_partitions
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinSettings, load_settings
from twin_pipelines.sources import assets, checks
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.letters_store import waiting_letters
from twin_pipelines.sources.landing import land_days

MAY = DayRange(date(2018, 5, 1), date(2018, 5, 31))


@pytest.fixture
def written(twin_home: TwinSettings, source_url: str, source: psycopg.Connection) -> TwinSettings:
    """Settings as a user writes them: a table that is followed."""
    (twin_home.home / "twin.toml").write_text(
        f"""
        sources = [{{ name = "angela", kind = "table", consent = "David, 2026",
                      url = "{source_url}", capture = true }}]
        [subject]
        speaker = "angela"
        """.replace("\n                      ", " ")
    )
    load_settings.cache_clear()
    return load_settings()


def tick(instance: dg.DagsterInstance) -> Any:
    context = dg.build_sensor_context(
        instance=instance, definitions=defs, resources={"twin": TwinResource()}
    )
    return follow_sources(context)


def ended(instance: dg.DagsterInstance, request: dg.RunRequest, status: Any) -> dg.DagsterRun:
    job = defs.resolve_job_def(request.job_name or "")
    return instance.create_run_for_job(job, status=status, tags=request.tags)


def succeeded(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Any:
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name
    )
    return dg.build_run_status_sensor_context(
        "any", dagster_run=run, dagster_instance=instance, dagster_event=event
    )


def stretch(request: dg.RunRequest) -> tuple[str, str]:
    return request.tags[RANGE_START], request.tags[RANGE_END]


def test_a_burst_asks_for_one_run_of_exactly_the_days_it_touched(
    written: TwinSettings, source: psycopg.Connection
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for number in range(20):
            say(source, f"message {number}", day=3 + number % 2)
        result = tick(instance)
        assert [stretch(one) for one in result.run_requests] == [("2018-05-03", "2018-05-04")]
        (observed,) = result.asset_events or [None]
        assert observed is None or observed.asset_key == dg.AssetKey("raw_conversations")


def test_one_message_to_one_old_day_asks_for_that_day_alone(
    written: TwinSettings, source: psycopg.Connection, connection: psycopg.Connection
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for day in range(1, 20):
            say(source, "as every day", day=day)
        (whole,) = tick(instance).run_requests
        run = ended(instance, whole, dg.DagsterRunStatus.SUCCESS)
        settle_what_was_followed(succeeded(instance, run), twin=TwinResource())
        assert capture_store.touched(connection).is_empty()
        connection.rollback()
        assert "Nothing waits" in tick(instance).skip_reason.skip_message

        say(source, "one more of long ago", day=7)
        (alone,) = tick(instance).run_requests
        assert (alone.job_name, *stretch(alone)) == ("daily_refresh", "2018-05-07", "2018-05-07")


def test_a_session_over_midnight_takes_the_next_day_along(
    connection: psycopg.Connection, source: psycopg.Connection, written: TwinSettings
) -> None:
    say(source, "good night", created_at="2018-05-05T23:50:00Z")
    say(source, "not yet", created_at="2018-05-06T00:10:00Z")
    say(source, "late", created_at="2018-05-20T12:00:00Z")
    land_days(connection, written, MAY)
    connection.execute("delete from touched_days where day <> '2018-05-05'")
    connection.commit()
    assert work(connection, written).stretches == (DayRange(date(2018, 5, 5), date(2018, 5, 6)),)


def test_what_changes_during_a_run_goes_on_waiting(
    written: TwinSettings, source: psycopg.Connection, connection: psycopg.Connection
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        say(source, "first", day=3)
        (request,) = tick(instance).run_requests
        run = ended(instance, request, dg.DagsterRunStatus.STARTED)
        say(source, "while it runs", day=3)
        waits = tick(instance)
        assert waits.run_requests == []
        assert "on its way" in waits.skip_reason.skip_message
        instance.delete_run(run.run_id)
        run = ended(instance, request, dg.DagsterRunStatus.SUCCESS)
        settle_what_was_followed(succeeded(instance, run), twin=TwinResource())
        assert capture_store.touched(connection)["day"].to_list() == [date(2018, 5, 3)]
        connection.rollback()
        (again,) = tick(instance).run_requests
        assert again.run_key != request.run_key


def test_a_failed_run_is_asked_for_again_and_not_for_ever(
    written: TwinSettings, source: psycopg.Connection
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        say(source, "hard to derive", day=3)
        keys = []
        for _ in range(3):
            (request,) = tick(instance).run_requests
            keys.append(request.run_key)
            ended(instance, request, dg.DagsterRunStatus.FAILURE)
        given_up = tick(instance)
        assert len(set(keys)) == 3
        assert "failed 3 times" in given_up.skip_reason.skip_message


def test_a_source_that_is_down_is_said_and_followed_again_once_it_is_back(
    written: TwinSettings,
    source: psycopg.Connection,
    connection: psycopg.Connection,
    source_url: str,
    database_url: str,
) -> None:
    name = source_url.rpartition("/")[2]
    with (
        dg.DagsterInstance.ephemeral() as instance,
        psycopg.connect(database_url, autocommit=True) as administrator,
    ):
        tick(instance)
        source.close()
        administrator.execute(f"alter database {name} rename to away_{name}")
        down = tick(instance)
        administrator.execute(f"alter database away_{name} rename to {name}")
        assert name in down.skip_reason.skip_message
        problem = connection.execute("select problem from feeds").fetchone()
        assert problem and name in problem[0]
        with psycopg.connect(source_url, autocommit=True) as back:
            say(back, "after", day=4)
        (request,) = tick(instance).run_requests
        assert stretch(request) == ("2018-05-04", "2018-05-04")


def test_remembering_inherits_what_it_settles(
    written: TwinSettings, source: psycopg.Connection
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        say(source, "to be remembered", day=3)
        (request,) = tick(instance).run_requests
        run = ended(instance, request, dg.DagsterRunStatus.SUCCESS)
        asked = remember_what_is_new(succeeded(instance, run))
    assert asked.tags[POSITIONS] == request.tags[POSITIONS]


def test_stretches_have_no_gap() -> None:
    days = [date(2018, 5, day) for day in (9, 1, 2, 4)]
    assert [(one.first.day, one.last.day) for one in stretches(days)] == [(1, 2), (4, 4), (9, 9)]


def test_status_tells_how_far_sources_were_followed_and_what_was_set_aside(
    written: TwinSettings, source: psycopg.Connection, connection: psycopg.Connection
) -> None:
    land_days(connection, written, MAY)
    say(source, "fine", day=3)
    say(source, "without a time", created_at=None)
    land_days(connection, written, MAY)
    (feed,) = capture_store.feed_summary(connection).to_dicts()
    (letter,) = waiting_letters(connection).to_dicts()
    assert (feed["touched_days"], feed["problem"], feed["tables"]) == (1, "", ["conversations"])
    assert '"insert": 2' in feed["rows"]
    assert letter["reason"] == "no time"


def test_a_run_says_whether_what_landed_is_what_stands_in_the_source(
    written: TwinSettings, source: psycopg.Connection, connection: psycopg.Connection
) -> None:
    say(source, "as it is", day=3)
    say(source, "and another", day=4, speaker="david")
    agreed = checked()
    assert agreed.passed
    assert agreed.metadata["rows compared"].value == 2
    connection.execute("update raw_messages set text = 'changed here' where text = 'as it is'")
    connection.commit()
    differing = checked()
    assert not differing.passed
    assert "1 rows of angela on 1 days" in (differing.description or "")


def checked() -> dg.AssetCheckEvaluation:
    result = dg.materialize(
        [*dg.load_assets_from_modules([assets]), *dg.load_asset_checks_from_modules([checks])],
        resources={"twin": TwinResource()},
        tags={RANGE_START: "2018-05-01", RANGE_END: "2018-05-31"},
        raise_on_error=False,
    )
    evaluations = {one.check_name: one for one in result.get_asset_check_evaluations()}
    return evaluations["follows_its_source"]


def test_messages_of_today_have_a_partition_and_those_of_tomorrow_wait(
    written: TwinSettings, source: psycopg.Connection, connection: psycopg.Connection
) -> None:
    now = datetime.now(UTC)
    days = daily_partitions(written)
    assert days.has_partition_key(now.date().isoformat())
    say(source, "of this moment", created_at=now)
    say(source, "of a clock that is ahead", created_at=now + timedelta(hours=23.99))
    land_days(connection, written, MAY)
    waiting = work(connection, written)
    assert [one.last for one in waiting.stretches] == [now.date()]
    assert max(capture_store.touched(connection)["day"]) > now.date()
