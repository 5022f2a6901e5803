"""The asset and its checks, on the real package and on own files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinSettings, load_settings
from twin_pipelines.sources import (
    assets,
    checks,
    chitchat,
    landing,
    landing_store,
    store,
    voice_trial,
)

EIGHTH = "60576dcf-5b39-4420-a850-33ff7d108047"
WEEK = DayRange(date(2018, 7, 1), date(2018, 11, 16))
ALL_ROWS = "select * from raw_messages order by id"


def configure(monkeypatch: pytest.MonkeyPatch, **sections: Any) -> TwinSettings:
    for name, value in sections.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    return load_settings()


@pytest.fixture
def sender(twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwinSettings]:
    yield configure(monkeypatch, TWIN_SUBJECT__SPEAKER=EIGHTH)
    load_settings.cache_clear()


def materialise(first: str, last: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*dg.load_assets_from_modules([assets]), *dg.load_asset_checks_from_modules([checks])],
        resources={"twin": TwinResource()},
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        },
        raise_on_error=False,
    )


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_a_range_lands_in_one_run_with_its_checks(
    connection: psycopg.Connection, sender: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_trial, "KNOWN_PEOPLE", 8)
    monkeypatch.setattr(voice_trial, "UNKNOWN_PEOPLE", 4)
    result = materialise("2018-04-10", "2018-11-16")
    assert result.success
    assert store.counts(connection).messages == chitchat.subject_messages(EIGHTH).height
    made = result.asset_materializations_for_node("raw_conversations")
    counts = {
        event.partition: event.metadata["dagster/partition_row_count"].value
        for event in made
        if "dagster/partition_row_count" in event.metadata
    }
    assert sum(counts.values()) == store.counts(connection).messages
    assert "chitchat" in made[0].metadata["messages by source"].value
    checked = verdicts(result)
    assert len(checked) == 7
    failed = {name for name, check in checked.items() if not check.passed}
    assert failed == {"one_voice"}
    assert "NOT ONE VOICE" in (checked["one_voice"].description or "")
    assert checked["one_voice"].severity == dg.AssetCheckSeverity.WARN
    (source,) = store.source_rows(connection)
    assert (source["kind"], source["granted"]) == ("chitchat", chitchat.CONSENT)


def test_landing_a_day_twice_gives_identical_rows(
    connection: psycopg.Connection, sender: TwinSettings
) -> None:
    landing.land_days(connection, sender, WEEK)
    rows = connection.execute(ALL_ROWS).fetchall()
    assert rows
    day = rows[0][7]
    landing.land_days(connection, sender, DayRange(day, day))
    landing.land_days(connection, sender, WEEK)
    assert connection.execute(ALL_ROWS).fetchall() == rows
    assert store.import_summary(connection)["read"] == len(rows)


def test_a_landing_that_breaks_off_leaves_the_days_as_they_were(
    connection: psycopg.Connection, sender: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.land_days(connection, sender, WEEK)
    rows = connection.execute(ALL_ROWS).fetchall()

    def breaks_off(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(landing_store, "record_import", breaks_off)
    with pytest.raises(RuntimeError, match="killed"):
        landing.land_days(connection, sender, WEEK)
    connection.rollback()
    assert connection.execute(ALL_ROWS).fetchall() == rows


def test_another_subject_leaves_no_stale_chats(
    connection: psycopg.Connection, sender: TwinSettings
) -> None:
    landing.land_days(connection, sender, DayRange(date(2018, 4, 10), date(2018, 11, 16)))
    other = sender.subject.model_copy(update={"speaker": "994e94a5-6ae0-4365-8322-93d359cf1c3c"})
    changed = sender.model_copy(update={"subject": other})
    landing.land_days(connection, changed, WEEK)
    stale = connection.execute(
        "select count(*) from (select conversation_id from raw_messages group by 1 "
        "having count(*) filter (where speaker = %s) = 0) as chats",
        [other.speaker],
    ).fetchone()
    assert stale == (0,)
    within = connection.execute(
        "select count(*) from raw_messages where day between %s and %s", [WEEK.first, WEEK.last]
    ).fetchone()
    theirs = chitchat.subject_messages(other.speaker)
    days = theirs["sent_at"].dt.date()
    assert within == (days.is_between(WEEK.first, WEEK.last).sum(),)


def test_own_history_replaces_the_package_and_configured_files_land_once(
    connection: psycopg.Connection,
    sender: TwinSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    landing.land_days(connection, sender, WEEK)
    path = tmp_path / "own.jsonl"
    rows = [
        {
            "conversation_id": "c",
            "speaker": speaker,
            "text": f"hi {number}",
            "sent_at": f"2018-05-0{1 + number % 3}T10:00:00Z",
        }
        for number, speaker in enumerate(["ann", "bob"] * 6)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\nbroken\n")
    settings = configure(
        monkeypatch,
        TWIN_SUBJECT__SPEAKER="ann",
        TWIN_SOURCES=json.dumps(
            [{"name": "own", "kind": "file", "path": str(path), "consent": "Ann"}]
        ),
    )
    day = DayRange(date(2018, 5, 2), date(2018, 5, 2))
    landed = landing.land_days(connection, settings, day)
    assert [report.landed for report in landed.reports] == [12]
    assert landed.counts.rows() == [(date(2018, 5, 2), "own", 4)]
    assert store.speakers(connection) == {"ann": 6, "bob": 6}
    assert [row["source"] for row in store.source_rows(connection)] == ["own"]
    again = landing.land_days(connection, settings, day)
    assert again.reports[0].known
    result = materialise("2018-05-01", "2018-05-03")
    assert result.success
    checked = verdicts(result)
    assert not checked["few_rows_are_rejected"].passed  # 1 of 13 rows
    assert checked["one_voice"].passed
    assert "Too little text" in (checked["one_voice"].description or "")
    assert checked["one_voice"].metadata["tested"].value is False


def test_a_subject_who_wrote_nothing_blocks_and_names_the_speakers(
    connection: psycopg.Connection,
    twin_home: TwinSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "own.csv"
    path.write_text("conversation_id,speaker,text,sent_at\nc,ann,hi,2018-05-02T10:00:00Z\n")
    settings = configure(monkeypatch, TWIN_SUBJECT__SPEAKER="anne")
    landing.import_file(connection, settings, path, consent="Ann")
    result = materialise("2018-05-02", "2018-05-02")
    check = verdicts(result)["subject_has_written"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert "ann (1)" in (check.description or "")
    assert not verdicts(result)["sources_hold_conversations"].passed


def test_broken_rows_in_the_table_are_found_by_the_checks(
    connection: psycopg.Connection, sender: TwinSettings
) -> None:
    landing.land_days(connection, sender, WEEK)
    connection.execute(
        "update raw_messages set speaker = ' ' where id in (select id from raw_messages limit 3)"
    )
    connection.execute(
        "update raw_messages set day = day + 1 where id in (select id from raw_messages limit 2)"
    )
    faults = checks.faults(connection, WEEK)
    assert faults["without_speaker"].sum() == 3
    assert faults["other_day"].sum() == 2
    assert faults["repeated"].sum() == 0


def test_loaded_messages_are_of_the_days_and_in_order(
    connection: psycopg.Connection, sender: TwinSettings
) -> None:
    landing.land_days(connection, sender, WEEK)
    frame = store.load_messages(connection, WEEK)
    assert frame.columns == [
        "id",
        "source",
        "source_message_id",
        "conversation_id",
        "speaker",
        "text",
        "sent_at",
        "day",
        "reply_to",
        "metadata",
    ]
    assert frame.equals(store.load_messages(connection, None))
    assert frame.height == frame["id"].n_unique() > 0
    assert frame["day"].is_between(WEEK.first, WEEK.last).all()
    assert frame.equals(frame.sort("source", "conversation_id", "sent_at", "source_message_id"))


def test_the_history_opens_to_the_span_of_the_package(
    connection: psycopg.Connection, sender: TwinSettings
) -> None:
    sender.history_file.unlink()
    landing.open_history(connection, sender)
    assert sender.history_span() == chitchat.span()
