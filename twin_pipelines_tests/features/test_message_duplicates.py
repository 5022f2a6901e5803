"""What was sent twice is found, and what people merely repeat is not."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_frames import at, raw_frame

from twin_pipelines.features.duplicates import (
    double_sends,
    jaccard,
    resent_with_edit,
    resolve,
    same_record,
)
from twin_pipelines.features.order import changes, in_order

LONG = "this is a message of more than forty characters"


def prepared(*messages: dict[str, Any]) -> pl.DataFrame:
    frame = in_order(raw_frame(messages))
    return frame.with_columns(run=changes("conversation", "speaker").cum_sum())


def pairs(frame: pl.DataFrame, found: pl.DataFrame) -> dict[str, str]:
    """Dropped → kept, by source_message_id."""
    names = dict(frame.select("id", "source_message_id").iter_rows())
    return {names[raw]: names[kept] for raw, kept in found.iter_rows()}


def test_the_same_record_twice_is_one_whatever_its_length() -> None:
    frame = prepared(
        *[{"text": "ok", "sent_at": at(0, 0, 5)}] * 3, {"text": "ok", "sent_at": at(1)}
    )
    assert pairs(frame, same_record(frame)) == {"m/1": "m/0", "m/2": "m/0"}


@pytest.mark.parametrize(
    "other", [{"speaker": "bob"}, {"conversation_id": "d"}, {"text": "no"}, {"sent_at": at(1)}]
)
def test_a_record_that_differs_in_anything_is_another(other: dict[str, Any]) -> None:
    message = {"text": "ok", "sent_at": at(0, 0, 5)}
    frame = prepared(message, message | other)
    assert same_record(frame).is_empty()


def test_a_clock_without_seconds_does_not_make_repetitions_duplicates() -> None:
    frame = prepared(
        {"text": "haha", "sent_at": at(1)},
        {"text": "what?", "sent_at": at(1), "speaker": "bob"},
        {"text": "haha", "sent_at": at(1)},
        {"text": LONG, "sent_at": at(1)},
        {"text": LONG, "sent_at": at(1)},
    )
    assert pairs(frame, same_record(frame)) == {"m/4": "m/3"}


def test_times_an_importer_set_microseconds_apart_are_one() -> None:
    """Files with whole seconds are landed a microsecond apart, so that their order is kept."""
    times = [at(0, 0, second) for second in (5, 5.000002, 5.000004, 5.3)]
    frame = prepared(
        *({"text": text, "sent_at": time} for text, time in zip("aaba", times, strict=True))
    )
    assert pairs(frame, same_record(frame)) == {"m/1": "m/0"}


def test_a_finer_clock_of_one_source_does_not_hide_the_same_message() -> None:
    frame = prepared(
        {"source": "file", "text": "ok", "sent_at": at(0, 0, 5)},
        {"source": "table", "text": "ok", "sent_at": at(0, 0, 5.734)},
        {"source": "table", "text": "ok", "sent_at": at(0, 0, 6.2)},
    )
    assert pairs(frame, same_record(frame)) == {"m/1": "m/0"}


def test_a_message_from_two_sources_is_kept_from_the_first_by_name() -> None:
    message = {"text": "ok", "sent_at": at()}
    frame = prepared(
        message | {"source": "whatsapp", "conversation_id": "x"},
        message | {"source": "backup", "conversation_id": "y"},
        message | {"source": "backup", "conversation_id": "z"},
        message | {"source": "whatsapp", "text": "only here"},
    )
    assert pairs(frame, same_record(frame)) == {"m/0": "m/1"}


@pytest.mark.parametrize(
    ("text", "seconds", "dropped"),
    [(LONG, 3, True), (LONG, 10, True), (LONG, 11, False), ("haha", 1, False), ("ok", 0.5, False)],
)
def test_a_double_send_is_long_and_quick(text: str, seconds: float, dropped: bool) -> None:
    frame = prepared({"text": text, "sent_at": at()}, {"text": text, "sent_at": at(0, 0, seconds)})
    assert pairs(frame, double_sends(frame)) == ({"m/1": "m/0"} if dropped else {})


def test_nobody_stands_between_double_sends() -> None:
    frame = prepared(
        {"text": LONG, "sent_at": at()},
        {"text": "what?", "sent_at": at(0, 0, 1), "speaker": "bob"},
        {"text": LONG, "sent_at": at(0, 0, 2)},
        {"text": "oops", "sent_at": at(0, 0, 3)},
        {"text": LONG, "sent_at": at(0, 0, 4)},
        {"text": LONG, "sent_at": at(0, 0, 12)},
    )
    assert pairs(frame, double_sends(frame)) == {"m/4": "m/2", "m/5": "m/2"}


@pytest.mark.parametrize(
    ("text", "edit", "dropped"),
    [
        (LONG, LONG.replace("forty", "fourty"), True),
        (LONG, LONG.upper(), False),
        (LONG, LONG + "!", True),
        (LONG, "something altogether different, and as long as it", False),
        (
            "พรุ่งนี้เจอกันที่ร้านกาแฟหน้าสถานีรถไฟฟ้าตอนสิบโมงเช้านะ",
            "พรุ่งนี้เจอกันที่ร้านกาแฟหน้าสถานีรถไฟฟ้าตอนสิบโมงเช้านะคะ",
            True,
        ),
        ("ok", "ok!", False),
        ("haha", "hahaha", False),
        (LONG, LONG + " " + LONG, False),
    ],
)
def test_a_resent_text_with_a_small_edit_gives_way_to_the_edit(
    text: str, edit: str, dropped: bool
) -> None:
    frame = prepared({"text": text}, {"text": edit})
    assert pairs(frame, resent_with_edit(frame, 0.9)) == ({"m/0": "m/1"} if dropped else {})


def test_an_edit_is_looked_for_only_where_nobody_wrote_between() -> None:
    frame = prepared({"text": LONG}, {"text": "yes?", "speaker": "bob"}, {"text": LONG + "."})
    assert resent_with_edit(frame, 0.9).is_empty()


def test_an_edit_is_found_past_other_messages_of_the_speaker() -> None:
    frame = prepared(
        {"text": LONG},
        {"text": "wait"},
        {"text": "this one is about something entirely else"},
        {"text": LONG + "."},
    )
    assert pairs(frame, resent_with_edit(frame, 0.9)) == {"m/0": "m/3"}


def test_chains_of_duplicates_end_at_what_is_kept() -> None:
    frame = prepared({"text": LONG}, {"text": LONG + "!"}, {"text": LONG + "!!"})
    found = resolve(resent_with_edit(frame, 0.9))
    assert pairs(frame, found) == {"m/0": "m/2", "m/1": "m/2"}


def test_nothing_in_nothing_out() -> None:
    frame = prepared()
    assert same_record(frame).is_empty()
    assert double_sends(frame).is_empty()
    assert resent_with_edit(frame, 0.9).is_empty()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.text("abก👍", max_size=8), st.text("abก👍", max_size=8)), max_size=6))
def test_similarity_is_jaccard_of_letter_pairs(texts: list[tuple[str, str]]) -> None:
    def sets(text: str) -> set[str]:
        return {text[place : place + 2] for place in range(len(text) - 1)}

    expected = [
        len(sets(one) & sets(two)) / max(len(sets(one) | sets(two)), 1) for one, two in texts
    ]
    left = pl.Series([one for one, _ in texts], dtype=pl.String)
    right = pl.Series([two for _, two in texts], dtype=pl.String)
    assert jaccard(left, right).tolist() == expected
