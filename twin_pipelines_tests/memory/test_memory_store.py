"""Memories of a day are rewritten whole, without touching what others decided about them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.memory import store
from twin_pipelines.memory.records import MEMORIES, memory_identity

DAY = date(2018, 5, 1)
DAYS = DayRange(DAY, DAY)
SAID = datetime(2018, 5, 1, 12, tzinfo=UTC)


def told(content: str, **changed: object) -> dict[str, object]:
    row: dict[str, object] = {
        **dict.fromkeys(MEMORIES),
        "memory_id": memory_identity("episodic", "angela", "Likes", content),
        "type": "episodic",
        "kind": "Likes",
        "title": "Likes",
        "content": content,
        "about": "angela",
        "people": ["angela", "david"],
        "language": "en",
        "importance": 0.5,
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
        "message_ids": ["00000000-0000-0000-0000-000000000001"],
        "source_ids": [],
        "details": "{}",
    }
    return row | changed


def frame(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=MEMORIES)


def test_a_day_derived_again_writes_nothing(connection: psycopg.Connection) -> None:
    memories = frame(told("I like tea"), told("I like rain"))
    assert store.rewrite_days(connection, DAYS, memories) == 2
    assert store.rewrite_days(connection, DAYS, memories) == 0
    loaded = store.load_memories(connection, types=["episodic"])
    assert sorted(loaded["content"]) == ["I like rain", "I like tea"]
    assert json.loads(loaded["importance_parts"][0]) == {"emotion": 0.5}


def test_deriving_again_keeps_pins_and_states_and_drops_what_is_gone(
    connection: psycopg.Connection,
) -> None:
    store.rewrite_days(connection, DAYS, frame(told("I like tea"), told("I like rain")))
    connection.execute(
        "update memories set pinned = true, status = 'archived' where content = 'I like tea'"
    )
    assert store.rewrite_days(connection, DAYS, frame(told("I like tea", importance=0.6))) == 2
    left = store.load_memories(connection, states=["active", "archived"])
    assert left.select("content", "status", "pinned").rows() == [("I like tea", "archived", True)]
    assert left["importance"][0] == pytest.approx(0.6)
    assert store.memory_counts(connection).rows() == [("episodic", "archived", 1, 1)]
