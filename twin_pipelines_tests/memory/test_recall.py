"""Recalls are counted once an answer, whoever answers at the same time."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from twin_pipelines.memory.recall.recalls import load_recalls, record_recalls

AT = datetime(2018, 6, 1, 12, tzinfo=UTC)


def remembered(connection: psycopg.Connection, count: int) -> list[str]:
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, f"recall {n}")) for n in range(count)]
    for memory_id in ids:
        connection.execute(
            "insert into memories (memory_id, type, kind, title, content, about, importance, "
            "confidence, first_at, last_at, origin) values (%s, 'knowledge', 'Likes', 'Likes', "
            "'I like tea', 'angela', 0.5, 0.9, %s, %s, 'owner')",
            (memory_id, AT, AT),
        )
    connection.commit()
    return ids


def test_each_answer_counts_once_and_the_latest_time_stays(connection: psycopg.Connection) -> None:
    first, second = remembered(connection, 2)
    assert record_recalls(connection, [first, first, second], AT) == 2
    assert record_recalls(connection, [first], AT + timedelta(days=1)) == 1
    assert record_recalls(connection, [first], AT - timedelta(days=1)) == 1
    rows = load_recalls(connection).rows()
    assert rows == [(first, 3, AT + timedelta(days=1)), (second, 1, AT)]
    assert load_recalls(connection, [second]).rows() == [(second, 1, AT)]


def test_what_is_gone_or_nothing_at_all_is_left_out(connection: psycopg.Connection) -> None:
    (known,) = remembered(connection, 1)
    assert record_recalls(connection, [], AT) == 0
    assert record_recalls(connection, [str(uuid.uuid4()), known], AT) == 1
    assert load_recalls(connection, []).height == 0
    connection.execute("delete from memories where memory_id = %s", [known])
    assert load_recalls(connection).height == 0


def test_a_time_without_a_zone_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(ValueError, match="time zone"):
        record_recalls(connection, [], datetime(2018, 6, 1))


def test_recalling_writes_no_journal(connection: psycopg.Connection) -> None:
    (known,) = remembered(connection, 1)
    record_recalls(connection, [known], AT)
    row = connection.execute("select count(*) from memory_changes").fetchone()
    assert row == (0,)


def test_answers_at_once_lose_no_recall_and_do_not_lock_each_other_out(
    connection: psycopg.Connection, database_url: str
) -> None:
    ids = remembered(connection, 20)

    def answer(order: list[str]) -> None:
        with psycopg.connect(database_url) as own:
            for _ in range(10):
                record_recalls(own, order, AT)
                own.commit()

    threads = [threading.Thread(target=answer, args=(order,)) for order in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert load_recalls(connection)["recalls"].to_list() == [20] * 20
