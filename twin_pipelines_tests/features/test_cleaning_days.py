"""Cleaning loses nothing and says why it left something out, in whatever order it is done."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from raw_frames import DAY, at, raw_frame

from twin_pipelines.features.cleaning import DROPPED, REASONS, Cleaned, clean
from twin_pipelines.features.turns import TURNS
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import Cleaning

SETTINGS = Cleaning(session_pause_minutes=240, burst_seconds=1800)
LONG = "this is a message of more than forty characters"
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(["chat", "chat", "mail"]),
            "conversation_id": st.sampled_from(["a", "b"]),
            "speaker": st.sampled_from(["ann", "bob", "system"]),
            "text": st.sampled_from(["ok", "", "\u200b", LONG, LONG + "!", LONG + "?", "ครับ", "x"]),
            "sent_at": st.integers(0, 3 * 96).map(lambda quarter: at(minutes=15 * quarter))
            | st.integers(0, 30).map(lambda second: at(23, 59, 40 + second)),
            "metadata": st.sampled_from([None, None, '{"message_type": "event"}', '{"type": 3}']),
        }
    ),
    max_size=40,
)


def whole(raw: pl.DataFrame) -> Cleaned:
    return clean(raw, DayRange(DAY, DAY + timedelta(days=3)), SETTINGS)


@settings(deadline=None, max_examples=40)
@given(MESSAGES)
def test_every_message_is_in_one_turn_or_dropped(messages: list[dict[str, Any]]) -> None:
    raw = raw_frame(messages)
    cleaned = whole(raw)
    kept = cleaned.turns["raw_ids"].explode(empty_as_null=False).to_list()
    dropped = cleaned.dropped["raw_id"].to_list()
    assert Counter(kept + dropped) == Counter(raw["id"].to_list())
    assert set(cleaned.dropped["reason"]) <= set(REASONS)
    assert set(cleaned.dropped["kept_id"].drop_nulls()) <= set(kept)
    duplicate = pl.col("reason").is_in(["exact_duplicate", "near_duplicate"])
    assert cleaned.dropped.select((duplicate == pl.col("kept_id").is_not_null()).all()).item()
    assert cleaned.counts["messages"].sum() == raw.height
    assert cleaned.counts["turns"].sum() == cleaned.turns.height
    assert cleaned.counts["dropped"].sum() == cleaned.dropped.height


@settings(deadline=None, max_examples=20)
@given(MESSAGES)
def test_a_range_gives_what_its_days_give_alone(messages: list[dict[str, Any]]) -> None:
    raw = raw_frame(messages)
    cleaned = whole(raw)
    for offset in range(4):
        day = DAY + timedelta(days=offset)
        seen = raw.filter(pl.col("day").is_between(day - timedelta(days=1), day))
        alone = clean(seen, DayRange(day, day), SETTINGS)
        assert_frame_equal(alone.turns, cleaned.turns.filter(pl.col("day") == day))
        assert_frame_equal(
            alone.dropped, cleaned.dropped.filter(pl.col("day") == day), check_row_order=False
        )


@settings(deadline=None, max_examples=25)
@given(MESSAGES, st.integers(0, 3))
def test_the_order_of_arrival_does_not_matter(messages: list[dict[str, Any]], seed: int) -> None:
    raw = raw_frame(messages)
    shuffled = raw.sample(fraction=1, shuffle=True, seed=seed)
    assert_frame_equal(whole(shuffled).turns, whole(raw).turns)
    assert_frame_equal(whole(shuffled).dropped, whole(raw).dropped, check_row_order=False)


def test_an_empty_day_is_empty() -> None:
    cleaned = whole(raw_frame([]))
    assert cleaned.turns.schema == pl.Schema(TURNS)
    assert cleaned.dropped.schema == pl.Schema(DROPPED)
    assert cleaned.turns.is_empty() and cleaned.dropped.is_empty() and cleaned.counts.is_empty()


def test_the_eve_is_looked_at_and_not_written() -> None:
    raw = raw_frame([{"sent_at": at(-0.1)}, {"sent_at": at(0.1)}])
    cleaned = clean(raw, DayRange(DAY, DAY), SETTINGS)
    assert cleaned.turns["id"].to_list() == [raw["id"][1]]
    assert cleaned.turns["session_id"].to_list() == [raw["id"][0]]
    assert cleaned.counts.row(0, named=True) == {
        "day": DAY,
        "messages": 1,
        "turns": 1,
        "dropped": 0,
        "sessions": 1,
    }


@pytest.mark.parametrize(
    "message",
    [
        {"metadata": '{"message_type": "SYSTEM"}'},
        {"metadata": '{"type": "tool"}'},
        {"speaker": "System"},
    ],
)
def test_system_messages_are_dropped_as_such(message: dict[str, Any]) -> None:
    cleaned = whole(raw_frame([message, {"metadata": '{"message_type": "text"}'}]))
    assert cleaned.dropped["reason"].to_list() == ["system"]
    assert cleaned.turns.height == 1


def test_reasons_and_what_was_kept_instead() -> None:
    raw = raw_frame(
        [
            {"text": "\u200b \ufeff", "sent_at": at(1)},
            {"text": "hello", "sent_at": at(2, 0, 5)},
            {"text": "hel\u200blo ", "sent_at": at(2, 0, 5)},
            {"text": LONG, "sent_at": at(3)},
            {"text": LONG, "sent_at": at(3, 0, 2)},
            {"text": LONG + "!", "sent_at": at(3, 0, 30)},
        ]
    )
    dropped = whole(raw).dropped
    names = dict(raw.select("id", "source_message_id").iter_rows())
    found = {
        names[row["raw_id"]]: (row["reason"], names.get(row["kept_id"]))
        for row in dropped.iter_rows(named=True)
    }
    assert found == {
        "m/0": ("empty", None),
        "m/2": ("exact_duplicate", "m/1"),
        "m/3": ("near_duplicate", "m/5"),
        "m/4": ("exact_duplicate", "m/5"),
    }
