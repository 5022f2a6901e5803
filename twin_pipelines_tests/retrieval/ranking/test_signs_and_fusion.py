"""Turns are judged by the signs the module names, and ordered by the shipped weights."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from twin_pipelines.retrieval.ranking.features import (
    NAMES,
    Candidates,
    History,
    build_history,
    candidates,
    standardised,
)
from twin_pipelines.retrieval.ranking.fusion import WEIGHTS, ranked
from twin_pipelines.retrieval.ranking.views import with_views
from twin_pipelines_tests.retrieval.ranking.made_history import WordEncoder, made_turns

ENCODER = WordEncoder()


@pytest.fixture(scope="module")
def history() -> History:
    return build_history(made_turns(), ENCODER)


def found(history: History, question: str, asked_on: date | None = None) -> Candidates:
    return candidates(history, question, ENCODER.encode([question])[0], asked_on)


def sign(judged: Candidates, name: str) -> list[float]:
    values: list[float] = judged.signs[:, NAMES.index(name)].tolist()
    return values


def test_views_hold_speaker_date_and_picture_and_end_with_the_session() -> None:
    viewed = with_views(made_turns())
    assert viewed["meta"][1] == (
        "Otto: I went sailing on the lake with my brother. [a boat on a lake] (4 March 2024)"
    )
    assert viewed["ctx"][4].splitlines() == [
        "Otto: What kind of bread?",
        "Mira: Rye with walnuts, from my grandmother's recipe.",
        "(4 March 2024)",
    ]


def test_every_sign_has_a_shipped_weight() -> None:
    assert tuple(WEIGHTS) == NAMES


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What did Otto do with his brother on the lake?", 1),
        ("What bread did Mira bake from a recipe?", 4),
        ("Who teaches Mira the cello on Thursday evenings?", 8),
        ("What did Otto's brother buy in May 2024?", 5),
    ],
)
def test_the_turn_that_answers_is_among_the_first(
    history: History, question: str, answer: int
) -> None:
    assert answer in ranked(found(history, question))[0][:3]


def test_speakers_are_told_apart_only_when_one_is_named(history: History) -> None:
    one = found(history, "What does Mira play?")
    assert sign(one, "speaker") == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert sign(one, "other_speaker") == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert not any(sign(found(history, "What do Mira and Otto like?"), "speaker"))


def test_days_near_the_time_asked_about_count(history: History) -> None:
    may = sign(found(history, "What was new in May 2024?"), "date")
    assert may[:5] == pytest.approx([0] * 5, abs=0.01)
    assert may[5:] == [1] * 4
    relative = sign(found(history, "What did we say last month?", date(2024, 4, 10)), "date")
    assert relative[0] == 1 > relative[8]
    assert not any(sign(found(history, "What was new?"), "date"))


def test_neighbours_never_cross_a_session(history: History) -> None:
    assert history.before.tolist() == [0, 0, 1, 2, 3, 5, 5, 6, 7]
    assert history.after.tolist() == [1, 2, 3, 4, 4, 6, 7, 8, 8]
    answers = sign(found(history, "anything"), "answers")
    assert answers == [0, 1, 0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("question", ["", "🙂", "zebra", "ใครชอบเรือ"])
def test_a_question_that_shares_nothing_still_orders_all(history: History, question: str) -> None:
    rows, scores = ranked(found(history, question))
    assert sorted(rows) == list(range(9))
    assert np.isfinite(scores).all()
    assert (np.diff(scores) <= 0).all()


def test_a_history_of_one_turn_can_be_searched() -> None:
    only = build_history(made_turns().head(1), ENCODER)
    assert ranked(found(only, "hello?"))[0].tolist() == [0]


def test_a_column_all_alike_says_nothing() -> None:
    scores = standardised(np.array([[1, 5], [3, 5]], dtype=np.float32))
    assert scores.tolist() == [[-1, 0], [1, 0]]


def test_an_empty_caption_is_no_picture() -> None:
    empty = made_turns().with_columns(caption=pl.lit("", dtype=pl.String))
    assert "[" not in "".join(with_views(empty)["meta"])
