"""A dream came true when a later message says so, and not when it hopes, asks or denies."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest
from made_memories import BEGAN, memories, statement

from twin_pipelines.memory.dreams.fulfilment import find_fulfilments

Sessions = Callable[..., pl.DataFrame]


def wished(content: str, goal: str | None = None, **other: object) -> pl.DataFrame:
    """A dream of sue from the day before the made-up turns begin."""
    details = {"goal": goal, "phrases": [goal] if goal else []}
    before = BEGAN - timedelta(days=1)
    row = statement("hope", content, -1, type="dream", origin="reflected", first_at=before)
    return memories({**row, "details": json.dumps(details), **other})


def came_true(dreams: pl.DataFrame, turns: pl.DataFrame) -> bool:
    return find_fulfilments(dreams, turns).height == 1


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("visit Japan", "We finally went to Japan last month!"),
        ("visit Japan", "I got to see Japan, it was amazing"),
        ("learn Korean", "I've learned Korean, can you believe it"),
        ("get a dog", "haha yes. I adopted a dog yesterday"),
        ("become a nurse", "I graduated, I'm officially a nurse"),
        ("write a book", "I wrote a book about owls, it is out"),
        ("ไปญี่ปุ่น", "ในที่สุดก็ได้ไปญี่ปุ่นแล้วค่ะ"),
        ("ไปญี่ปุ่น", "หนูไปญี่ปุ่นมาแล้วนะคะ 555"),
        ("ไป Japan", "ได้ไป Japan แล้วจ้า"),
    ],
)
def test_a_later_message_that_tells_of_the_deed_fulfils(
    sessions: Sessions, goal: str, said: str
) -> None:
    assert came_true(wished(f"I hope to {goal}", goal), sessions([[("bob", "hi"), ("sue", said)]]))


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("visit Japan", "I still want to visit Japan"),
        ("visit Japan", "I never went to Japan"),
        ("visit Japan", "have you ever been to Japan? I went to Korea"),
        ("visit Japan", "We will have seen Japan by next year"),
        ("visit Japan", "I read a book about Japan"),
        ("visit Japan", "I went to Korea"),
        ("visit Japan", "when I was little we went to Japan every year"),
        ("learn Korean", "I went to a Korean restaurant"),
        ("get a dog", "I saw a dog"),
        ("ไปญี่ปุ่น", "ยังไม่ได้ไปญี่ปุ่นเลยค่ะ"),
        ("ไปญี่ปุ่น", "อยากไปญี่ปุ่นแล้ว"),
        ("ไปญี่ปุ่น", "ไปญี่ปุ่นมาแล้วหรือยังคะ"),
        ("ไปญี่ปุ่น", "ไปตลาดมาแล้วค่ะ"),
    ],
)
def test_hopes_denials_questions_and_other_deeds_do_not(
    sessions: Sessions, goal: str, said: str
) -> None:
    turns = sessions([[("bob", "hi"), ("sue", said)]])
    assert not came_true(wished(f"I hope to {goal}", goal), turns)


def test_only_what_is_said_after_the_dream_counts_and_the_first_of_it(sessions: Sessions) -> None:
    turns = sessions([[("sue", "We went to Japan!")], [("sue", "We went to Japan again!")]])
    dream = wished("I hope to visit Japan", "visit Japan")
    found = find_fulfilments(dream, turns)
    assert found["fulfilled_at"].to_list() == turns["sent_at"].to_list()[:1]
    assert found["fulfilled_by"].to_list() == turns["raw_ids"].to_list()[:1]
    late = dream.with_columns(pl.lit(turns["sent_at"][0]).alias("first_at"))
    assert find_fulfilments(late, turns)["fulfilled_at"][0] == turns["sent_at"][1]


def test_a_partner_speaks_for_the_subject_only_in_the_plural(sessions: Sessions) -> None:
    dream = wished("I hope to visit Japan", "visit Japan")
    assert not came_true(dream, sessions([[("bob", "I went to Japan")]]))
    assert came_true(dream, sessions([[("bob", "We went to Japan")]]))
    assert came_true(wished("อยาก", "ไปญี่ปุ่น"), sessions([[("bob", "เราได้ไปญี่ปุ่นกันแล้ว")]]))


def test_a_passing_partner_does_not_speak_for_the_subject(sessions: Sessions) -> None:
    days = [[("sue", "hi"), (name, "We went to Japan")] for name in ("bob", "eve", "dan")]
    assert not came_true(wished("I hope to visit Japan", "visit Japan"), sessions(days))


def test_an_imported_dream_is_known_by_its_title(sessions: Sessions) -> None:
    imported = wished("Some day", origin="imported", title="Travel to Japan with David")
    assert came_true(imported, sessions([[("sue", "David and I finally went to Japan!!")]]))
    assert not came_true(imported, sessions([[("sue", "I finally went to bed")]]))


def test_a_dream_without_a_goal_needs_both_its_things_and_an_end(sessions: Sessions) -> None:
    details = json.dumps({"goal": None, "phrases": ["the piano", "Chiang Mai"]})
    dream = wished("I wish").with_columns(pl.lit(details).alias("details"))
    assert not came_true(dream, sessions([[("sue", "I got the piano")]]))
    assert came_true(dream, sessions([[("sue", "Finally a piano here in Chiang Mai!")]]))


def test_what_came_true_before_and_what_cannot_is_passed_over(sessions: Sessions) -> None:
    turns = sessions([[("sue", "We finally went to Japan!")]])
    dream = wished("I hope to visit Japan", "visit Japan")
    done = json.dumps({"goal": "visit Japan", "fulfilled_at": "2018-04-30", "phrases": []})
    assert not came_true(dream.with_columns(pl.lit(done).alias("details")), turns)
    assert not came_true(dream.with_columns(pl.lit("question").alias("kind")), turns)
    assert not came_true(dream.clear(), turns)
