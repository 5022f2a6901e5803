"""The two assets on a real database: identical when repeated, whole when stopped, checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import checks, store
from twin_pipelines.instruct.assets import instruct_dataset, instruct_pairs
from twin_pipelines.instruct.outlook import pairs_outlook
from twin_pipelines.settings import TwinError, TwinSettings, load_settings
from twin_pipelines.training.staleness_store import changes_since

Talk = Callable[..., pl.DataFrame]
Land = Callable[[psycopg.Connection, pl.DataFrame], None]
BEGIN = datetime(2018, 5, 1, 9, tzinfo=UTC)
PAIR_CHECKS = [checks.pairs_are_sound, checks.few_pairs_are_excluded]
DATASET_CHECKS = [checks.nothing_leaks, checks.enough_to_train, checks.target_is_reached]
WORDS = "red blue green small large quiet loud old new far near warm cold soft hard fast slow"


def chats(talk: Talk, sessions: int = 12, each: int = 4, begin: datetime = BEGIN) -> pl.DataFrame:
    """A session every six hours; no two exchanges are alike."""

    def text(seed: int, ending: str) -> str:
        return (
            " ".join(WORDS.split()[(seed * step) % 17] + str(seed * step) for step in (1, 3, 5, 7))
            + ending
        )

    return pl.concat(
        talk(
            [
                (
                    "bob" if turn % 2 == 0 else "sue",
                    text(begin.day + 100 * n + turn, "?!"[turn % 2]),
                )
                for turn in range(2 * each)
            ],
            begin + timedelta(hours=6 * n),
        )
        for n in range(sessions)
    )


def materialise(
    assets: list[Any], first: str | None = None, last: str | None = None
) -> dg.ExecuteInProcessResult:
    tags = {}
    if first:
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
    return dg.materialize(
        assets, resources={"twin": TwinResource()}, tags=tags, raise_on_error=False
    )


def make_pairs(first: str = "2018-05-01", last: str = "2018-05-09") -> dg.ExecuteInProcessResult:
    return materialise([instruct_pairs, *PAIR_CHECKS], first, last)


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def rows(connection: psycopg.Connection, query: str) -> list[tuple]:
    connection.rollback()
    return connection.execute(query).fetchall()


def error_of(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    while error.cause:
        error = error.cause
    return error.message


@pytest.fixture
def history(
    twin_home: TwinSettings, connection: psycopg.Connection, talk: Talk, land: Land
) -> pl.DataFrame:
    turns = chats(talk)
    land(connection, turns)
    return turns


def test_days_one_by_one_and_a_range_at_once_give_identical_rows(
    history: pl.DataFrame, connection: psycopg.Connection
) -> None:
    everything = "select * from instruct_pairs order by id"
    assert make_pairs().success
    whole = rows(connection, everything)
    assert len(whole) == 48
    for day in (3, 1, 4, 2):
        assert make_pairs(f"2018-05-0{day}", f"2018-05-0{day}").success
    assert rows(connection, everything) == whole


def test_a_day_is_rewritten_whole_and_no_other_is_touched(
    history: pl.DataFrame, connection: psycopg.Connection
) -> None:
    make_pairs()
    connection.execute("delete from cleaned_messages where day = '2018-05-02'")
    connection.commit()
    make_pairs("2018-05-02", "2018-05-02")
    days = [
        row[0] for row in rows(connection, "select distinct day from instruct_pairs order by 1")
    ]
    assert days == [date(2018, 5, 1), date(2018, 5, 3), date(2018, 5, 4)]


def test_a_failed_write_leaves_the_old_pairs(
    history: pl.DataFrame, connection: psycopg.Connection
) -> None:
    make_pairs()
    before = rows(connection, "select id from instruct_pairs order by id")
    broken = store.load_pairs(connection).with_columns(pl.lit("not an id").alias("session_id"))
    with pytest.raises(psycopg.errors.DataError):
        store.rewrite_days(connection, DayRange(date(2018, 5, 1), date(2018, 5, 9)), broken)
    assert rows(connection, "select id from instruct_pairs order by id") == before


def test_pairs_pass_their_checks_and_a_planted_fault_is_caught(
    history: pl.DataFrame, connection: psycopg.Connection
) -> None:
    assert verdicts(make_pairs()) == {"pairs_are_sound": True, "few_pairs_are_excluded": True}
    days = DayRange(date(2018, 5, 1), date(2018, 5, 9))
    for change, fault in (
        ("reply = ' '", "blank"),
        ("""context = '[{"role": "system", "content": "x"}]'""", "bad_roles"),
        ("""context = '[{"role": "user", "content": ""}]'""", "bad_roles"),
        ("quality = 11", "bad_quality"),
        ("quality = quality / 2", "bad_quality"),
        ("message_ids = '{}'", "unknown_messages"),
        ("message_ids = array[gen_random_uuid()]", "unknown_messages"),
        ("day = '2018-05-09'", "other_day"),
    ):
        connection.execute(
            f"update instruct_pairs set {change} "
            "where id = (select min(id::text)::uuid from instruct_pairs)"
        )
        assert store.pair_faults(connection, days)[fault].to_list() == [1], change
        connection.rollback()
    connection.execute("update subjects set speaker = 'bob'")
    assert store.pair_faults(connection, days)["not_own"].to_list() == [48]
    connection.rollback()


def test_a_day_without_pairs_passes(history: pl.DataFrame) -> None:
    result = make_pairs("2018-06-01", "2018-06-02")
    assert result.success
    assert all(verdicts(result).values())


def test_without_a_subject_the_failure_says_what_to_do(twin_home: TwinSettings) -> None:
    assert "subject" in error_of(make_pairs())


def test_an_empty_history_makes_no_dataset_and_says_so(
    twin_home: TwinSettings, connection: psycopg.Connection, talk: Talk, land: Land
) -> None:
    land(connection, talk([]))
    assert "cannot be split" in error_of(materialise([instruct_dataset]))
    assert store.latest_dataset(connection) is None
    assert not checks.nothing_leaks(TwinResource()).passed
    assert not checks.enough_to_train(TwinResource()).passed


def test_the_dataset_is_frozen_recorded_and_used_again(
    history: pl.DataFrame, connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    make_pairs()
    assert materialise([instruct_dataset]).success
    first = store.latest_dataset(connection)
    assert first is not None
    assert first.train + first.validation + first.test + sum(first.purged.values()) == 48
    assert first.train_until < first.test_from
    folder = twin_home.home / first.path
    stamp = (folder / "train.jsonl").stat().st_mtime_ns
    assert materialise([instruct_dataset]).success
    connection.rollback()
    assert store.latest_dataset(connection) == first
    assert (folder / "train.jsonl").stat().st_mtime_ns == stamp
    splits = dict(rows(connection, "select split, count(*) from dataset_pairs group by 1"))
    assert splits == {"train": first.train, "validation": first.validation, "test": first.test}
    row = json.loads((folder / "test.jsonl").read_text().splitlines()[0])
    assert row["prompt"][0] == {
        "role": "system",
        "content": "You are Sue. Reply as Sue would in this chat.",
    }
    assert "the authors of this test" in (folder / "README.md").read_text()


def test_each_pair_of_a_dataset_is_recorded_with_its_messages_and_what_it_said(
    history: pl.DataFrame, connection: psycopg.Connection
) -> None:
    make_pairs()
    materialise([instruct_dataset])
    held = rows(
        connection,
        "select count(*), bool_and(dataset_pairs.message_ids = instruct_pairs.message_ids), "
        "bool_and(content_hash = pair_hash(context, input, reply)), count(distinct content_hash) "
        "from dataset_pairs join instruct_pairs on id = pair_id",
    )
    ((pairs, same_messages, same_words, hashes),) = held
    assert same_messages and same_words and hashes == pairs > 30
    version = store.latest_version(connection)
    assert version and not changes_since(connection, version).stale
    sessions = rows(connection, "select distinct session_id::text from instruct_pairs")
    learnt = store.learnt_sessions(connection, version)
    assert {(one,) for one in learnt} < set(sessions)


def test_going_back_to_earlier_settings_makes_the_earlier_dataset_current(
    history: pl.DataFrame, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pairs()
    versions = []
    for share in ("0.15", "0.3", "0.15"):
        monkeypatch.setenv("TWIN_DATASET__TEST_SHARE", share)
        load_settings.cache_clear()
        materialise([instruct_dataset])
        connection.rollback()
        versions.append(store.latest_version(connection))
    assert versions[0] == versions[2] != versions[1]
    assert rows(connection, "select count(*) from datasets") == [(2,)]


def test_the_target_alone_does_not_make_another_dataset(
    history: pl.DataFrame, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pairs()
    materialise([instruct_dataset])
    before = store.latest_version(connection)
    monkeypatch.setenv("TWIN_PAIRS__TARGET", "40")
    load_settings.cache_clear()
    result = materialise([instruct_dataset, *DATASET_CHECKS])
    connection.rollback()
    assert store.latest_version(connection) == before
    assert verdicts(result) == {
        "nothing_leaks": True,
        "enough_to_train": False,
        "target_is_reached": True,
    }


def test_a_leak_planted_in_the_files_blocks(
    history: pl.DataFrame, connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    make_pairs()
    materialise([instruct_dataset])
    dataset = store.latest_dataset(connection)
    folder = twin_home.home / dataset.path
    stolen = (folder / "test.jsonl").read_text().splitlines()[0]
    with (folder / "train.jsonl").open("a") as train:
        train.write(stolen + "\n")
    evaluation = checks.nothing_leaks(TwinResource())
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.ERROR
    for told in ("pair_ids", "session_ids", "messages", "replies", "ends after", "as they were"):
        assert told in evaluation.description
    (folder / "test.jsonl").unlink()
    with pytest.raises(TwinError, match=r"test\.jsonl is missing"):
        checks.nothing_leaks(TwinResource())


def test_new_pairs_are_those_the_dataset_neither_holds_nor_left_out(
    history: pl.DataFrame,
    connection: psycopg.Connection,
    talk: Talk,
    land: Land,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_pairs()
    query = "select percentile_disc(0.25) within group (order by quality) from instruct_pairs"
    ((low,),) = rows(connection, query)
    monkeypatch.setenv("TWIN_DATASET__MIN_QUALITY", str(low + 0.001))
    load_settings.cache_clear()
    materialise([instruct_dataset])
    dataset = store.latest_dataset(connection)
    assert sum(dataset.purged.values()) > 0
    assert store.new_pairs_since(connection, dataset.version) == 0
    land(connection, chats(talk, sessions=2, begin=datetime(2018, 4, 20, 9, tzinfo=UTC)))
    make_pairs("2018-04-20", "2018-04-21")
    connection.rollback()
    assert store.new_pairs_since(connection, dataset.version) == 8
    assert store.new_pairs_since(connection, "unknown") == 56


def test_counts_and_outlook_follow_the_pairs_and_the_voice_test(
    history: pl.DataFrame,
    connection: psycopg.Connection,
    talk: Talk,
    land: Land,
    twin_home: TwinSettings,
) -> None:
    begin = datetime(2018, 5, 9, 9, tzinfo=UTC)
    land(
        connection,
        talk([("bob", "ok?"), ("sue", "ok"), ("bob", "sure?"), ("sue", "very sure")], begin),
    )
    make_pairs()
    counted = store.counts(connection)
    assert counted.total == counted.recent == 49
    assert counted.excluded == {"the reply has fewer than 2 words": 1}
    assert pairs_outlook(connection, twin_home).shared_account is None
    for passed in (True, False):
        connection.execute("delete from voice_tests")
        connection.execute(
            "insert into voice_tests (speaker, fingerprint, own_windows, passed, note) "
            "values ('sue', 'x', 9, %s, '')",
            (passed,),
        )
        assert pairs_outlook(connection, twin_home).shared_account is not passed
    assert pairs_outlook(connection, twin_home).per_month > 100
    connection.rollback()


def test_everyone_who_reads_pairs_gets_them_as_they_were_built(
    history: pl.DataFrame, connection: psycopg.Connection
) -> None:
    make_pairs()
    loaded = store.load_pairs(connection)
    assert loaded.height == 48
    last = loaded.row(3, named=True)
    assert [part["role"] for part in last["context"]] == ["user", "assistant"] * 3
    assert last["quality"] == pytest.approx(sum(last["quality_parts"].values()), abs=1e-3)
    assert set(last["message_ids"]) <= set(history["id"])
