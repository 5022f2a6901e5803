"""Bursts of statements and what contradicts a pinned fact wait for the owner; all else does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import psycopg
import pytest
from made_memories import BEGAN, memories, statement

from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.memory import owner, pins
from twin_pipelines.memory.extraction.refresh import extract_days
from twin_pipelines.memory.suspicion import (
    BURST,
    BURST_MINUTES,
    quarantine_against,
    quarantine_bursts,
)
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.store import Subject, save_subject


def pouring(number: int, seconds: float, conversation: str = "chat/1") -> list[dict[str, object]]:
    """So many statements of sue's in one conversation, so many seconds apart."""
    rows = []
    for place in range(number):
        at = BEGAN + timedelta(seconds=seconds * place)
        details = json.dumps({"conversation": conversation, "bare": f"i like thing {place}"})
        rows.append(
            {
                **statement("Likes", f"I like thing {place} of {conversation}"),
                "first_at": at,
                "last_at": at,
                "details": details,
            }
        )
    return rows


def states(frame: pl.DataFrame) -> list[str]:
    return frame["status"].to_list()


def test_a_burst_is_set_aside_whole_and_what_came_long_before_is_not() -> None:
    burst = pouring(BURST + 5, 2)
    calm = {**statement("Likes", "I like calm"), "details": burst[0]["details"]}
    at = BEGAN - timedelta(hours=3)
    frame = memories({**calm, "first_at": at, "last_at": at}, *burst)
    assert states(quarantine_bursts(frame)) == ["active", *["quarantined"] * (BURST + 5)]
    reason = quarantine_bursts(frame)["status_reason"][-1]
    assert reason.startswith("a sudden burst")


@pytest.mark.parametrize(
    "rows",
    [
        pouring(BURST, 1),
        pouring(BURST * 3, 60 * BURST_MINUTES / BURST + 1),
        [*pouring(BURST - 1, 1), *pouring(BURST - 1, 1, "chat/2")],
        [{**row, "type": "emotional"} for row in pouring(BURST * 2, 1)],
        [],
    ],
)
def test_what_a_person_can_tell_is_no_burst(rows: list[dict[str, object]]) -> None:
    assert set(states(quarantine_bursts(memories(*rows)))) <= {"active"}


def against(pinned: str, said: str, kind: str = "Home", **changed: object) -> str:
    held = memories({**statement(kind, pinned), "pinned": True})
    new = memories({**statement(kind, said, day=30), **changed})
    return states(quarantine_against(new, held))[0]


@pytest.mark.parametrize(
    ("kind", "pinned", "said"),
    [
        ("Home", "I live in Chiang Mai", "I live in Paris"),
        ("Home", "ฉันอยู่ที่เชียงใหม่", "ฉันอยู่ที่ปารีส"),
        ("Who I am", "I am 25 years old", "I am 61 years old"),
        ("Likes", "I love cats", "I hate cats"),
        ("Family and relations", "I am married", "I am single"),
    ],
)
def test_the_opposite_of_a_pinned_fact_waits(kind: str, pinned: str, said: str) -> None:
    assert against(pinned, said, kind) == "quarantined"
    assert against(pinned, said, kind, about="bob") == "active"
    assert against(pinned, pinned, kind) == "active"
    assert against(pinned, said, kind, first_at=BEGAN - timedelta(days=9)) == "active"


def test_more_of_the_same_does_not_wait() -> None:
    assert against("I live in Chiang Mai", "I live in Chiang Mai city") == "active"
    assert against("I live in Chiang Mai", "I want to live in Paris") == "active"
    assert against("I love cats", "I love dogs", "Likes") == "active"


def test_extraction_sets_it_aside_until_the_owner_lets_it_out(
    connection: psycopg.Connection,
    twin_home: TwinSettings,
    sessions: Callable[..., pl.DataFrame],
) -> None:
    save_subject(connection, Subject("sue", "Sue"))
    turns = sessions([[("sue", "I live in Rome")], [("sue", "I live in Oslo")]])
    copy_frame(connection, "cleaned_messages", turns)
    days = DayRange(turns["day"].min(), turns["day"].max())  # type: ignore[arg-type]
    raw = turns.select(
        "source",
        pl.format("{}/0", pl.int_range(2)).alias("source_message_id"),
        *("conversation_id", "speaker", "text", "sent_at", "day"),
    )
    connection.execute("insert into consents values ('made', 'file', 'f', 'us')")
    copy_frame(connection, "raw_messages", raw)
    held = statement("Home", "I live in Rome", day=-5)
    copy_frame(connection, "memories", memories({**held, "origin": "owner", "day": None}))
    pins.pin(connection, str(held["memory_id"]))
    extract_days(connection, twin_home, days)
    (waiting,) = owner.quarantined(connection).to_dicts()
    assert waiting["content"] == "I live in Oslo"
    assert str(held["memory_id"])[:8] in waiting["status_reason"]
    owner.release(connection, waiting["memory_id"])
    extract_days(connection, twin_home, days)
    assert owner.quarantined(connection).is_empty()
