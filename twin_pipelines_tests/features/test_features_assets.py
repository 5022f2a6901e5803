"""The asset and its checks, materialised on real rows: what they say is what is there."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from raw_frames import DAY, at
from test_features_store import conversation, land

from twin_pipelines.features import assets, checks
from twin_pipelines.features.assets import cleaned_messages
from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinSettings

LAST = DAY + timedelta(days=2)
SUITE = dg.load_asset_checks_from_modules([checks])
NAMES = {key.name for check in SUITE for key in check.check_keys}
CRITICAL = {"turns_are_readable", "sessions_begin_in_time", "every_message_is_accounted_for"}


def run(*, first: date = DAY, last: date = DAY, assets: bool = True) -> dg.ExecuteInProcessResult:
    selection = (
        dg.AssetSelection.assets(cleaned_messages)
        if assets
        else dg.AssetSelection.checks_for_assets(cleaned_messages)
    )
    definitions = dg.Definitions(
        assets=[cleaned_messages],
        asset_checks=SUITE,
        jobs=[dg.define_asset_job("clean", selection)],
        resources={"twin": TwinResource()},
    )
    tags = {
        "dagster/asset_partition_range_start": first.isoformat(),
        "dagster/asset_partition_range_end": last.isoformat(),
    }
    return definitions.resolve_job_def("clean").execute_in_process(tags=tags, raise_on_error=False)


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {found.check_name: found.passed for found in result.get_asset_check_evaluations()}


def test_a_range_is_one_run_and_each_day_tells_its_own_counts(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    land(connection, [*conversation(6), {"text": "", "sent_at": at(2)}])
    land(connection, conversation(4, source="mail", sent_at=at(49)))
    result = run(last=LAST)
    assert result.success
    assert verdicts(result) == dict.fromkeys(NAMES, True)
    events = result.asset_materializations_for_node("cleaned_messages")
    told = {event.partition: {k: v.value for k, v in event.metadata.items()} for event in events}
    assert len(told) == 3
    first = told[DAY.isoformat()]
    assert first["dagster/partition_row_count"] == 6
    assert (first["messages"], first["dropped"], first["sessions"]) == (7, 1, 1)
    assert told[LAST.isoformat()]["dagster/partition_row_count"] == 4
    assert "| empty | 1 | 9.1% |" in first["dropped by reason"]
    assert "| en | 10 | 100.0% |" in first["turns by language"]


def test_an_empty_day_succeeds_and_passes(twin_home: TwinSettings) -> None:
    result = run()
    assert result.success
    assert verdicts(result) == dict.fromkeys(NAMES, True)
    event = result.asset_materializations_for_node("cleaned_messages")[0]
    assert event.metadata["dagster/partition_row_count"].value == 0


BLANK = "update cleaned_messages set text = ' ' where place = 0"
SPOILED = "update cleaned_messages set text = 'a' || chr(7), content_hash = md5('a' || chr(7))"
LOST = "delete from cleaned_messages where place = 0"
TWICE = "insert into dropped_messages select id, day, 'empty' from cleaned_messages limit 1"
ORPHANED = "delete from raw_messages where id in (select raw_id from dropped_messages)"
STRAY = "update cleaned_messages set session_id = id, day = day + 2 where place = 0"
WORDLESS = "update cleaned_messages set language = 'none'"


@pytest.mark.parametrize(
    ("damage", "failing"),
    [
        (BLANK, {"turns_are_readable"}),
        (SPOILED, {"turns_are_readable"}),
        (LOST, {"every_message_is_accounted_for"}),
        (TWICE, {"every_message_is_accounted_for"}),
        (ORPHANED, {"every_message_is_accounted_for"}),
        (STRAY, {"every_message_is_accounted_for", "sessions_begin_in_time"}),
        (WORDLESS, {"languages_are_recognised"}),
    ],
)
def test_damage_is_noticed(
    twin_home: TwinSettings, connection: psycopg.Connection, damage: str, failing: set[str]
) -> None:
    land(connection, [*conversation(24), {"text": "", "sent_at": at(2)}])
    refresh_days(connection, twin_home, DayRange(DAY, DAY))
    connection.execute(damage)
    connection.commit()
    found = verdicts(run(last=LAST, assets=False))
    assert {name for name, passed in found.items() if not passed} == failing


def test_a_day_that_is_mostly_dropped_warns(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    land(connection, [*conversation(15), *({"text": "", "sent_at": at(2)} for _ in range(5))])
    found = {check.check_name: check for check in run().get_asset_check_evaluations()}
    warning = found["few_messages_are_dropped"]
    assert not warning.passed
    assert warning.severity == dg.AssetCheckSeverity.WARN


def test_only_what_would_spoil_training_blocks() -> None:
    specs = {spec.name: spec for check in SUITE for spec in check.check_specs}
    assert {name for name, spec in specs.items() if spec.blocking} == CRITICAL


def test_the_asset_is_described() -> None:
    spec: Any = cleaned_messages.specs_by_key[dg.AssetKey("cleaned_messages")]
    assert spec.group_name == "features"
    assert spec.description and spec.code_version
    assert spec.kinds == {"python", "polars", "postgres"}
    assert assets.cleaned_messages.backfill_policy == dg.BackfillPolicy.single_run()
