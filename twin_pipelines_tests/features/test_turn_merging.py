"""A burst is one turn; it never crosses another speaker, a session or midnight."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from raw_frames import DAY, at, raw_frame

from twin_pipelines.features.cleaning import clean
from twin_pipelines.features.turns import TURNS
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import Cleaning


def turns(*messages: dict[str, Any], zone: ZoneInfo | None = None, **settings: Any) -> pl.DataFrame:
    raw = raw_frame(messages, zone)
    days = DayRange(raw["day"].min(), raw["day"].max())
    return clean(raw, days, Cleaning(**settings)).turns


def test_a_burst_becomes_one_turn() -> None:
    merged = turns(
        {"text": "hi", "sent_at": at(1)},
        {"text": "it's me", "sent_at": at(1, 0, 120)},
        {"text": "and later", "sent_at": at(1, 0, 241)},
        {"text": "ok", "speaker": "bob", "sent_at": at(1, 0, 242)},
    )
    assert merged.schema == pl.Schema(TURNS)
    assert merged["text"].to_list() == ["hi\nit's me", "and later", "ok"]
    first = merged.row(0, named=True)
    assert first["id"] == first["raw_ids"][0] == first["session_id"]
    assert len(first["raw_ids"]) == 2
    assert (first["sent_at"], first["ended_at"]) == (at(1), at(1, 0, 120))
    assert first["content_hash"] == hashlib.md5(b"hi\nit's me").hexdigest()
    assert (first["language"], first["words"]) == ("en", 3)


def test_a_place_counts_turns_of_one_moment_so_that_nothing_else_moves_it() -> None:
    told = ("ann", "bob", "ann again")
    tied = [{"text": who, "speaker": who[:3], "sent_at": at(2)} for who in told]
    alone = turns(*tied)
    assert alone["place"].to_list() == [0, 1, 2]
    after = turns({"text": "hi", "sent_at": at(1)}, *tied, {"text": "later", "sent_at": at(3)})
    assert after["place"].to_list() == [0, 0, 1, 2, 0]


def test_another_speaker_ends_a_burst() -> None:
    merged = turns(
        *(
            {"text": who, "speaker": who[:3], "sent_at": at(1)}
            for who in ("ann", "bob", "ann again")
        )
    )
    assert merged["text"].to_list() == ["ann", "bob", "ann again"]


def test_without_burst_time_only_the_same_instant_is_merged() -> None:
    merged = turns(
        *({"text": str(second), "sent_at": at(1, 0, second)} for second in (0, 0.0, 1)),
        burst_seconds=0,
    )
    assert merged["text"].to_list() == ["0\n0.0", "1"]


def test_a_session_ends_a_burst() -> None:
    merged = turns(
        {"sent_at": at(1)}, {"sent_at": at(1, 3)}, burst_seconds=600, session_pause_minutes=2
    )
    assert merged["session_id"].to_list() == merged["id"].to_list()
    assert merged.height == 2


@pytest.mark.parametrize(("zone", "count"), [("UTC", 2), ("Asia/Bangkok", 1)])
def test_midnight_of_the_history_ends_a_burst_and_not_the_session(zone: str, count: int) -> None:
    merged = turns({"sent_at": at(23, 59, 50)}, {"sent_at": at(24, 0, 5)}, zone=ZoneInfo(zone))
    assert merged.height == count
    assert merged["session_id"].n_unique() == 1
    assert merged["day"][-1] == DAY + timedelta(days=1)


def test_system_messages_do_not_stand_between() -> None:
    merged = turns(
        {"text": "a", "sent_at": at(1)},
        {"text": "bob joined", "sent_at": at(1), "metadata": '{"message_type": "System"}'},
        {"text": "b", "sent_at": at(1)},
    )
    assert merged["text"].to_list() == ["a\nb"]
