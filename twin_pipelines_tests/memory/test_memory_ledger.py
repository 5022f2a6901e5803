"""Every deliberate change is journaled whole, and taking it back gives the exact former store."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, date, datetime

import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.memory import ledger, ledger_store, store
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.settings import TwinError

DAY = date(2018, 5, 1)
SAID = datetime(2018, 5, 1, 12, 30, 15, 123457, tzinfo=UTC)


def told(content: str, **changed: object) -> dict[str, object]:
    row: dict[str, object] = {
        **dict.fromkeys(MEMORIES),
        "memory_id": memory_identity("episodic", "angela", "Likes", content),
        "type": "episodic",
        "kind": "Likes",
        "title": "Likes",
        "content": content,
        "about": "angela",
        "people": ["angela", 'da"vid, {x}'],
        "language": "en",
        "importance": 0.1234567,
        "importance_parts": json.dumps({"emotion": 0.5}),
        "confidence": 0.9,
        "sessions": 1,
        "day": DAY,
        "first_at": SAID,
        "last_at": SAID,
        "status": "active",
        "status_reason": "",
        "pinned": False,
        "origin": "extracted",
        "message_ids": [str(uuid.UUID(hashlib.md5(f"made\x1f{content}".encode()).hexdigest()))],
        "source_ids": [],
        "details": json.dumps({"gist": ["ชา", "tea"]}),
    }
    return row | changed


@pytest.fixture
def filled(connection: psycopg.Connection) -> psycopg.Connection:
    """Three memories; the message of one of them is gone already."""
    memories = pl.DataFrame(
        [told("I like tea"), told("ฉันชอบชา"), told("I like rain")], schema=MEMORIES
    )
    copy_frame(connection, "memories", memories)
    connection.execute(
        "insert into consents (source, kind, location, granted) values ('made', 'file', '', '')"
    )
    connection.execute(
        """
        insert into raw_messages
            (source, source_message_id, conversation_id, speaker, text, sent_at, day)
        select 'made', content, 'chat', 'angela', content, %s, %s
        from unnest(array['I like tea', 'ฉันชอบชา', 'I like snow']) as content
        """,
        (SAID, DAY),
    )
    connection.commit()
    return connection


def change(connection: psycopg.Connection) -> ledger.Run:
    """A run that makes, changes twice and removes memories."""
    with ledger.run(connection, "owner", "by hand", {"why": "test"}) as run:
        copy_frame(
            connection, "memories", pl.DataFrame([told("I like snow", day=None)], schema=MEMORIES)
        )
        connection.execute("update memories set status = 'archived' where content = 'I like tea'")
        connection.execute("update memories set pinned = true where content = 'I like tea'")
        connection.execute("delete from memories where content = 'ฉันชอบชา'")
        run.counts["by hand"] = 3
    return run


def test_undo_gives_the_exact_former_store_and_undoing_that_the_later_one(
    filled: psycopg.Connection,
) -> None:
    before = ledger_store.store_hash(filled)
    run = change(filled)
    after = ledger_store.store_hash(filled)
    assert (run.made, run.changed, run.removed) == (1, 2, 1)
    undone = ledger.undo(filled, run.run_id)
    assert ledger_store.store_hash(filled) == before != after
    assert (undone.returned, undone.restored, undone.taken_back, undone.left) == (1, 1, 1, 0)
    redone = ledger.undo(filled, undone.run_id)
    assert ledger_store.store_hash(filled) == after
    again = ledger.undo(filled, redone.run_id)
    assert ledger_store.store_hash(filled) == before
    marks = ledger_store.load_runs(filled).select("run_id", "undone_by").rows()
    assert marks == [
        (again.run_id, None),
        (redone.run_id, again.run_id),
        (undone.run_id, None),
        (run.run_id, undone.run_id),
    ]


def test_the_journal_tells_what_was_done(filled: psycopg.Connection) -> None:
    run = change(filled)
    (row,) = ledger_store.load_runs(filled).to_dicts()
    assert (row["run_id"], row["kind"], row["words"]) == (run.run_id, "owner", "by hand")
    assert json.loads(row["counts"]) == {"made": 1, "changed": 2, "removed": 1, "by hand": 3}
    tea = memory_identity("episodic", "angela", "Likes", "I like tea")
    steps = ledger_store.load_changes(filled, memory_id=tea)
    assert [json.loads(after)["pinned"] for after in steps["after"]] == [False, True]
    assert ledger_store.load_changes(filled, run_id=run.run_id).height == 4


def test_a_run_that_changes_nothing_leaves_no_trace(filled: psycopg.Connection) -> None:
    with ledger.run(filled, "consolidation", "nothing new") as run:
        filled.execute("update memories set status = 'active'")
    assert not run.changed_anything
    assert ledger_store.load_runs(filled).is_empty()


def test_changes_outside_a_run_are_not_journaled_even_after_one_in_the_same_transaction(
    filled: psycopg.Connection,
) -> None:
    with filled.transaction():
        change(filled)
        filled.execute("update memories set pinned = true")
    assert ledger_store.load_changes(filled).height == 4


def test_a_failing_run_takes_everything_back(filled: psycopg.Connection) -> None:
    before = ledger_store.store_hash(filled)
    with pytest.raises(ZeroDivisionError), ledger.run(filled, "forgetting", "fails"):
        filled.execute("delete from memories")
        raise ZeroDivisionError
    assert ledger_store.store_hash(filled) == before
    assert ledger_store.load_runs(filled).is_empty()


def test_runs_do_not_nest_and_have_a_known_kind(filled: psycopg.Connection) -> None:
    with (
        pytest.raises(RuntimeError, match="nest"),
        ledger.run(filled, "owner", "outer"),
        ledger.run(filled, "owner", "inner"),
    ):
        pass
    with pytest.raises(ValueError, match="whim"), ledger.run(filled, "whim", ""):
        pass


def test_a_memory_whose_messages_are_gone_is_not_brought_back(filled: psycopg.Connection) -> None:
    run = change(filled)
    filled.execute("delete from raw_messages where text = 'ฉันชอบชา'")
    undone = ledger.undo(filled, run.run_id)
    assert (undone.returned, undone.restored, undone.left) == (0, 1, 1)
    contents = filled.execute("select content from memories order by 1").fetchall()
    assert contents == [("I like rain",), ("I like tea",)]


def test_what_was_derived_anew_since_stays(filled: psycopg.Connection) -> None:
    run = change(filled)
    again = pl.DataFrame([told("I like tea", importance=0.75)], schema=MEMORIES)
    store.rewrite_days(filled, DayRange(DAY, DAY), again)
    ledger.undo(filled, run.run_id)
    tea = store.load_memories(filled).filter(pl.col("content") == "I like tea")
    assert tea.select("importance", "pinned", "status").rows() == [(0.75, False, "active")]


def test_an_earlier_run_waits_for_later_ones_over_the_same_memories(
    filled: psycopg.Connection,
) -> None:
    before = ledger_store.store_hash(filled)
    first = change(filled)
    with ledger.run(filled, "owner", "pinned rain") as elsewhere:
        filled.execute("update memories set pinned = true where content = 'I like rain'")
    with ledger.run(filled, "owner", "unpinned tea") as second:
        filled.execute("update memories set pinned = false where content = 'I like tea'")
    with pytest.raises(TwinError, match=f"undo run {second.run_id} first"):
        ledger.undo(filled, first.run_id)
    ledger.undo(filled, second.run_id)
    ledger.undo(filled, first.run_id)
    ledger.undo(filled, elsewhere.run_id)
    assert ledger_store.store_hash(filled) == before


def test_undoing_what_is_not_there_says_what_to_do(filled: psycopg.Connection) -> None:
    with pytest.raises(TwinError, match="no memory run 7"):
        ledger.undo(filled, 7)
    run = change(filled)
    undone = ledger.undo(filled, run.run_id)
    with pytest.raises(TwinError, match=f"undone already, by run {undone.run_id}"):
        ledger.undo(filled, run.run_id)
