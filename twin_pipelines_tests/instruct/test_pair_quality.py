"""The quality score ranks pairs as a reader would, by parts that can be pointed at."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.instruct.quality import QUALITY_PARTS, with_quality

_CONTEXT = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


def scored(
    input: str, reply: str, context: list[tuple[str, str]] | None = None, wait: float = 30.0
) -> dict[str, float]:
    turns = [{"role": role, "content": text} for role, text in context or []]
    frame = pl.DataFrame(
        {"context": [turns], "input": [input], "reply": [reply], "wait": [wait]},
        schema_overrides={"context": _CONTEXT},
    )
    row = with_quality(frame).row(0, named=True)
    return {**row["quality_parts"], "quality": row["quality"]}


def test_a_telling_answer_beats_an_empty_one() -> None:
    question = "what did you do in Chiang Mai?"
    telling = scored(question, "oh I love Chiang Mai! we climbed Doi Suthep and ate khao soi haha")
    empty = scored(question, "I don't know.")
    assert telling["quality"] > empty["quality"] + 3
    assert telling["relevance"] > empty["relevance"]


def test_meeting_a_question_with_a_question_is_less_relevant() -> None:
    assert (
        scored("where do you live?", "in Bangkok")["relevance"]
        > scored("where do you live?", "and you?")["relevance"]
    )


def test_feeling_and_manner_are_seen_in_both_languages() -> None:
    assert scored("ok", "คิดถึงจังเลยนะคะ 😊")["emotion"] > 1
    assert scored("ok", "คิดถึงจังเลยนะคะ 😊")["style"] > scored("ok", "It is on the table.")["style"]
    assert scored("ok", "It is on the table.")["emotion"] == 0


def test_thai_shares_words_without_spaces() -> None:
    related = scored("พรุ่งนี้ไปเชียงใหม่กันไหม", "ไปเชียงใหม่กันเลย")
    unrelated = scored("พรุ่งนี้ไปเชียงใหม่กันไหม", "หิวข้าวแล้ว")
    assert related["relevance"] > unrelated["relevance"]


def test_boilerplate_is_no_personal_manner() -> None:
    personal = scored("hi", "yeah I'd be happy to, dunno when tho")
    boilerplate = scored("hi", "yeah, let me know if you have anything else, I'm here, dunno")
    assert boilerplate["style"] < personal["style"] / 2


@pytest.mark.parametrize("context", [None, [("assistant", "Same here!"), ("user", "so")]])
def test_an_echo_does_not_flow(context: list[tuple[str, str]] | None) -> None:
    asked = "same here" if context is None else "really"
    assert scored(asked, "Same here", context)["flow"] == 0


def test_a_long_wait_lowers_the_flow() -> None:
    assert scored("hello", "hi bob", wait=5)["flow"] > scored("hello", "hi bob", wait=3_000)["flow"]


@given(st.text(max_size=200), st.text(max_size=200), st.floats(-10, 1e7))
@settings(max_examples=80, deadline=None)
def test_parts_stay_within_their_bounds_whatever_is_written(
    input: str, reply: str, wait: float
) -> None:
    score = scored(input, reply, [("user", reply), ("assistant", input)], wait)
    assert all(0 <= score[name] <= 2 for name in QUALITY_PARTS)
    assert score["quality"] == pytest.approx(sum(score[name] for name in QUALITY_PARTS), abs=1e-3)
