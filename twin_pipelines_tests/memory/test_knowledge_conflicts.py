"""Of what cannot both be true the newer is current; what can be true together is left alone."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told import BEGAN, frame, said

from twin_pipelines.memory.consolidation.conflicts import root
from twin_pipelines.memory.consolidation.consolidate import with_words
from twin_pipelines.memory.consolidation.knowledge import STATEMENTS, TakenBack, knowledge_of
from twin_pipelines.settings import ImportanceWeights


def statements(*rows: dict[str, Any]) -> pl.DataFrame:
    details = pl.Struct({"gist": pl.List(pl.String), "bare": pl.String, "session_id": pl.String})
    told = frame(*rows).with_columns(pl.col("details").str.json_decode(details).struct.unnest())
    return with_words(told.select(list(STATEMENTS)))


def current(*rows: dict[str, Any], taken_back: TakenBack | None = None) -> dict[str, bool]:
    """Whether each thing said, in its typical wording, still holds."""
    told = statements(*rows)
    made = knowledge_of(told, ImportanceWeights(), taken_back=taken_back)
    single = made.states.filter(pl.col("status") == "active").join(told, on="memory_id")
    facts = pl.concat([frame.select("content", "valid_until") for frame in (single, made.memories)])
    return {content: until is None for content, until in facts.iter_rows()}


@pytest.mark.parametrize(
    ("kind", "older", "newer"),
    [
        ("Home", "I live in Provo", "I live in Chicago"),
        ("Home", "im living in Provo with my wife", "i just moved to new york city"),
        ("Home", "ผมอยู่ที่เชียงใหม่ครับ", "ผมย้ายไปอยู่ที่ขอนแก่นแล้วครับ"),
        ("Who I am", "I am 24", "I'm 25 years old"),
        ("Who I am", "ฉันอายุ 24 ปี", "ฉันอายุ 25 แล้วค่ะ"),
        ("Family and relations", "I am single", "I have a boyfriend"),
        ("Family and relations", "I have a girlfriend", "I just got married"),
        ("Family and relations", "ผมโสดครับ", "ผมมีแฟนแล้วครับ"),
        ("Work and study", "I work at a bakery", "I now work for Google"),
        ("Work and study", "I work as a waiter", "I work as a nurse now"),
        ("Work and study", "ผมทำงานที่ธนาคาร", "ผมทำงานที่โรงแรม"),
        ("Likes", "I love sushi", "I hate sushi"),
        ("Likes", "ฉันชอบแมว", "ฉันไม่ชอบแมวค่ะ"),
        ("Who I am", "I am vegetarian", "I am not vegetarian"),
    ],
)
def test_the_newer_of_two_that_cannot_both_be_true_is_current(
    kind: str, older: str, newer: str
) -> None:
    later = "Dislikes and fears" if "hate" in newer or "ไม่ชอบ" in newer else kind
    rows = said(older, 0, kind=kind), said(newer, 9, kind=later)
    assert current(*rows) == {older: False, newer: True}
    turned = said(older, 9, kind=kind), said(newer, 0, kind=later)
    assert current(*turned) == {older: True, newer: False}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("Home", "I live in Utah", "I used to live in Chicago"),
        ("Home", "I live in Provo Utah", "I live in Provo"),
        ("Home", "I live with my parents", "I live in Provo"),
        ("Home", "ผมเคยอยู่ที่เชียงใหม่", "ผมอยู่ที่กรุงเทพ"),
        ("Work and study", "I work at a bakery", "I work as a nurse"),
        ("Family and relations", "I have two brothers", "I have a dog"),
        ("Likes", "I love sushi", "I love rain"),
        ("Who I am", "I am not vegetarian", "I used to be vegetarian"),
        ("Who I am", "ผมไม่กินมังสวิรัติ", "ผมเคยกินมังสวิรัติ"),
        ("Likes", "I love cats", "I dont like cats that bite"),
        ("Who I am", "I am from Rome", "I am 24"),
    ],
)
def test_what_can_be_true_together_is_left_alone(kind: str, one: str, other: str) -> None:
    assert all(current(said(one, 0, kind=kind), said(other, 9, kind=kind)).values())


def test_the_older_keeps_the_time_until_which_it_held_and_what_replaced_it() -> None:
    old, new = said("I live in Provo", 0, kind="Home"), said("I live in Rome", 9, kind="Home")
    states = knowledge_of(statements(old, new), ImportanceWeights()).states
    rows = {row["memory_id"]: row for row in states.to_dicts()}
    moved = BEGAN + timedelta(days=9)
    first, second = rows[old["memory_id"]], rows[new["memory_id"]]
    assert (first["valid_from"], first["valid_until"]) == (BEGAN, moved)
    assert first["superseded_by"] == new["memory_id"]
    assert (second["valid_from"], second["valid_until"]) == (moved, None)
    assert first["status"] == second["status"] == "active"


def test_places_said_in_turns_or_in_one_session_are_no_move() -> None:
    utah, provo = "I live in Utah", "I live in Provo"
    in_turns = [said(utah, 0, kind="Home"), said(provo, 1, kind="Home"), said(utah, 2, kind="Home")]
    assert all(current(*in_turns).values())
    together = [said(utah, 0, kind="Home"), said(provo, 0, kind="Home")]
    assert all(current(*together).values())
    also = [*together, said(provo, 9, kind="Home")]
    assert all(current(*also).values())


def test_coming_back_to_a_liking_makes_it_current_again() -> None:
    rows = [
        said("I love sushi", 0),
        said("I hate sushi", 3, kind="Dislikes and fears"),
        said("I love sushi", 6),
    ]
    assert current(*rows) == {"I love sushi": True, "I hate sushi": False}


def test_other_peoples_facts_do_not_contradict_mine() -> None:
    rows = said("I am 24", 0, kind="Who I am"), said("I am 30", 9, kind="Who I am", about="bob")
    assert all(current(*rows).values())


def test_a_supersession_the_owner_took_back_is_not_made_again() -> None:
    old, new = said("I am 24", 0, kind="Who I am"), said("I am 25", 9, kind="Who I am")
    pair = (str(old["memory_id"]), str(new["memory_id"]))
    assert all(current(old, new, taken_back=TakenBack(supersessions={pair})).values())


@pytest.mark.parametrize(
    ("kind", "wordings"),
    [
        ("Work and study", ["I am studying industrial design", "my major is Industrial Design"]),
        ("Who I am", ["I am from Chiang Mai", "I'm originally from chiang mai"]),
        ("Likes", ["I love hiking", "i really like to hike"]),
        ("Likes", ["ฉันชอบกินส้มตำมากค่ะ", "ฉันชอบกินส้มตำมากๆ"]),
        ("Likes", ["ผมชอบ coffee มากครับ 555", "ผมชอบ coffee มาก"]),
    ],
)
def test_one_thing_in_other_words_is_one_fact(kind: str, wordings: list[str]) -> None:
    assert len(current(*(said(one, day, kind=kind) for day, one in enumerate(wordings)))) == 1


@pytest.mark.parametrize(
    ("kind", "wordings"),
    [
        ("Likes", ["I love cooking", "I love cookies"]),
        ("Who I am", ["I am a vegan", "I am from vegas"]),
        ("Work and study", ["I am a designer", "I want to be a designer"]),
        ("Home", ["I live in Salt Lake City", "I live in New York City"]),
        ("Family and relations", ["my mom is into it", "my mom is 6"]),
        ("Likes", ["I love cats", "I love my dogs"]),
        ("Likes", ["ฉันชอบแมว", "ฉันชอบหมา"]),
    ],
)
def test_what_only_sounds_alike_stays_apart(kind: str, wordings: list[str]) -> None:
    said_apart = current(*(said(one, day, kind=kind) for day, one in enumerate(wordings)))
    assert set(said_apart) == set(wordings)


def test_a_chain_of_small_changes_does_not_become_one() -> None:
    words = ["tea", "coffee", "juice", "water", "milk", "soup", "wine"]
    rows = [said(f"I like {a} and {b}", day) for day, (a, b) in enumerate(pairwise(words))]
    assert len(current(*rows)) == 6


def told_at_random(rng: random.Random) -> list[dict[str, Any]]:
    """Statements of few words over ten days, so that many say the same."""
    words = ["tea", "rain", "swimming", "old", "films", "ชา", "ฝน"]
    forms = [("Likes", "I love {}"), ("Dislikes and fears", "I hate {}"), ("Home", "I live in {}")]
    rows = []
    for number in range(40):
        kind, form = rng.choice(forms)
        content = form.format(" ".join(rng.sample(words, rng.randint(1, 3))))
        about = rng.choice(["sue", "bob"])
        rows.append(said(content, number % 10, kind=kind, about=about))
    return list({row["memory_id"]: row for row in rows}.values())


@given(st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_of_rows_does_not_matter_and_none_is_lost_or_counted_twice(
    rng: random.Random,
) -> None:
    rows = told_at_random(rng)
    told = statements(*rows)
    made = knowledge_of(told, ImportanceWeights())
    shuffled = statements(*rng.sample(rows, len(rows)))
    again = knowledge_of(shuffled, ImportanceWeights())
    assert again.memories.sort("memory_id").equals(made.memories.sort("memory_id"))
    assert again.states.sort("memory_id").equals(made.states.sort("memory_id"))
    held = made.memories["source_ids"].explode().to_list()
    single = made.states.filter(pl.col("status") == "active")["memory_id"].to_list()
    assert sorted([*held, *single]) == sorted(told["memory_id"])
    rows_made = made.memories.select("memory_id", "source_ids").iter_rows()
    present = {memory: frozenset(sources) for memory, sources in rows_made}
    assert knowledge_of(told, ImportanceWeights(), present).memories.equals(made.memories)


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        ("studying study studied studies", "studi"),
        ("dance dancing danced dances", "danc"),
        ("swimming swim swims", "swim"),
        ("designer designing designs", "design"),
        ("cats cat", "cat"),
        ("แมว", "แมว"),
        ("glass bus 24", None),
    ],
)
def test_roots_join_the_forms_of_a_word(words: str, stem: str | None) -> None:
    assert {root(word) for word in words.split()} == ({stem} if stem else set(words.split()))
