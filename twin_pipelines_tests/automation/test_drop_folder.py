"""A drop folder: each whole file once, a broken one set aside and shown, nothing ever run."""

from __future__ import annotations

import csv
import json
import os
import pickle
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from twin_pipelines.automation import drop_store
from twin_pipelines.automation.drop_folder import Found, Seen, due, look
from twin_pipelines.automation.upkeep import import_dropped_files
from twin_pipelines.definitions import defs
from twin_pipelines.foundation.alerts_store import open_alerts
from twin_pipelines.foundation.instance import RANGE_END, RANGE_START
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import Automation, TwinError, TwinSettings, load_settings


class Watch:
    """The sensor with the cursor it would have."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.instance = dg.DagsterInstance.ephemeral()

    def look(self) -> list[tuple[str, str]]:
        """One look; the stretches of days it asks to be derived."""
        result = self.result()
        self.cursor = result.cursor
        return [(one.tags[RANGE_START], one.tags[RANGE_END]) for one in result.run_requests or ()]

    def result(self) -> Any:
        context = dg.build_sensor_context(
            instance=self.instance,
            definitions=defs,
            resources={"twin": TwinResource()},
            cursor=self.cursor,
        )
        return import_dropped_files(context)


@pytest.fixture
def folder(twin_home: TwinSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The drop folder of a twin whose settings name it."""
    path = tmp_path / "drop"
    path.mkdir()
    monkeypatch.setenv("TWIN_AUTOMATION__DROP_FOLDER", str(path))
    monkeypatch.setenv("TWIN_AUTOMATION__DROP_CONSENT", "Ann, 2026-05-01")
    load_settings.cache_clear()
    return path


@pytest.fixture
def watch() -> Watch:
    return Watch()


def message(number: int, day: str = "2018-05-07", **more: str) -> dict[str, str]:
    text = f"hello {number} ครับ"
    who = {"message_id": str(number), "conversation_id": "c", "speaker": "ann", "text": text}
    return {**who, "sent_at": f"{day}T12:00:{number % 60:02}Z", **more}


def drop(path: Path, *messages: dict[str, str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in messages))
    return path


def landed(connection: psycopg.Connection) -> dict[str, int]:
    rows = connection.execute("select source, count(*) from raw_messages group by 1").fetchall()
    connection.rollback()
    return dict(rows)


def aside(connection: psycopg.Connection) -> dict[str, str]:
    found = drop_store.set_aside(connection)
    connection.rollback()
    return found


def test_a_file_is_imported_once_at_the_second_look_and_its_days_are_asked_for_once(
    folder: Path, watch: Watch, connection: psycopg.Connection
) -> None:
    drop(folder / "chat.jsonl", message(1), message(2, "2018-05-09"))
    assert watch.look() == []
    assert landed(connection) == {}, "it may still be growing"
    assert watch.look() == [("2018-05-07", "2018-05-09")]
    for _ in range(3):
        assert watch.look() == []
    assert landed(connection) == {"chat": 2}


def test_a_file_that_grows_is_waited_for(
    folder: Path, watch: Watch, connection: psycopg.Connection
) -> None:
    path = drop(folder / "chat.jsonl", message(1))
    watch.look()
    for number in range(2, 5):
        with path.open("a") as more:
            more.write(json.dumps(message(number)) + "\n")
        assert watch.look() == []
    assert landed(connection) == {}
    assert watch.look() == [("2018-05-07", "2018-05-07")]
    assert landed(connection) == {"chat": 4}


def test_a_look_that_was_lost_asks_again_for_the_same_run(folder: Path, watch: Watch) -> None:
    drop(folder / "chat.jsonl", message(1))
    watch.look()
    (lost,) = watch.result().run_requests
    (again,) = watch.result().run_requests
    assert lost.run_key == again.run_key, "Dagster runs one key once"


def test_the_same_content_under_another_name_is_not_imported_again(
    folder: Path, watch: Watch, connection: psycopg.Connection
) -> None:
    path = drop(folder / "chat.jsonl", message(1))
    watch.look()
    watch.look()
    path.rename(folder / "copy of chat.jsonl")
    assert [watch.look() for _ in range(2)] == [[], []]
    assert landed(connection) == {"chat": 1}


def test_a_changed_file_adds_what_is_new(
    folder: Path, watch: Watch, connection: psycopg.Connection
) -> None:
    path = drop(folder / "chat.jsonl", message(1))
    watch.look()
    watch.look()
    drop(path, message(1), message(2, "2018-06-01"))
    watch.look()
    assert watch.look() == [("2018-05-07", "2018-06-01")]
    assert landed(connection) == {"chat": 2}


def test_files_of_a_folder_feed_one_source_and_far_days_are_runs_of_their_own(
    folder: Path, watch: Watch, connection: psycopg.Connection
) -> None:
    drop(folder / "line" / "may.jsonl", message(1, "2018-05-07"))
    drop(folder / "line" / "next.jsonl", message(2, "2018-05-08"))
    drop(folder / "line" / "july.jsonl", message(3, "2018-07-01"))
    watch.look()
    assert watch.look() == [("2018-05-07", "2018-05-08"), ("2018-07-01", "2018-07-01")]
    assert landed(connection) == {"line": 3}


def test_broken_files_are_set_aside_with_their_reason_and_the_rest_goes_on(
    folder: Path, watch: Watch, connection: psycopg.Connection
) -> None:
    (folder / "empty.jsonl").touch()
    (folder / "list.json").write_text("[1, 2]")
    (folder / "archive.csv").write_bytes(b"PK\x03\x04 and so on")
    (folder / "wrong.csv").write_text("a;b\n1;2\n")
    (folder / "nothing.jsonl").write_text("{broken\n")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "Bad Name!").mkdir()
    drop(folder / "Bad Name!" / "chat.jsonl", message(7))
    drop(folder / "good.jsonl", message(1))
    watch.look()
    assert watch.look() == [("2018-05-07", "2018-05-07")]
    assert landed(connection) == {"good": 1}
    reasons = aside(connection)
    assert {name: words for name, words in reasons.items() if not words} == {}
    assert set(reasons) == {
        *("empty.jsonl", "list.json", "archive.csv", "wrong.csv", "nothing.jsonl", "photo.jpg"),
        "Bad Name!/chat.jsonl",
    }
    assert "zip" in reasons["archive.csv"] and "not valid JSON" in reasons["nothing.jsonl"]
    assert not any(str(folder) in words for words in reasons.values())
    (alert,) = open_alerts(connection)
    assert alert.words.startswith("7 files of the drop folder")
    connection.rollback()


def test_what_was_mended_or_taken_away_is_no_longer_shown(
    folder: Path, watch: Watch, connection: psycopg.Connection
) -> None:
    (folder / "chat.jsonl").write_text("{broken\n")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    watch.look()
    watch.look()
    assert len(aside(connection)) == 2
    (folder / "photo.jpg").unlink()
    drop(folder / "chat.jsonl", message(1))
    watch.look()
    assert watch.look() == [("2018-05-07", "2018-05-07")]
    assert aside(connection) == {}
    assert open_alerts(connection) == []


def test_what_was_set_aside_lands_once_it_lies_where_it_may(
    folder: Path, watch: Watch, connection: psycopg.Connection
) -> None:
    path = drop(folder / "Bad Name!" / "chat.jsonl", message(1))
    watch.look()
    watch.look()
    path.rename(folder / "chat.jsonl")
    watch.look()
    assert watch.look() == [("2018-05-07", "2018-05-07")]
    assert aside(connection) == {}


def test_nothing_is_followed_unpickled_or_waited_for(
    folder: Path, watch: Watch, connection: psycopg.Connection, tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    secret = drop(tmp_path / "secret.jsonl", message(1))
    (folder / "link.jsonl").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "trap.jsonl").write_bytes(pickle.dumps(Trap()))
    (folder / "trap.pkl").write_bytes(pickle.dumps(Trap()))
    (folder / "deep" / "deeper").mkdir(parents=True)
    for name in (".hidden.jsonl", "~lock.csv", "half.jsonl.part", "chat.csv.crdownload"):
        (folder / name).write_text("{broken\n")
    watch.look()
    assert watch.look() == []
    assert set(aside(connection)) == {
        *("link.jsonl", "linked", "pipe.jsonl", "trap.jsonl", "trap.pkl", "deep/deeper")
    }
    assert landed(connection) == {}
    assert not (tmp_path / "sprung").exists()


def test_csv_files_are_read_too(folder: Path, watch: Watch, connection: psycopg.Connection) -> None:
    with (folder / "chat.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(message(1)))
        writer.writeheader()
        writer.writerow(message(1, text='two\nlines, and "quotes"'))
    watch.look()
    assert watch.look() == [("2018-05-07", "2018-05-07")]
    assert landed(connection) == {"chat": 1}


def test_the_files_stay_as_they_were(folder: Path, watch: Watch) -> None:
    good = drop(folder / "chat.jsonl", message(1))
    bad = folder / "bad.jsonl"
    bad.write_text("{broken\n")
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in (good, bad)]
    folder.chmod(0o555)
    watch.look()
    assert watch.look() == [("2018-05-07", "2018-05-07")]
    folder.chmod(0o755)
    assert sorted(path.name for path in folder.iterdir()) == ["bad.jsonl", "chat.jsonl"]
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in (good, bad)] == before


def test_a_folder_that_is_gone_is_told(folder: Path, watch: Watch) -> None:
    folder.rmdir()
    with pytest.raises(TwinError, match="cannot be read"):
        watch.look()


def test_a_folder_needs_a_consent_and_keeps_the_history_open(
    folder: Path, twin_home: TwinSettings
) -> None:
    with pytest.raises(ValidationError, match="say in drop_consent"):
        Automation(drop_folder=folder, drop_consent="  ")
    assert twin_home.history_span()[1] is not None
    assert load_settings().history_span()[1] is None


def test_without_a_folder_nothing_is_watched(twin_home: TwinSettings, watch: Watch) -> None:
    assert "No folder is watched" in watch.result().skip_message


NAMES = st.sampled_from(["a.csv", "b.csv", "c.csv"])
FILES = st.dictionaries(NAMES, st.integers(0, 2), max_size=3)


@given(st.lists(FILES, min_size=1, max_size=6))
def test_a_file_is_due_only_if_two_looks_saw_the_same(looks: list[dict[str, int]]) -> None:
    seen: dict[str, Seen] = {}
    for index, files in enumerate(looks):
        found = [Found(name, size, 1) for name, size in files.items()]
        ready = {one.name for one in due(found, seen)}
        before = looks[index - 1] if index else {}
        assert ready == {name for name, size in files.items() if before.get(name) == size}
        seen = {one.name: Seen(one.mark) for one in found}


def test_a_look_at_many_files_is_quick(folder: Path) -> None:
    for number in range(2_000):
        (folder / f"{number}.csv").touch()
    assert len(look(folder)) == 2_000
