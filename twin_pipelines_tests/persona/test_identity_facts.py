"""Facts: what says the same is one, what predicts most comes first, what passes is left out."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from twin_pipelines.persona.identity.facts import FACTS, fact_words, facts_of

Turns = Callable[..., pl.DataFrame]


def told(turns: pl.DataFrame) -> list[str]:
    return facts_of(turns, "sue", ["Sue"])["text"].to_list()


def test_a_fact_that_foretells_other_replies_comes_before_one_that_does_not(
    sessions: Turns,
) -> None:
    owls = [
        [("bob", "what did you see"), ("sue", f"an owl in the barn number{n}")] for n in range(6)
    ]
    turns = sessions(
        [
            [("bob", "hi"), ("sue", "I love ferrets"), ("bob", "nice")],
            [("bob", "hi"), ("sue", "I love owls and an owl barn"), ("bob", "nice")],
            *owls,
        ]
    )
    facts = facts_of(turns, "sue")
    assert facts["text"].to_list() == ["I love owls and an owl barn", "I love ferrets"]
    assert facts["gain"][0] > facts["gain"][1]


def test_stating_a_fact_is_no_evidence_that_it_foretells_anything(sessions: Turns) -> None:
    turns = sessions([[("bob", "hi"), ("sue", "I love ferrets")]])
    assert facts_of(turns, "sue")["gain"].to_list() == [0.0]


def test_what_says_the_same_is_one_fact_with_all_its_messages(sessions: Turns) -> None:
    turns = sessions(
        [
            [("bob", "hi"), ("sue", "Yeah, I am from Chiang Mai")],
            [("eve", "and you?"), ("sue", "im from Chiang Mai")],
        ]
    )
    facts = facts_of(turns, "sue")
    assert facts["sessions"].to_list() == [2]
    both = facts.row(0, named=True)
    assert both["text"] == "im from Chiang Mai", "the shortest wording, without fillers"
    assert len(both["message_ids"]) == 2


def test_of_two_homes_the_newer_holds_unless_it_was_said_in_passing(sessions: Turns) -> None:
    moved = sessions(
        [
            [("bob", "hi"), ("sue", "I live in Lampang")],
            [("eve", "and you?"), ("sue", "I live in Bangkok")],
        ]
    )
    assert told(moved) == ["I live in Bangkok"]
    joked = sessions(
        [
            *[[("bob", "hi"), ("sue", "I live in Lampang")]] * 4,
            [("eve", "and you?"), ("sue", "I live in Atlantis")],
        ]
    )
    assert told(joked) == ["I live in Lampang"]


def test_thai_and_mixed_statements_are_facts_too(sessions: Turns) -> None:
    turns = sessions(
        [
            [("bob", "หวัดดี"), ("sue", "ผมเป็นครูสอนภาษาอังกฤษที่เชียงใหม่ครับ")],
            [("bob", "ชอบอะไร"), ("sue", "เราชอบกินส้มตำมากเลยค่ะ 555")],
        ]
    )
    facts = told(turns)
    assert any("ครูสอนภาษาอังกฤษ" in text for text in facts)
    assert any("ส้มตำ" in text for text in facts)


def test_what_points_elsewhere_or_passes_is_no_fact(sessions: Turns) -> None:
    turns = sessions(
        [
            [("bob", "hi"), ("sue", "I love that one")],
            [("bob", "hi"), ("sue", "I am working at the library today")],
            [("bob", "hi"), ("sue", "I am so happy for my team")],
        ]
    )
    assert told(turns) == []


def test_a_history_without_statements_gives_an_empty_frame_of_the_right_form(
    sessions: Turns,
) -> None:
    empty = facts_of(sessions([[("bob", "hi"), ("sue", "hey!!")]]), "sue")
    assert empty.height == 0
    assert list(empty.columns) == list(FACTS)


def test_only_words_with_content_count() -> None:
    assert fact_words("I really don't like the new cats 555 hahaha") == ["cats"]
    assert fact_words("ผมชอบแมวมากครับ 555") == ["แมว"]
