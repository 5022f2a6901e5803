"""What was erased stays out, by whichever door it comes back."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import psycopg
import pytest
from erased_history import NOON, SECRET, THAI, message_id
from followed import say

from twin_pipelines.automation.erasure import erasure_store
from twin_pipelines.automation.erasure.erase import erase
from twin_pipelines.automation.erasure.request import Request
from twin_pipelines.foundation.database import connect
from twin_pipelines.memory.imports.tables import import_tables
from twin_pipelines.settings import Memory, MemoryTable, Serving, TwinSettings
from twin_pipelines.sources.capture.drain import drain
from twin_pipelines.sources.capture.feeds import Feed
from twin_pipelines.sources.chats import SOURCE, land_chats
from twin_pipelines.sources.landing import import_file

CHAT = "11111111-2222-3333-4444-555555555555"


def write(file: Path, *rows: tuple[str, str, str, str]) -> Path:
    """Messages as (id, conversation, speaker, text), a minute apart."""
    lines = [
        json.dumps(
            {
                "message_id": number,
                "conversation_id": conversation,
                "speaker": speaker,
                "text": text,
                "sent_at": f"2018-05-07T12:{place:02}:00Z",
            },
            ensure_ascii=False,
        )
        for place, (number, conversation, speaker, text) in enumerate(rows)
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


HISTORY = (
    ("1", "c1", "carol", SECRET),
    ("2", "c1", "carol", THAI),
    ("3", "c1", "ann", "really, I never knew that"),
    ("4", "c2", "ben", "noodles then"),
)


def forget(connection: psycopg.Connection, settings: TwinSettings, **named: object) -> str:
    done = erase(connection, settings, Request("tester", **named))  # type: ignore[arg-type]
    erasure_store.finish(connection, done.erasure_id)
    connection.commit()
    return done.erasure_id


def texts(connection: psycopg.Connection) -> set[str]:
    found = connection.execute("select text from raw_messages").fetchall()
    connection.rollback()
    return {text for (text,) in found}


def kept_out(connection: psycopg.Connection) -> int:
    (one,) = erasure_store.summary(connection)
    connection.rollback()
    return int(one["kept_out"])


def land(
    connection: psycopg.Connection, settings: TwinSettings, file: Path, source: str = "letters"
) -> None:
    import_file(connection, settings, file, source_name=source, consent="Ann, 2018")


@pytest.fixture
def landed(connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path) -> Path:
    """A file of four messages, landed."""
    file = write(tmp_path / "letters.jsonl", *HISTORY)
    land(connection, twin_home, file)
    return file


def test_a_file_imported_again_under_any_name_brings_nothing_back(
    connection: psycopg.Connection, twin_home: TwinSettings, landed: Path
) -> None:
    forget(connection, twin_home, message=str(message_id("letters", "1")))
    write(landed, *HISTORY, ("5", "c2", "ben", "and tea"))
    land(connection, twin_home, landed)
    assert texts(connection) == {THAI, *(row[3] for row in HISTORY[2:]), "and tea"}
    land(connection, twin_home, landed, source="elsewhere")
    assert SECRET not in texts(connection)
    assert kept_out(connection) == 2


def test_a_message_edited_later_stays_out_and_one_said_anew_comes_in(
    connection: psycopg.Connection, twin_home: TwinSettings, landed: Path
) -> None:
    forget(connection, twin_home, message=str(message_id("letters", "1")))
    edited = ("1", "c1", "carol", "other words for it")
    anew = ("6", "c1", "carol", SECRET)
    write(landed, edited, *HISTORY[1:], anew)
    land(connection, twin_home, landed)
    assert "other words for it" not in texts(connection)
    assert SECRET in texts(connection), "said again, at another time, it is another message"


def test_whatever_a_forgotten_person_says_later_stays_out(
    connection: psycopg.Connection, twin_home: TwinSettings, landed: Path, tmp_path: Path
) -> None:
    forget(connection, twin_home, person="carol")
    later = write(
        tmp_path / "later.jsonl", ("8", "c9", "carol", "me again"), ("9", "c9", "ben", "hello")
    )
    land(connection, twin_home, later, source="later")
    assert "me again" not in texts(connection)
    assert "hello" in texts(connection)


@pytest.mark.parametrize(
    ("named", "stays_out"),
    [
        ({"source": "letters"}, {"x1", "x2"}),
        ({"conversation": "c1"}, {"x1"}),
        ({"person": "carol", "last_day": date(2018, 5, 7)}, {"x1"}),
        ({"first_day": date(2018, 5, 8), "person": "ben"}, set()),
    ],
)
def test_a_rule_keeps_out_what_fits_all_of_it(
    connection: psycopg.Connection,
    twin_home: TwinSettings,
    landed: Path,
    tmp_path: Path,
    named: dict[str, object],
    stays_out: set[str],
) -> None:
    """The day of the last is after all that was landed: its rule is written by hand."""
    land(connection, twin_home, write(tmp_path / "ann.jsonl", ("1", "z", "ann", "hm")), "other")
    if stays_out:
        forget(connection, twin_home, **named)
    else:
        erasure_store.begin(connection, Request("tester", **named))  # type: ignore[arg-type]
        connection.commit()
    write(landed, ("x1", "c1", "carol", "x1"), ("x2", "c2", "ben", "x2"))
    land(connection, twin_home, landed)
    assert {"x1", "x2"} - texts(connection) == stays_out


def test_a_row_that_becomes_an_erased_one_goes(
    connection: psycopg.Connection, twin_home: TwinSettings, landed: Path
) -> None:
    forget(connection, twin_home, person="carol")
    connection.execute("update raw_messages set speaker = 'carol' where speaker = 'ben'")
    connection.commit()
    assert texts(connection) == {"really, I never knew that"}


def test_a_takeover_and_a_replayed_change_bring_nothing_back(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    secret = say(source, SECRET, speaker="carol")
    say(source, "good morning")
    drain(connection, reader, following, feed)
    forget(connection, following, message=str(message_id("angela", str(secret))))
    connection.execute("update feeds set mapping = 'another'")
    connection.commit()
    assert drain(connection, reader, following, feed).taken_over
    assert texts(connection) == {"good morning"}
    source.execute(
        "update conversations set topic = 'new', message_text = message_text || '!' "
        "where conversation_id = %s",
        [secret],
    )
    drain(connection, reader, following, feed)
    assert texts(connection) == {"good morning"}
    assert kept_out(connection) == 2


def test_a_chat_turn_of_somebody_forgotten_does_not_land(
    connection: psycopg.Connection, twin_home: TwinSettings, landed: Path
) -> None:
    forget(connection, twin_home, person="carol")
    settings = twin_home.model_copy(update={"serving": Serving(chat_consent="Ann, 2018")})
    connection.execute("insert into chats values (%s, true, 'carol')", (CHAT,))
    connection.execute(
        "insert into chat_turns (chat_id, place, role, content, said_at) "
        "values (%s, 0, 'user', 'me again', %s)",
        (CHAT, NOON),
    )
    connection.commit()
    land_chats(connection, settings)
    assert connection.execute(
        "select count(*) from raw_messages where source = %s", (SOURCE,)
    ).fetchone() == (0,)


def test_imported_memories_of_it_do_not_come_back(
    connection: psycopg.Connection, twin_home: TwinSettings, landed: Path
) -> None:
    connection.execute(
        "create table nodes (node_id int, concept_name text, my_understanding text, "
        "conversation_id text, created_at timestamptz)"
    )
    connection.execute(
        "insert into nodes values (1, 'bridge', 'it is near the old bridge', '1', '2018-05-07'), "
        "(2, 'tea', 'tea is best in the evening', null, '2018-05-07')"
    )
    table = MemoryTable(
        table="nodes", type="knowledge", consent="Ann", columns={"message": "conversation_id"}
    )
    settings = twin_home.model_copy(update={"memory": Memory(imports=(table,))})
    import_tables(connection, settings, "ann")
    forget(connection, settings, message=str(message_id("letters", "1")))
    connection.execute("update nodes set my_understanding = my_understanding || ' bank'")
    connection.execute("insert into nodes values (3, 'again', %s, null, '2018-05-07')", (SECRET,))
    connection.commit()
    import_tables(connection, settings, "ann")
    found = connection.execute("select content from memories").fetchall()
    assert found == [("tea is best in the evening bank",)]
    assert connection.execute("select count(*) from memory_changes").fetchone() == (2,)


def test_nothing_that_is_kept_tells_what_was_said_or_by_whom(
    connection: psycopg.Connection, twin_home: TwinSettings, landed: Path
) -> None:
    forget(connection, twin_home, person="carol", reason="she asked us to")
    land(connection, twin_home, write(landed, *HISTORY, ("7", "c1", "carol", "more")))
    for table in ("erasures", "erasing", "tombstones", "erasure_rules", "kept_out"):
        rows = connection.execute(f"select one::text from {table} as one").fetchall()
        whole = "\n".join(row[0] for row in rows).lower()
        assert SECRET not in whole and THAI not in whole and "carol" not in whole, table
    assert connection.execute("select count(*) from erasing").fetchone() == (0,)


def test_two_that_land_at_once_wait_for_nobody(
    connection: psycopg.Connection, twin_home: TwinSettings, landed: Path, database_url: str
) -> None:
    """What is kept out is counted in rows of its own, so that no two imports wait for one."""
    forget(connection, twin_home, person="carol")
    insert = (
        "insert into raw_messages (source, source_message_id, conversation_id, speaker, text, "
        "sent_at, day) values ('letters', %s, 'c', 'carol', 'x', %s, '2018-05-07')"
    )
    with connect(database_url) as other:
        other.execute("set lock_timeout = '2s'")
        connection.execute(insert, ("a", NOON))
        other.execute(insert, ("b", NOON))
        other.commit()
    connection.commit()
    assert kept_out(connection) == 2
