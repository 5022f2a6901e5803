"""Files land whole, once, with an exact account; a failure leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources import files, landing, landing_store, lines, store
from twin_pipelines.sources.landing import import_file


def write(path: Path, rows: list[dict[str, Any]], *extra: bytes) -> Path:
    path.write_bytes(b"\n".join([*(json.dumps(row).encode() for row in rows), *extra]))
    return path


def chat(count: int = 6, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "message_id": f"m{number}",
            "conversation_id": f"c{number // 4}",
            "speaker": "ann" if number % 2 else "bob",
            "text": f"message {number}",
            "sent_at": f"2018-05-{2 + number // 3:02}T23:30:0{number % 3}Z",
        }
        | changes
        for number in range(count)
    ]


def landed(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select source_message_id, speaker, text, sent_at, day from raw_messages order by 1"
    ).fetchall()


def test_a_file_lands_with_its_account(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    rows = [*chat(), chat(1, message_id="late", sent_at="2018-12-24T10:00:00")[0]]
    path = write(tmp_path / "My Chats.jsonl", rows, b"broken", b"{}")
    report = import_file(connection, twin_home, path, consent="Ann, 2026")
    assert (report.source, report.read, report.landed) == ("my-chats", 9, 7)
    assert (report.rejected, report.repaired) == (2, 1)
    assert (report.first_day, report.last_day) == (date(2018, 5, 2), date(2018, 12, 24))
    assert report.speakers == {"bob": 4, "ann": 3}
    assert report.problems == {
        "rejected: not valid JSON": 1,
        "rejected: no conversation_id": 1,
        "repaired: a time without zone was read as UTC": 1,
    }
    assert store.counts(connection) == store.Counts(7, date(2018, 5, 2), date(2018, 12, 24))
    summary = store.import_summary(connection)
    assert (summary["readings"], summary["read"], summary["landed"]) == (1, 9, 7)
    assert (summary["rejected"], summary["repaired"]) == (2, 1)
    assert {(p["action"], p["reason"], p["rows"]) for p in summary["problems"]} == {
        ("rejected", "not valid JSON", 1),
        ("rejected", "no conversation_id", 1),
        ("repaired", "a time without zone was read as UTC", 1),
    }
    assert [example["line"] for example in summary["examples"]] == [7, 8, 9]
    (source,) = store.source_rows(connection)
    assert source["granted"] == "Ann, 2026"
    assert (source["kind"], source["messages"], source["speakers"]) == ("file", 7, 2)
    assert twin_home.history_span() == (date(2018, 4, 10), date(2018, 12, 24))


def test_the_same_content_is_not_read_twice(
    connection: psycopg.Connection,
    twin_home: TwinSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write(tmp_path / "a.jsonl", chat(), b"broken")
    first = import_file(connection, twin_home, path, consent="Ann")
    before = landed(connection)
    monkeypatch.setattr(files, "read_file", lambda *_: pytest.fail("read again"))
    moved = path.rename(tmp_path / "b.jsonl")
    again = import_file(connection, twin_home, moved, source_name="a", consent="Ann")
    assert again.known
    assert (again.read, again.landed, again.rejected) == (first.read, first.landed, 1)
    assert landed(connection) == before
    assert store.import_summary(connection)["readings"] == 1


def test_a_longer_export_adds_and_changes_by_identity(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.jsonl", chat(4))
    import_file(connection, twin_home, path, consent="Ann")
    edited = [chat(6)[0] | {"text": "edited"}, *chat(6)[1:]]
    write(path, edited)
    report = import_file(connection, twin_home, path, consent="Ann")
    assert (report.known, report.landed) == (False, 6)
    assert [row[2] for row in landed(connection)][:2] == ["edited", "message 1"]
    assert store.counts(connection).messages == 6


def test_rows_without_identity_are_not_doubled_by_a_second_import(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    rows = [{k: v for k, v in row.items() if k != "message_id"} for row in [*chat(5), chat(1)[0]]]
    path = write(tmp_path / "a.jsonl", rows)
    import_file(connection, twin_home, path, consent="Ann")
    before = landed(connection)
    assert len(before) == 6
    write(path, [*rows, rows[1]])
    import_file(connection, twin_home, path, consent="Ann")
    assert len(landed(connection)) == 7
    assert set(before) <= set(landed(connection))


def test_identities_repeated_across_blocks_are_counted_once(
    connection: psycopg.Connection,
    twin_home: TwinSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "read_lines", lambda stream: lines.read_lines(stream, most_lines=2))
    rows = [row | {"message_id": f"m{number % 3}"} for number, row in enumerate(chat(6))]
    report = import_file(connection, twin_home, write(tmp_path / "a.jsonl", rows), consent="Ann")
    assert (report.read, report.landed, report.repaired) == (6, 3, 3)
    assert [row[2] for row in landed(connection)] == ["message 3", "message 4", "message 5"]


def test_the_day_follows_the_history_s_time_zone(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.jsonl", chat(1))
    import_file(connection, twin_home, path, consent="Ann")
    assert landed(connection)[0][-1] == date(2018, 5, 2)
    history = twin_home.history.model_copy(update={"timezone": "Asia/Bangkok"})
    bangkok = twin_home.model_copy(update={"history": history})
    assert not import_file(connection, bangkok, path, consent="Ann").known
    assert landed(connection)[0][-1] == date(2018, 5, 3)


def test_a_reading_that_breaks_off_leaves_nothing(
    connection: psycopg.Connection,
    twin_home: TwinSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks_off(path: Path, rules: Any) -> Iterator[Any]:
        yield from files_read(path, rules)
        raise OSError("the disk went away")

    files_read = files.read_file
    path = write(tmp_path / "a.jsonl", chat())
    monkeypatch.setattr(landing.files, "read_file", breaks_off)
    with pytest.raises(OSError, match="went away"):
        import_file(connection, twin_home, path, consent="Ann")
    assert landed(connection) == []
    assert store.source_rows(connection) == []
    monkeypatch.undo()
    monkeypatch.setenv("TWIN_HOME", str(twin_home.home))
    assert import_file(connection, twin_home, path, consent="Ann").landed == 6


def test_stored_problems_are_capped_and_counters_exact(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.jsonl", chat(), *[b"broken"] * 2_500)
    report = import_file(connection, twin_home, path, consent="Ann")
    assert report.rejected == 2_500
    assert store.import_summary(connection)["problems"][0]["rows"] == 2_500
    stored = connection.execute("select count(*) from import_problems").fetchone()
    assert stored == (1_000,)


def test_chats_of_one_speaker_are_kept_and_told(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    rows = [*chat(4), *chat(2, conversation_id="monologue", speaker="ann")]
    for number, row in enumerate(rows):
        row["message_id"] = str(number)
    report = import_file(connection, twin_home, write(tmp_path / "a.jsonl", rows), consent="Ann")
    assert report.landed == 6
    assert report.notices == ("1 of 2 conversations have one speaker",)
    alone = write(tmp_path / "b.jsonl", chat(3, speaker="ann"))
    report = import_file(connection, twin_home, alone, consent="Ann")
    assert report.notices == ("one speaker only has written: there is nobody to reply to",)


def test_no_consent_no_reading(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.jsonl", chat())
    with pytest.raises(TwinError, match="has no consent"):
        import_file(connection, twin_home, path)
    source = Source(name="chats", kind="file", path=path, consent="Ann, in the settings")
    configured = twin_home.model_copy(update={"sources": (source,)})
    assert import_file(connection, configured, path).source == "chats"
    assert store.source_rows(connection)[0]["granted"] == "Ann, in the settings"


def test_the_database_itself_refuses_messages_without_consent(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    import_file(connection, twin_home, write(tmp_path / "a.jsonl", chat()), consent="Ann")
    for statement in (
        "update raw_messages set source = 'stolen' where speaker = 'ann'",
        "delete from consents",
        "insert into raw_messages (source, source_message_id, conversation_id, speaker, text,"
        " sent_at, day) values ('stolen', '1', 'c', 'ann', 'x', now(), now()::date)",
    ):
        with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
            connection.execute(statement)
    landing_store.delete_source(connection, "a")
    assert landing_store.consents(connection) == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [("No Name!", "no name for a source"), ("chats", "is a table in twin.toml")],
)
def test_a_name_that_cannot_be_used_is_refused(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path, name: str, words: str
) -> None:
    source = Source(name="chats", kind="table", consent="Ann")
    configured = twin_home.model_copy(update={"sources": (source,)})
    path = write(tmp_path / "a.jsonl", chat())
    with pytest.raises(TwinError, match=words):
        import_file(connection, configured, path, source_name=name, consent="Ann")


def test_a_refused_file_leaves_nothing(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.csv", [], b"speaker,text\nann,hi\n")
    with pytest.raises(TwinError, match="has no conversation_id and no sent_at"):
        import_file(connection, twin_home, path, consent="Ann")
    assert store.source_rows(connection) == []
    assert store.import_summary(connection)["readings"] == 0


def test_progress_is_told(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    told: list[str] = []
    path = write(tmp_path / "a.jsonl", chat())
    import_file(connection, twin_home, path, consent="Ann", progress=told.append)
    assert told == ["a: 6 rows read, 0 rejected"]
