"""Stems and BM25: by the published examples and by the formula done by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from twin_pipelines.retrieval.ranking.lexical import index, terms_of
from twin_pipelines.retrieval.ranking.stems import stem


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("feed", "feed"),
        ("agreed", "agre"),
        ("sing", "sing"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("relational", "relat"),
        ("electrical", "electr"),
        ("adoption", "adopt"),
        ("controlling", "control"),
        ("roll", "roll"),
        ("anna's", "anna"),
        ("is", "is"),
        ("กิน", "กิน"),
        ("2023", "2023"),
    ],
)
def test_a_word_is_stripped_of_its_suffixes_as_porter_published(word: str, expected: str) -> None:
    assert stem(word) == expected


def test_thai_is_cut_into_words_and_english_stemmed_in_one_sentence() -> None:
    assert terms_of("ฉันชอบกินข้าว with my running friends") == [
        *("ฉัน", "ชอบ", "กินข้าว"),
        *("run", "friend"),
    ]


def test_scores_are_those_of_the_formula() -> None:
    lexicon = index(["red apples, red pears", "green apples", "blue sky"])
    lengths, mean = (4, 2, 2), 8 / 3
    apple = log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    red = log(1 + (3 - 1 + 0.5) / (1 + 0.5))

    def weight(idf: float, times: int, length: int) -> float:
        return idf * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean))

    expected = [
        weight(red, 2, lengths[0]) + weight(apple, 1, lengths[0]),
        weight(apple, 1, lengths[1]),
        0,
    ]
    assert np.allclose(lexicon.scores("a red, red apple"), expected)


def test_coverage_counts_what_no_text_holds_against_every_text() -> None:
    lexicon = index(["red apples", "green apples"])
    assert lexicon.coverage("red apples")[0] == pytest.approx(1.0)
    assert lexicon.coverage("red apples")[1] < 0.5
    assert lexicon.coverage("red apples zebra")[0] < 0.8


@pytest.mark.parametrize("query", ["", "the of and", "zebra", "🙂"])
def test_a_question_without_known_words_scores_nothing(query: str) -> None:
    lexicon = index(["red apples", "", "🙂"])
    assert not lexicon.scores(query).any()
    assert not lexicon.coverage(query).any()
    assert not index(["", ""]).scores("red").any()
