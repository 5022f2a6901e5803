"""What is in mind of a conversation: its latest session, shortened, the same however it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import polars as pl

from twin_pipelines.memory.extraction.short_term import short_term_memories, topic_words
from twin_pipelines.memory.records import MEMORIES

Sessions = Callable[..., pl.DataFrame]
LONG = [
    ("bob", "hi there"),
    ("sue", "My owls learned to fly today"),
    ("bob", "nice weather"),
    ("sue", "ok"),
    ("bob", "how are the owls and do the owls fly well"),
    ("sue", "sure"),
    ("bob", "ok"),
    ("sue", "i cook rice"),
    ("bob", "yum"),
    ("sue", "and fish"),
    ("bob", "can I come over?"),
]


def test_the_last_turns_stand_and_of_the_earlier_ones_what_the_session_is_about(
    sessions: Sessions,
) -> None:
    turns = sessions([LONG])
    (row,) = short_term_memories(turns, "sue", 24).to_dicts()
    told = row["content"].splitlines()
    assert told[-4:] == ["me: i cook rice", "them: yum", "me: and fish", "them: can I come over?"]
    assert "them: how are the owls and do the owls fly well" in told
    assert "me: ok" not in told and "…" in told
    details = json.loads(row["details"])
    assert details["open_question"] == "can I come over?"
    assert details["turns"] == len(LONG) and "owls" in details["topics"]
    assert (row["about"], row["people"], row["type"]) == ("sue", ["bob", "sue"], "short_term")
    assert row["valid_until"] - row["last_at"] == timedelta(hours=24)
    shown = [line for line in told if line != "…"]
    assert len(row["message_ids"]) == len(shown)


def test_a_day_alone_and_among_others_gives_the_same(sessions: Sessions) -> None:
    turns = sessions([LONG, [("bob", "back?"), ("sue", "yes")], LONG[:3]])
    whole = short_term_memories(turns, "sue", 24)
    alone = [short_term_memories(day, "sue", 24) for day in turns.partition_by("day")]
    assert pl.concat(alone).sort("memory_id").equals(whole.sort("memory_id"))
    assert whole["day"].is_unique().all()


def test_of_two_sessions_of_a_day_the_later_is_in_mind(sessions: Sessions) -> None:
    turns = sessions([LONG, [("bob", "back?"), ("sue", "yes")]])
    turns = turns.with_columns(pl.col("day").min()).with_columns(
        pl.int_range(pl.len()).cast(pl.Int32).alias("place")
    )
    (row,) = short_term_memories(turns, "sue", 24).to_dicts()
    assert row["content"].startswith("them: back?")


def test_several_partners_are_named_and_long_turns_cut(sessions: Sessions) -> None:
    turns = sessions([[("bob", "x" * 900), ("eve", "hello bob\nhello sue"), ("sue", "hi")]])
    (row,) = short_term_memories(turns, "sue", 1).to_dicts()
    first, second, last = row["content"].splitlines()
    assert first.startswith("bob: xxx") and first.endswith("…") and len(first) < 260
    assert (second, last) == ("eve: hello bob hello sue", "me: hi")


def test_thai_is_segmented_and_its_questions_stay_open(sessions: Sessions) -> None:
    turns = sessions(
        [
            [
                ("sue", "วันนี้ไปซื้อแมวมาค่ะ 😸"),
                ("bob", "แมวสีอะไรครับ"),
                ("sue", "ขาวค่ะ"),
                ("bob", "แมวชื่ออะไรไหมครับ"),
            ]
        ]
    )
    (row,) = short_term_memories(turns, "sue", 24).to_dicts()
    details = json.loads(row["details"])
    assert row["title"].startswith("แมว") and row["language"] == "th"
    assert details["open_question"] == "แมวชื่ออะไรไหมครับ"
    assert topic_words(["น้องไป meeting กับพี่นะคะ 555"])[0][:2] != []


def test_without_turns_nothing_is_in_mind(sessions: Sessions) -> None:
    empty = short_term_memories(sessions([]).clear(), "sue", 24)
    assert empty.is_empty() and dict(empty.schema) == dict(pl.DataFrame(schema=MEMORIES).schema)
