"""Stems and BM25: by the published examples and by the formula done by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.retrieval.ranking.compounds import parts_of
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
        *("ฉัน", "ชอบ", "กินข้าว", "ข้าว", "กิน"),
        *("run", "friend"),
    ]


def test_a_thai_compound_is_found_by_the_words_within() -> None:
    assert terms_of("ข้อมูลขนาดใหญ่")[:4] == ["ข้อมูลขนาดใหญ่", "ขนาดใหญ่", "ข้อมูล", "ขนาด"]
    assert set(parts_of("รถไฟฟ้า")) == {"รถไฟ", "ไฟฟ้า", "รถ", "ไฟ", "ฟ้า"}
    assert parts_of("คอมพิวเตอร์") == parts_of("") == ()
    found = index(["ระบบข้อมูลขนาดใหญ่", "รถคันใหญ่", "hello"]).scores("ข้อมูล")
    assert found[0] > 0 == found[2] == found[1]


@given(st.text(alphabet=st.characters(min_codepoint=0x0E00, max_codepoint=0x0E7F), max_size=12))
def test_words_within_are_shorter_and_stand_in_the_compound(word: str) -> None:
    for part in parts_of(word):
        assert part in word
        assert 2 <= len(part) <= len(word) - 2


def test_rarity_is_what_a_full_coverage_adds_up_to() -> None:
    lexicon = index(["red apples", "green apples", "blue sky"])
    assert lexicon.coverage("green apples")[1] == pytest.approx(1)
    assert lexicon.rarity("apples") < lexicon.rarity("sky") < lexicon.rarity("zebra")
    assert lexicon.rarity("zebra") == pytest.approx(lexicon.rarest)
    assert lexicon.rarity("the of") == 0
    assert not lexicon.coverage("the of").any()


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
