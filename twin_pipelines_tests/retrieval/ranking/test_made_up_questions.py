"""Questions made up about turns: answerable, half remembered, the same at each run."""

from __future__ import annotations

import random

import numpy as np
import polars as pl

from twin_pipelines.retrieval.ranking.features import NAMES
from twin_pipelines.retrieval.ranking.fit import of_like_meaning, regression, strangers
from twin_pipelines.retrieval.ranking.questions import half_remembered, made_questions
from twin_pipelines.retrieval.ranking.views import TURNS
from twin_pipelines.sources import chitchat
from twin_pipelines_tests.retrieval.ranking.made_history import WordEncoder, made_turns


def many_turns() -> pl.DataFrame:
    longer = pl.col("text") + " I really enjoyed sailing, baking, walking and reading yesterday."
    return pl.concat([made_turns().with_columns(longer)] * 6)


def test_questions_name_a_speaker_and_the_turn_they_were_made_of() -> None:
    turns = many_turns()
    made = made_questions(turns, 50, {}, random.Random(1))
    assert len(made) == 50
    for question in made:
        assert question.text.endswith("?")
        assert "Mira" in question.text or "Otto" in question.text
        assert all(0 <= row < turns.height for row in question.rows)
    assert made == made_questions(turns, 50, {}, random.Random(1))
    assert any("2024" in q.text or "weeks ago" in q.text or " in Ma" in q.text for q in made)


def test_turns_that_tell_nothing_are_not_asked_about() -> None:
    silent = made_turns().with_columns(text=pl.lit("ok"))
    assert made_questions(silent, 50, {}, random.Random(1)) == []


def test_what_is_asked_for_is_no_word_of_the_question() -> None:
    told = "I finally planted three cherry trees behind the barn yesterday"
    turns = made_turns().with_columns(text=pl.lit(told))
    asked = {one.text for one in made_questions(turns, 200, {}, random.Random(1))}
    when = [text for text in asked if text.startswith(("When", "How long ago"))]
    many = [text for text in asked if text.startswith("How many")]
    assert when and not any("yesterday" in text for text in when)
    assert many and not any("three" in text for text in many)


def test_thai_turns_are_asked_about_in_thai() -> None:
    told = "เมื่อวานฉันไปกินก๋วยเตี๋ยวเรือที่อยุธยากับน้องสาว"
    thai = made_turns().with_columns(text=pl.lit(told))
    asked = made_questions(thai, 30, {}, random.Random(1))
    assert asked
    for question in asked:
        assert "Mira" in question.text or "Otto" in question.text
        assert "ฉัน" not in question.text
    words = " ".join(question.text for question in asked)
    assert "อยุธยา" in words or "ก๋วยเตี๋ยว" in words
    silent = made_turns().with_columns(text=pl.lit("วันนี้จะไปกินข้าวที่ไหนกับใครดีเหรอ"))
    assert made_questions(silent, 30, {}, random.Random(1)) == []


def test_candidates_of_one_question_compete_with_each_other_alone() -> None:
    rng = np.random.default_rng(1)
    signs = [rng.normal(size=(20, len(NAMES))).astype(np.float32) for _ in range(40)]
    answers = [one[:, 2] == one[:, 2].max() for one in signs]
    plain = regression(signs, answers)
    shifted = [one + np.float32(5 * place) for place, one in enumerate(signs)]
    for name, weight in regression(shifted, answers).items():
        assert abs(weight - plain[name]) < 0.05
    assert max(plain, key=lambda name: plain[name]) == NAMES[2]
    against = regression(signs, [one[:, 0] == one[:, 0].min() for one in signs])
    assert against[NAMES[0]] == 0.0, "more of the words never speaks against a turn"
    unanswered = regression(signs[:1], [np.zeros(20, dtype=bool)])
    assert set(unanswered.values()) == {0.0}


def test_some_words_are_lost_and_some_said_otherwise() -> None:
    words = ["the", *["bread"] * 200]
    kept = half_remembered(words, {"bread": ["loaf"]}, random.Random(1)).split()
    assert kept[0] == "the"
    assert 40 < kept.count("loaf") < 100
    assert 30 < kept.count("bread") < 90


def test_words_of_like_meaning_are_never_forms_of_the_word() -> None:
    texts = ["bread breads loaf"] * 20
    assert set(of_like_meaning(texts, WordEncoder())) == {"bread", "breads", "loaf"}
    assert "breads" not in of_like_meaning(texts, WordEncoder())["bread"]


def test_the_regression_finds_the_sign_that_tells() -> None:
    rng = np.random.default_rng(1)
    signs = [rng.normal(size=(40, len(NAMES))).astype(np.float32) for _ in range(30)]
    weights = regression(signs, [one[:, 1] > 1 for one in signs])
    assert max(weights, key=lambda name: weights[name]) == NAMES[1]


def test_histories_are_of_strangers_and_two_names() -> None:
    found = strangers(2, 200)
    assert [dict(turns.schema) for turns in found] == [TURNS, TURNS]
    assert all(turns["speaker"].n_unique() == 2 for turns in found)
    reserved = set(
        chitchat.senders()["speaker"][chitchat.SUBJECT_RANKS : chitchat.FIRST_STRANGER - 1]
    )
    chats = {chat for turns in found for chat in turns["session"]}
    rows = chitchat.messages().filter(pl.col("chat").cast(pl.String).is_in(list(chats)))
    assert not reserved & set(rows["speaker"].cast(pl.String))
