"""Any PostgreSQL table is a source by its mapping alone; its days are replaced as a whole."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import sql

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import Columns, Source, TwinError, TwinSettings
from twin_pipelines.sources import landing, store, tables

CONVERSATIONS = """
    create table conversations (
        conversation_id uuid primary key default gen_random_uuid(), session_id text,
        speaker text, message_text text, message_type text, topic text, sentiment_score float,
        sentiment_label text, emotion_detected text, project_context text, importance_level int,
        embedding vector(3), created_at timestamptz, content_json jsonb
    )
"""
DAYS = DayRange(date(2018, 5, 1), date(2018, 5, 31))


def insert(
    connection: psycopg.Connection, *rows: dict[str, Any], table: str = "conversations"
) -> None:
    for number, row in enumerate(rows):
        values = {
            "session_id": "s1",
            "speaker": "david" if number % 2 else "angela",
            "message_text": f"ข้อความ {number}",
            "created_at": f"2018-05-{number + 1:02}T12:00:00Z",
        } | row
        statement = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier("conversations"),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        )
        connection.execute(statement, list(values.values()))


def configured(settings: TwinSettings, **changes: Any) -> TwinSettings:
    source = Source(name="angela", kind="table", consent="David, 2026", **changes)
    subject = settings.subject.model_copy(update={"speaker": "angela"})
    return settings.model_copy(update={"sources": (source,), "subject": subject})


def landed(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select speaker, text, sent_at::text, day, conversation_id, metadata from raw_messages "
        "order by sent_at, text"
    ).fetchall()


def test_the_conversations_table_works_with_the_defaults_alone(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    connection.execute(CONVERSATIONS)
    insert(connection, {"message_type": "chat", "topic": "rain"}, {"message_type": "system"}, {})
    result = landing.land_days(connection, configured(twin_home), DAYS)
    assert [(row[0], row[1], row[-1]) for row in landed(connection)] == [
        ("angela", "ข้อความ 0", {"message_type": "chat"}),
        ("david", "ข้อความ 1", {"message_type": "system"}),
        ("angela", "ข้อความ 2", None),
    ]
    (report,) = result.reports
    assert (report.read, report.landed, report.rejected) == (3, 3, 0)
    assert result.subject.speaker == "angela"
    (source,) = store.source_rows(connection)
    assert source["location"].startswith("table conversations in test_")


def test_listed_columns_become_metadata(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    connection.execute(CONVERSATIONS)
    row = {"topic": "rain", "importance_level": 7, "embedding": "[1,2,3]", "message_type": "chat"}
    insert(connection, row | {"content_json": json.dumps({"a": [1, None]})})
    listed = Columns(metadata=("topic", "importance_level", "embedding", "content_json"))
    landing.land_days(connection, configured(twin_home, columns=listed), DAYS)
    assert landed(connection)[0][-1] == {
        "message_type": "chat",
        "topic": "rain",
        "importance_level": 7,
        "embedding": "[1,2,3]",
        "content_json": {"a": [1, None]},
    }


def test_only_the_window_is_read_and_its_days_are_replaced(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    settings = configured(twin_home)
    connection.execute(CONVERSATIONS)
    insert(connection, {}, {}, {}, {})
    landing.land_days(connection, settings, DAYS)
    before = landed(connection)
    assert len(before) == 4
    connection.execute("delete from conversations where message_text = 'ข้อความ 1'")
    connection.execute("update conversations set message_text = 'changed' where message_text ~ '0'")
    result = landing.land_days(connection, settings, DayRange(date(2018, 5, 2), date(2018, 5, 3)))
    assert result.reports[0].read == 1
    assert [row[1] for row in landed(connection)] == ["ข้อความ 0", "ข้อความ 2", "ข้อความ 3"]
    landing.land_days(connection, settings, DAYS)
    assert [row[1] for row in landed(connection)] == ["changed", "ข้อความ 2", "ข้อความ 3"]


def test_a_second_reading_gives_identical_rows_and_counts(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    settings = configured(twin_home)
    connection.execute(CONVERSATIONS)
    insert(connection, {}, {"speaker": None}, {"message_text": None}, {"created_at": None})
    query = "select * from raw_messages order by id"
    landing.land_days(connection, settings, DAYS)
    rows, summary = connection.execute(query).fetchall(), store.import_summary(connection)
    landing.land_days(connection, settings, DAYS)
    landing.land_days(connection, settings, DayRange(date(2018, 5, 2), date(2018, 5, 2)))
    assert connection.execute(query).fetchall() == rows
    again = store.import_summary(connection)
    assert again["problems"] == summary["problems"]
    assert (again["read"], again["rejected"]) == (summary["read"], summary["rejected"]) == (4, 3)


def test_a_message_that_moved_to_another_day_is_not_doubled(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    settings = configured(twin_home)
    connection.execute(CONVERSATIONS)
    insert(connection, {}, {})
    landing.land_days(connection, settings, DAYS)
    connection.execute("update conversations set created_at = created_at + interval '20 days'")
    later = DayRange(date(2018, 5, 20), date(2018, 5, 25))
    landing.land_days(connection, settings, later)
    assert [row[3] for row in landed(connection)] == [date(2018, 5, 21), date(2018, 5, 22)]


def test_bad_rows_are_counted_and_good_ones_kept(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    connection.execute(CONVERSATIONS)
    bad = [
        {"speaker": " "},
        {"message_text": None},
        {"message_text": "x" * 100_000},
        {"session_id": None},
        {"created_at": None},
    ]
    insert(connection, {}, *bad)
    (report,) = landing.land_days(connection, configured(twin_home), DAYS).reports
    assert report.problems == {
        "rejected: no speaker": 1,
        "rejected: no text": 1,
        "rejected: a text of more than 65,536 characters": 1,
        "rejected: no time": 1,
        f"repaired: {tables.BY_DAY}": 1,
    }
    assert [row[4] for row in landed(connection)] == ["s1", "2018-05-05"]


@pytest.mark.parametrize(
    ("kind", "value", "moment"),
    [
        ("timestamp", "2018-05-02 00:30:00", "2018-05-01 17:30:00+00"),
        ("date", "2018-05-02", "2018-05-01 17:00:00+00"),
        ("bigint", 1525195800, "2018-05-01 17:30:00+00"),
        ("bigint", 1525195800000, "2018-05-01 17:30:00+00"),
        ("double precision", 1525195800.5, "2018-05-01 17:30:00.5+00"),
        ("timestamptz", "2018-05-02 00:30:00+07", "2018-05-01 17:30:00+00"),
    ],
)
def test_every_kind_of_time_is_read_in_the_history_s_zone(
    connection: psycopg.Connection, twin_home: TwinSettings, kind: str, value: Any, moment: str
) -> None:
    connection.execute(f"create table chat (id serial, who text, said text, at {kind})")
    connection.execute("insert into chat (who, said, at) values ('ann', 'hi', %s)", [value])
    connection.execute("insert into chat (who, said, at) values ('ann', 'never', null)")
    columns = Columns(message_id="id", conversation_id="", speaker="who", text="said", sent_at="at")
    history = twin_home.history.model_copy(update={"timezone": "Asia/Bangkok"})
    settings = configured(twin_home, table="chat", columns=columns).model_copy(
        update={"history": history}
    )
    day = DayRange(date(2018, 5, 2), date(2018, 5, 2))
    (report,) = landing.land_days(connection, settings, day).reports
    assert [row[2] for row in landed(connection)] == [moment]
    assert landed(connection)[0][3:5] == (date(2018, 5, 2), "2018-05-02")
    assert report.problems == {"rejected: no time": 1}
    before = DayRange(date(2018, 5, 1), date(2018, 5, 1))
    landing.land_days(connection, settings, before)
    assert len(landed(connection)) == 1


def test_rows_without_an_identity_column_get_a_stable_one(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    connection.execute('create schema "my app"')
    connection.execute('create table "my app"."Chat" (who text, said text, at timestamptz)')
    for _ in range(2):
        connection.execute(
            """insert into "my app"."Chat" values ('ann', 'hi', '2018-05-02T10:00:00Z')"""
        )
    columns = Columns(message_id="", conversation_id="", speaker="who", text="said", sent_at="at")
    settings = configured(twin_home, table="my app.Chat", columns=columns)
    query = "select id from raw_messages order by id"
    landing.land_days(connection, settings, DAYS)
    names = connection.execute(query).fetchall()
    landing.land_days(connection, settings, DAYS)
    assert connection.execute(query).fetchall() == names
    assert len(names) == 2


def test_another_database_is_read_by_url_and_never_written(
    connection: psycopg.Connection, twin_home: TwinSettings, server: Any
) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute("drop database if exists other_chat")
        administrator.execute("create database other_chat")
    url = server.url("other_chat")
    with psycopg.connect(url) as other:
        other.execute("create table chat (id int, room int, who text, said text, at timestamptz)")
        other.execute(
            "insert into chat select n, 1, 'ann', 'hi ' || n, '2018-05-02T10:00:00Z' "
            "from generate_series(1, 12000) n"
        )
    columns = Columns(
        message_id="id", conversation_id="room", speaker="who", text="said", sent_at="at"
    )
    settings = configured(twin_home, url=url, table="chat", columns=columns)
    (report,) = landing.land_days(connection, settings, DAYS).reports
    assert (report.read, report.landed) == (12_000, 12_000)
    secret = psycopg.conninfo.conninfo_to_dict(url)["password"]
    assert "other_chat" in report.location
    assert str(secret) not in json.dumps(store.source_rows(connection))
    with (
        tables.opened(settings.sources[0], connection) as reader,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        reader.execute("delete from chat")
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute("drop database other_chat with (force)")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"table": "absent"},
            r"has no table absent in test_.*found: .*conversations.*correct",
        ),
        (
            {"columns": Columns(text="body", metadata=("mood",))},
            r"has no column body, mood \(found: conversation_id, session_id, speaker",
        ),
        ({"columns": Columns(sent_at="topic")}, "is text; the source angela needs a timestamp"),
        ({"columns": Columns(speaker="")}, "names no column for speaker"),
        ({"url": "postgresql://nobody:secret@127.0.0.1:1/x"}, "cannot be reached"),
    ],
)
def test_a_wrong_mapping_is_one_sentence(
    connection: psycopg.Connection, twin_home: TwinSettings, changes: dict[str, Any], words: str
) -> None:
    connection.execute(CONVERSATIONS)
    connection.commit()
    with pytest.raises(TwinError, match=words) as refusal:
        landing.land_days(connection, configured(twin_home, **changes), DAYS)
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_table_one_may_not_read_is_one_sentence(
    connection: psycopg.Connection, twin_home: TwinSettings, server: Any, database_url: str
) -> None:
    connection.execute(CONVERSATIONS)
    connection.execute("drop role if exists outsider")
    connection.execute("create role outsider login password 'outside'")
    connection.commit()
    parts = psycopg.conninfo.conninfo_to_dict(database_url)
    url = f"postgresql://outsider:outside@{parts['host']}:{parts['port']}/{parts['dbname']}"
    with pytest.raises(TwinError, match="outsider may not read the table conversations"):
        landing.land_days(connection, configured(twin_home, url=url), DAYS)
    connection.rollback()
    connection.execute("drop role outsider")
    connection.commit()


def test_the_history_opens_as_wide_as_the_table(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    connection.execute(CONVERSATIONS)
    insert(
        connection, {"created_at": "2017-02-03T00:00:00Z"}, {"created_at": "9000-01-01T00:00:00Z"}
    )
    landing.open_history(connection, configured(twin_home))
    assert json.loads(twin_home.history_file.read_text())["first"] == "2017-02-03"
    assert json.loads(twin_home.history_file.read_text())["last"] == "2018-11-16"
