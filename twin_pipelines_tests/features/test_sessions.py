"""Order and sessions depend on the messages only, not on how or when they are read."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import polars as pl
import pytest
from raw_frames import DAY, at, raw_frame

from twin_pipelines.features.order import in_order
from twin_pipelines.features.sessions import with_sessions


def sessions(frame: pl.DataFrame, pause: int = 60) -> dict[str, str]:
    """Which message began the session, by source_message_id."""
    placed = with_sessions(in_order(frame), pause)
    names = dict(frame.select("id", "source_message_id").iter_rows())
    return {
        name: names[session]
        for name, session in placed.select("source_message_id", "session_id").iter_rows()
    }


def test_messages_of_one_second_keep_the_order_of_the_source() -> None:
    names = ["c/1", "c/2", "c/9", "c/10", "c/11", "c/100"]
    frame = raw_frame({"source_message_id": name, "sent_at": at()} for name in names)
    for seed in range(5):
        shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
        assert in_order(shuffled)["source_message_id"].to_list() == names


def test_identifiers_without_a_number_still_have_one_order() -> None:
    names = ["a", "a01", "a1", "a2", "b", "99999999999999999999", "100000000000000000000"]
    frame = raw_frame({"source_message_id": name, "sent_at": at()} for name in names)
    orders = {
        tuple(in_order(frame.sample(fraction=1, shuffle=True, seed=seed))["source_message_id"])
        for seed in range(5)
    }
    assert len(orders) == 1
    order = list(orders.pop())
    assert order.index("99999999999999999999") < order.index("100000000000000000000")


def test_ties_do_not_disturb_their_neighbours() -> None:
    frame = raw_frame(
        {"source_message_id": f"{place}", "conversation_id": chat, "sent_at": at(seconds=second)}
        for place, (chat, second) in enumerate([("b", 2), ("a", 1), ("b", 1), ("a", 1), ("b", 1)])
    )
    ordered = in_order(frame)
    assert ordered["source_message_id"].to_list() == ["1", "3", "2", "4", "0"]
    assert ordered["conversation"].to_list() == [0, 0, 1, 1, 1]


def test_same_conversation_name_in_two_sources_is_two_conversations() -> None:
    frame = raw_frame({"source": source} for source in ("mail", "chat"))
    assert in_order(frame)["source"].to_list() == ["chat", "mail"]
    assert in_order(frame)["conversation"].to_list() == [0, 1]
    assert sessions(frame) == {"m/0": "m/0", "m/1": "m/1"}


def test_no_messages_have_no_sessions() -> None:
    assert with_sessions(in_order(raw_frame([])), 60).is_empty()


@pytest.mark.parametrize(("minutes", "begins"), [(60, "m/0"), (60.02, "m/1")])
def test_only_a_pause_longer_than_the_setting_begins_a_session(minutes: float, begins: str) -> None:
    frame = raw_frame({"sent_at": at(hours=8, minutes=gap)} for gap in (0, minutes))
    assert sessions(frame)["m/1"] == begins


def test_a_session_keeps_its_identity_past_midnight() -> None:
    frame = raw_frame({"sent_at": at(hours=23.5 + hours)} for hours in (0, 0.25, 0.75, 3))
    assert sessions(frame) == {"m/0": "m/0", "m/1": "m/0", "m/2": "m/0", "m/3": "m/3"}


def test_conversations_do_not_disturb_each_other() -> None:
    frame = raw_frame(
        {"conversation_id": chat, "sent_at": at(minutes=minutes)}
        for minutes, chat in [(0, "a"), (50, "b"), (100, "a"), (105, "b")]
    )
    assert sessions(frame) == {"m/0": "m/0", "m/2": "m/2", "m/1": "m/1", "m/3": "m/1"}


def test_an_unbroken_chain_is_cut_to_the_eve() -> None:
    """Three days without a pause: each day may only know its eve, so it begins there."""
    frame = raw_frame({"sent_at": at(hours=hour / 2)} for hour in range(3 * 48))
    found = sessions(frame)
    first_of_day = {day: f"m/{48 * day}" for day in range(3)}
    for place in range(3 * 48):
        assert found[f"m/{place}"] == first_of_day[max(place // 48 - 1, 0)]


def test_a_day_and_its_eve_suffice() -> None:
    gaps = [5, 50, 61, 700, 1300, 59, 60, 30, 1450, 20, 61, 1, 400, 59, 2900, 5]
    minutes = [sum(gaps[:count]) for count in range(len(gaps))]
    for pause in (60, 600, 1500, 3000):
        frame = raw_frame({"sent_at": at(minutes=minute)} for minute in minutes)
        together = sessions(frame, pause)
        for eve, day in pairwise(DAY + timedelta(days=number) for number in range(-1, 8)):
            alone = frame.filter(pl.col("day").is_between(eve, day))
            found = sessions(alone, pause)
            for name in alone.filter(pl.col("day") == day)["source_message_id"]:
                assert found[name] == together[name]
