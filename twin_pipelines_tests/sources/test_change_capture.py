"""Every insert, edit and deletion of a source arrives, once, whatever is killed in between."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import psycopg
import pytest
from followed import say

from twin_pipelines.foundation.database import connect
from twin_pipelines.settings import MemoryTable, TwinError, TwinSettings
from twin_pipelines.sources.capture import capture_store, source_store
from twin_pipelines.sources.capture.capture_store import Busy
from twin_pipelines.sources.capture.drain import Drained, drain
from twin_pipelines.sources.capture.feeds import Feed, feeds
from twin_pipelines.sources.capture.letters_store import waiting_letters


def texts(connection: psycopg.Connection) -> list[str]:
    found = connection.execute("select text from raw_messages order by sent_at, text").fetchall()
    connection.rollback()
    return [text for (text,) in found]


def days(drained: Drained) -> list[int]:
    return sorted(day.day for day in drained.days)


def test_what_stands_is_taken_over_and_what_happens_then_follows(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    first = say(source, "สวัสดีค่ะ good morning 🌞", day=1)
    second = say(source, "a typo", day=2)
    begun = drain(connection, reader, following, feed)
    assert (begun.taken_over, days(begun)) == (True, [1, 2])

    say(source, "new", day=3)
    source.execute(
        "update conversations set message_text = 'no typo' where conversation_id = %s", [second]
    )
    source.execute("delete from conversations where conversation_id = %s", [first])
    followed = drain(connection, reader, following, feed)

    assert texts(connection) == ["no typo", "new"]
    assert (followed.taken_over, days(followed), followed.transactions) == (False, [1, 2, 3], 3)
    assert dict(followed.rows["conversations"]) == {"insert": 1, "update": 1, "delete": 1}
    assert capture_store.touched(connection)["day"].to_list() == sorted(followed.days)


def test_what_did_not_change_touches_no_day(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    say(source, "as ever")
    drain(connection, reader, following, feed)
    source.execute("update conversations set topic = 'weather'")
    again = drain(connection, reader, following, feed)
    assert (again.transactions, again.days) == (1, set())


def test_a_followed_row_gives_the_same_message_as_one_taken_over(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
) -> None:
    columns = following.sources[0].columns.model_copy(
        update={"metadata": ("topic", "importance_level", "content_json")}
    )
    mapped = following.sources[0].model_copy(update={"columns": columns})
    following = following.model_copy(update={"sources": (mapped,)})
    (feed,) = feeds(following)
    row = {
        "message_type": "text",
        "topic": "งาน; \\ ' \"",
        "importance_level": 7,
        "content_json": json.dumps({"a": [1, None, "ก"]}),
        "session_id": None,
    }
    say(source, "one\nline\ttab ' \\ \" 555", **row)
    drain(connection, reader, following, feed)
    say(source, "one\nline\ttab ' \\ \" 555", **row)
    drain(connection, reader, following, feed)
    found = connection.execute(
        "select count(distinct (conversation_id, speaker, text, sent_at, day, metadata)), count(*) "
        "from raw_messages"
    ).fetchone()
    assert found == (1, 2)


def test_a_long_text_that_an_update_leaves_alone_stays(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    long = "".join(random.Random(1).choices("abcdefghij ", k=20_000))
    identity = say(source, long, day=1)
    drain(connection, reader, following, feed)
    source.execute(
        "update conversations set created_at = '2018-05-04T12:00Z' where conversation_id = %s",
        [identity],
    )
    moved = drain(connection, reader, following, feed)
    assert texts(connection) == [" ".join([long])]
    assert days(moved) == [1, 4]


def test_a_transaction_is_whole_and_its_last_word_counts(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    drain(connection, reader, following, feed)
    with source.transaction():
        gone = say(source, "said and taken back")
        kept = say(source, "first thought")
        source.execute(
            "update conversations set message_text = 'second thought' where conversation_id = %s",
            [kept],
        )
        source.execute("delete from conversations where conversation_id = %s", [gone])
    with pytest.raises(ZeroDivisionError), source.transaction():
        say(source, "never committed")
        raise ZeroDivisionError
    done = drain(connection, reader, following, feed)
    assert texts(connection) == ["second thought"]
    assert done.transactions == 1


def test_an_emptied_table_and_a_new_key_are_followed(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    say(source, "before", day=1)
    drain(connection, reader, following, feed)
    with source.transaction():
        say(source, "lost at once", day=2)
        source.execute("truncate conversations")
        identity = say(source, "after", day=3)
    emptied = drain(connection, reader, following, feed)
    assert texts(connection) == ["after"]
    assert days(emptied) == [1, 3]
    source.execute(
        "update conversations set conversation_id = gen_random_uuid() where conversation_id = %s",
        [identity],
    )
    drain(connection, reader, following, feed)
    assert texts(connection) == ["after"]


def test_a_row_that_breaks_the_mapping_is_set_aside_and_taken_over_once_it_is_mended(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    say(source, "broken before", created_at=None)
    drain(connection, reader, following, feed)
    broken = say(source, "no time", created_at=None)
    say(source, "fine")
    done = drain(connection, reader, following, feed)
    waiting = waiting_letters(connection)
    assert texts(connection) == ["fine"]
    assert (done.letters, waiting["reason"].to_list()) == (1, ["no time", "no time"])
    assert waiting["key"].to_list()[1] == str(broken)

    source.execute(
        "update conversations set created_at = '2018-05-09T12:00Z' where conversation_id = %s",
        [broken],
    )
    drain(connection, reader, following, feed)
    assert texts(connection) == ["fine", "no time"]
    assert waiting_letters(connection).height == 1


def test_a_good_message_that_becomes_broken_does_not_stay_as_it_was(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    say(source, "soon without a speaker", day=6)
    drain(connection, reader, following, feed)
    source.execute("update conversations set speaker = null")
    done = drain(connection, reader, following, feed)
    assert (texts(connection), days(done), done.letters) == ([], [6], 1)


def test_a_lost_slot_is_made_anew_and_the_tables_reconciled_without_duplicates(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    say(source, "unchanged", day=1)
    gone = say(source, "deleted while nobody looked", day=2)
    drain(connection, reader, following, feed)
    source.execute("select pg_drop_replication_slot(%s)", [feed.name])
    source.execute("delete from conversations where conversation_id = %s", [gone])
    say(source, "said while nobody looked", day=3)
    back = drain(connection, reader, following, feed)
    assert texts(connection) == ["unchanged", "said while nobody looked"]
    assert (back.taken_over, days(back)) == (True, [2, 3])


def test_transactions_open_during_the_takeover_are_neither_lost_nor_doubled(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    source_url: str,
    following: TwinSettings,
    feed: Feed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with psycopg.connect(source_url) as slow:
        slow_identity = uuid.uuid4()
        real = source_store.snapshot_now

        def between(opened: psycopg.Connection) -> str:
            """After the slot was made and before the tables are read."""
            say(source, "between slot and snapshot", day=2)
            say(slow, "open all the while", day=3, conversation_id=slow_identity)
            found = real(opened)
            say(source, "after the snapshot", day=4)
            slow.commit()
            return found

        monkeypatch.setattr(source_store, "snapshot_now", between)
        # The slot waits for open transactions, so the slow one begins after it was made.
        begun = drain(connection, reader, following, feed)
    assert begun.taken_over
    assert texts(connection) == [
        "between slot and snapshot",
        "open all the while",
        "after the snapshot",
    ]
    assert begun.rows["conversations"]["insert"] == 2


def test_what_was_applied_is_not_applied_again_when_the_slot_went_back(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drain(connection, reader, following, feed)
    say(source, "once")
    real = source_store.advance
    monkeypatch.setattr(source_store, "advance", lambda *_: None)  # as a crash before it does
    first = drain(connection, reader, following, feed)
    again = drain(connection, reader, following, feed)
    monkeypatch.setattr(source_store, "advance", real)
    last = drain(connection, reader, following, feed)
    assert (first.transactions, again.transactions, last.transactions) == (1, 0, 0)
    assert capture_store.touched(connection).height == 1


@pytest.mark.parametrize("boundary", range(12))
def test_a_reader_killed_at_any_statement_leaves_all_or_nothing_of_a_transaction(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
    database_url: str,
    boundary: int,
) -> None:
    drain(connection, reader, following, feed)
    with source.transaction():
        for number in range(3):
            say(source, f"message {number}", day=number + 1)
    dying = connect(database_url)
    plain = dying.execute
    left = boundary

    def execute(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        if left == 0:
            with psycopg.connect(database_url, autocommit=True) as killer:
                killer.execute("select pg_terminate_backend(%s)", [dying.info.backend_pid])
        left -= 1
        return plain(*arguments, **named)

    dying.execute = execute  # type: ignore[method-assign]
    try:
        drain(dying, reader, following, feed)
    except psycopg.OperationalError:
        reader.rollback()
    dying.close()
    assert len(texts(connection)) in (0, 3)
    drain(connection, reader, following, feed)
    assert len(texts(connection)) == 3
    assert capture_store.touched(connection).height == 3


def test_only_one_reader_at_a_time(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
    database_url: str,
) -> None:
    other = connect(database_url)
    with capture_store.only_reader(other, feed), pytest.raises(Busy, match="another process"):
        drain(connection, reader, following, feed)
    other.close()
    assert drain(connection, reader, following, feed).taken_over


def test_changes_of_a_table_of_memories_ask_for_its_import(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    source_url: str,
) -> None:
    source.execute("create table core_memories (memory_id uuid primary key, content text)")
    table = MemoryTable(
        table="core_memories", type="core", url=source_url, capture=True, consent="David, 2026"
    )
    memory = following.memory.model_copy(update={"imports": (table,)})
    following = following.model_copy(update={"memory": memory})
    (feed,) = feeds(following)
    assert drain(connection, reader, following, feed).tables == {"core_memories"}
    source.execute("insert into core_memories values (gen_random_uuid(), 'loves tea')")
    assert drain(connection, reader, following, feed).tables == {"core_memories"}
    assert drain(connection, reader, following, feed).tables == set()


def test_another_mapping_is_taken_over_anew(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    say(source, "said", topic="written")
    drain(connection, reader, following, feed)
    columns = following.sources[0].columns.model_copy(update={"text": "topic"})
    mapped = following.sources[0].model_copy(update={"columns": columns})
    following = following.model_copy(update={"sources": (mapped,)})
    (feed,) = feeds(following)
    assert drain(connection, reader, following, feed).taken_over
    assert texts(connection) == ["written"]


def test_a_column_that_was_renamed_stops_the_feed_with_the_remedy_and_loses_nothing(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    drain(connection, reader, following, feed)
    source.execute("alter table conversations rename message_text to words")
    source.execute(
        "insert into conversations (speaker, words, session_id, created_at) "
        "values ('angela', 'waits', 's', '2018-05-01Z')"
    )
    with pytest.raises(TwinError, match=r"no column message_text.*correct columns"):
        drain(connection, reader, following, feed)
    problem = connection.execute("select problem from feeds").fetchone()
    connection.rollback()
    assert problem and "message_text" in problem[0]
    source.execute("alter table conversations rename words to message_text")
    drain(connection, reader, following, feed)
    assert texts(connection) == ["waits"]


def test_a_table_without_a_key_is_refused_with_the_remedy(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    source.execute("alter table conversations drop constraint conversations_pkey")
    with pytest.raises(TwinError, match="replica identity full"):
        drain(connection, reader, following, feed)
    source.execute("alter table conversations replica identity full")
    identity = say(source, "found by its whole row")
    drain(connection, reader, following, feed)
    source.execute("delete from conversations where conversation_id = %s", [identity])
    drain(connection, reader, following, feed)
    assert texts(connection) == []


def test_a_user_without_the_right_is_told_what_to_run(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    source_url: str,
    following: TwinSettings,
    feed: Feed,
) -> None:
    source.execute("create role guest login password 'guest'")
    try:
        url = source_url.replace("//postgres:", "//guest:")
        user, _, rest = url.partition("@")
        guest = connect(f"{user.rsplit(':', 1)[0]}:guest@{rest}")
        source.execute("grant select on conversations to guest")
        with pytest.raises(TwinError, match="create publication"):
            drain(connection, guest, following, feed)
        guest.close()
    finally:
        source.execute("drop owned by guest; drop role guest")


def test_an_added_column_disturbs_nothing(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    drain(connection, reader, following, feed)
    say(source, "before", day=1)
    source.execute("alter table conversations add mood text default 'calm'")
    say(source, "after", day=2, mood="glad")
    drain(connection, reader, following, feed)
    assert texts(connection) == ["before", "after"]


def test_log_of_other_tables_is_let_go_while_nothing_happens_here(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    drain(connection, reader, following, feed)
    source.execute("create table other as select repeat('x', 1000) from generate_series(1, 5000)")
    before = source_store.slot_state(reader, feed.name, feed.tables).lag_bytes
    reader.rollback()
    after = drain(connection, reader, following, feed).lag_bytes
    assert before > 1_000_000
    assert after < before / 10
