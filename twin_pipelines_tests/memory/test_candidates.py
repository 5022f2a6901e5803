"""What says the same is one candidate with all its evidence, and repetition makes it weigh more."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import polars as pl
import pytest

from twin_pipelines.memory.candidates import CANDIDATES, core_candidates_of
from twin_pipelines.memory.importance import WEIGHTS
from twin_pipelines.persona.statements import find_statements
from twin_pipelines.settings import Memory

Sessions = Callable[..., pl.DataFrame]


def candidates(turns: pl.DataFrame) -> pl.DataFrame:
    return core_candidates_of(find_statements(turns, "sue"))


def said(*texts: str) -> list[list[tuple[str, str]]]:
    return [[("bob", "tell me"), ("sue", text), ("bob", "ok")] for text in texts]


def test_one_thing_said_in_many_words_is_one_candidate(sessions: Sessions) -> None:
    turns = sessions(
        said(
            "I am studying industrial design",
            "Yeah I'm majoring in industrial design!",
            "im studying Industrial Design",
            "I am studying industrial design",
        )
    )
    (row,) = candidates(turns).to_dicts()
    assert row["content"] == "I am studying industrial design"
    assert row["sessions"] == 4
    spoken = turns.filter(pl.col("speaker") == "sue")
    assert row["message_ids"] == spoken["id"].to_list()
    assert (row["first_said_at"], row["last_said_at"]) == (
        spoken["sent_at"].min(),
        spoken["sent_at"].max(),
    )


def test_different_things_and_opposites_stay_apart(sessions: Sessions) -> None:
    turns = sessions(
        said(
            "I love cats", "I love my dogs", "I am vegetarian", "I am not vegetarian", "I hate cats"
        )
    )
    assert candidates(turns).height == 5


def test_a_chain_of_small_changes_does_not_become_one(sessions: Sessions) -> None:
    words = ["tea", "coffee", "juice", "water", "milk", "soup", "wine"]
    turns = sessions(said(*(f"I like {a} and {b}" for a, b in itertools.pairwise(words))))
    assert candidates(turns).height == 6


def test_saying_it_again_to_others_weighs_more_than_saying_it_twice_at_once(
    sessions: Sessions,
) -> None:
    twice = sessions(
        [[("bob", "so?"), ("sue", "I am from Rome"), ("bob", "ok"), ("sue", "I am from Rome")]]
    )
    again = sessions(said("I am from Rome", "I am from Rome"))
    (once,), (more,) = candidates(twice).to_dicts(), candidates(again).to_dicts()
    assert (once["sessions"], more["sessions"]) == (1, 2)
    assert more["importance"] > once["importance"]
    assert len(once["message_ids"]) == 2


def test_facts_of_life_said_twice_pass_the_default_threshold_and_things_said_once_do_not(
    sessions: Sessions,
) -> None:
    passing = Memory()
    twice = candidates(sessions(said("I am from Chiang Mai", "I am from Chiang Mai")))
    once = candidates(sessions(said("I am from Chiang Mai", "I love tea")))
    assert twice["importance"][0] >= passing.core_threshold
    assert once["sessions"].max() < passing.core_sessions


def test_passing_moments_weigh_less(sessions: Sessions) -> None:
    rows = candidates(sessions(said("I have a cousin in Rome", "I have a brother visiting today")))
    parts = {row["content"]: row["parts"]["self_reference"] for row in rows.to_dicts()}
    assert parts == {"I have a cousin in Rome": 1.0, "I have a brother visiting today": 0.5}


def test_what_the_partner_takes_up_and_what_was_asked_to_be_remembered_weighs_more(
    sessions: Sessions,
) -> None:
    turns = sessions(
        [
            [("sue", "I love owls"), ("bob", "owls! why owls?")],
            [("sue", "I love bats"), ("bob", "ok")],
            [("sue", "remember that I am allergic to nuts"), ("bob", "ok")],
        ]
    )
    parts = {row["content"]: row["parts"] for row in candidates(turns).to_dicts()}
    assert parts["I love owls"]["partner_reaction"] == pytest.approx(1.0)
    assert parts["I love bats"]["partner_reaction"] == 0
    assert parts["remember that I am allergic to nuts"]["explicit"] == 1


def test_importance_is_the_weighted_sum_of_its_parts(sessions: Sessions) -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    for row in candidates(sessions(said("I LOVE owls!!", "I am 24", "ฉันชอบกินส้มตำ"))).to_dicts():
        weighed = sum(WEIGHTS[name] * part for name, part in row["parts"].items())
        assert row["importance"] == pytest.approx(weighed, abs=2e-3)
        assert all(0 <= part <= 1 for part in row["parts"].values())


def test_the_identity_stays_when_it_is_said_again(sessions: Sessions) -> None:
    first = candidates(sessions(said("I am from Rome")))
    later = candidates(sessions(said("I am from Rome", "well I'm from Rome", "im from Rome")))
    assert first["memory_id"].to_list() == later["memory_id"].to_list()


def test_thai_statements_are_grouped_too(sessions: Sessions) -> None:
    turns = sessions(said("ฉันชอบกินส้มตำมากค่ะ", "ฉันชอบกินส้มตำมากๆ", "ฉันชอบเที่ยวทะเลหน้าร้อน"))
    rows = candidates(turns)
    assert sorted(rows["sessions"].to_list()) == [1, 2]


def test_nothing_said_gives_nothing(sessions: Sessions) -> None:
    nothing = candidates(sessions([]))
    assert nothing.is_empty()
    assert dict(nothing.schema) == CANDIDATES
