"""Only what tells something lasting about the subject is taken for a self-statement."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory.importance import KIND_WEIGHT
from twin_pipelines.persona.statements.find import (
    STATEMENTS,
    StatementFinder,
    Told,
    find_statements,
    split_sentences,
)
from twin_pipelines.persona.statements.patterns import ENGLISH, KINDS, THAI

Sessions = Callable[..., pl.DataFrame]


def told(text: str, *names: str) -> Told | None:
    normal = pl.DataFrame({"text": [text]}).select(normal_text(pl.col("text"))).item()
    return StatementFinder(names)(text, normal)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("my name is Sue", "Who I am"),
        ("Yeah, I am 24 years old", "Who I am"),
        ("im from south carolina", "Who I am"),
        ("I grew up in a small town", "Who I am"),
        ("I'm an introvert", "Who I am"),
        ("I live in Bangkok with my two cats", "Home"),
        ("We- I mean I moved to Utah last year", None),
        ("I moved to Utah last year", "Home"),
        ("well I'm studying industrial design", "Work and study"),
        ("I'm a computer science major", "Work and study"),
        ("I work as a part time tutor", "Work and study"),
        ("I have an older sister", "Family and relations"),
        ("My mom is from Colombia", "Family and relations"),
        ("I am the oldest, yes!", "Family and relations"),
        ("I believe in God", "Values and beliefs"),
        ("honesty is important to me", "Values and beliefs"),
        ("I really love country swing", "Likes"),
        ("My favorite food is khao soi", "Likes"),
        ("I can't stand raw meat", "Dislikes and fears"),
        ("im afraid of spiders", "Dislikes and fears"),
        ("I miss my grandma's cooking", "Feelings"),
        ("I have always wanted to visit Japan", "Plans and promises"),
        ("I promise to call my brother", "Plans and promises"),
        ("I have a math test tomorrow", "Plans and promises"),
        ("we are flying to Peru next week", "Plans and promises"),
        ("พรุ่งนี้ต้องไปหาหมอค่ะ", "Plans and promises"),
        ("จะไปเชียงใหม่อาทิตย์หน้าครับ", "Plans and promises"),
        ("สัญญาว่าจะโทรหาทุกวันนะคะ", "Plans and promises"),
        ("ชอบกินส้มตำมากค่ะ 555", "Likes"),
        ("I love ส้มตำ มากค่ะ 💜", "Likes"),
        ("I've never been to Africa", "Habits and skills"),
        ("I play the piano every morning", "Habits and skills"),
        ("I never eat meat", "Habits and skills"),
        ("Remember that I'm allergic to peanuts", "Asked to be remembered"),
        ("ฉันชอบกินส้มตำมากค่ะ", "Likes"),
        ("ผมทำงานเป็นวิศวกรที่กรุงเทพ", "Work and study"),
        ("หนูกลัวผีมากเลย", "Dislikes and fears"),
        ("ผมไม่ชอบผักชี", "Dislikes and fears"),
        ("แม่ของฉันเป็นครูสอนภาษาไทย", "Family and relations"),
        ("ฉันเกิดที่เชียงใหม่", "Who I am"),
        ("ฉันอยู่ที่เชียงใหม่กับแม่", "Home"),
        ("ผมเชื่อในความซื่อสัตย์", "Values and beliefs"),
        ("หนูสัญญาว่าจะดูแลพี่ตลอดไป", "Plans and promises"),
        ("ฉันคิดถึงคุณยายมาก", "Feelings"),
        ("ฉันตื่นตีห้าทุกวัน", "Habits and skills"),
        ("จำไว้นะคะว่าฉันแพ้กุ้ง", "Asked to be remembered"),
    ],
)
def test_self_statements_are_found_with_their_kind(text: str, kind: str | None) -> None:
    found = told(text)
    assert (found.kind if found else None) == kind


@pytest.mark.parametrize(
    "text",
    [
        "do I like pizza?",
        "I like pizza, do you?",
        "if I was rich I would live in Paris",
        "I would love to be a doctor",
        "I wish I had a dog",
        "maybe I love him",
        '"I love you" she said',
        "She said I live in Rome",
        "I'm dead 😂",
        "jk I hate cats",
        "lol I love cats",
        "I love it",
        "I like that",
        "I love how you think",
        "I miss you",
        "I love my",
        "I like making it",
        "I went to high school with her",
        "I want to visit there one day",
        "I love the smell",
        "I have kept to a schedule until next week",
        "I've been driving around all day",
        "my dad is just like there",
        "I would never have guessed",
        "พรุ่งนี้ฝนจะตกหนัก",
        "ชอบไหมคะ",
        "my whole family is",
        "hello there friend",
        "how are you doing today",
        "I am",
        "I like pizza " + "and more pizza " * 20,
        "ถ้าฉันรวยฉันจะชอบซื้อบ้าน",
        "คุณคิดว่าฉันชอบไหม",
        "เค้าบอกว่าฉันชอบเธอ",
        "วันนี้อากาศดี",
        "",
    ],
)
def test_questions_hypotheses_quotes_jokes_and_small_talk_are_not(text: str) -> None:
    assert told(text) is None


def test_those_who_speak_of_themselves_by_name_are_understood() -> None:
    assert told("Angela loves coding in the evening") is None
    assert told("Angela love coding in the evening", "Angela").kind == "Likes"
    assert told("I'm Angela, good evening everyone", "Angela").kind == "Who I am"
    assert told("น้อง Angela ชอบเขียนโค้ดตอนกลางคืน", "Angela").kind == "Likes"
    assert told("น้อง Angela ชอบเขียนโค้ดตอนกลางคืน") is None


def test_sentences_end_at_marks_lines_and_thai_particles_but_not_after_titles() -> None:
    assert split_sentences("I like tea. You?\nOk… fine") == ["I like tea.", "You?", "Ok…", "fine"]
    assert split_sentences("ชอบกินส้มตำค่ะ แล้วก็ไก่ย่าง") == ["ชอบกินส้มตำค่ะ", "แล้วก็ไก่ย่าง"]
    assert split_sentences("I love Dr. Who") == ["I love Dr. Who"]
    assert split_sentences("\n \n") == []


def test_only_the_subjects_sentences_count_with_what_was_answered(sessions: Sessions) -> None:
    turns = sessions(
        [
            [("bob", "I love cats"), ("sue", "Hi!\nI love dogs"), ("bob", "which dogs?")],
            [("sue", "I live in Rome"), ("sue", "I hate Mondays")],
        ]
    )
    found = find_statements(turns, "sue")
    assert found["text"].to_list() == ["I love dogs", "I live in Rome", "I hate Mondays"]
    assert found["answer"].to_list() == ["which dogs?", None, None]
    assert found["message_ids"].to_list()[0] == turns["raw_ids"][1].to_list()
    assert found["gist"].to_list()[0] == ["dogs"]


def test_an_empty_history_holds_no_statements(sessions: Sessions) -> None:
    assert dict(find_statements(sessions([]), "sue").schema) == STATEMENTS
    assert find_statements(sessions([[("bob", "I love cats")]]), "sue").is_empty()


def test_every_kind_has_both_languages_and_a_weight() -> None:
    assert {kind for kind, _ in THAI} == set(KINDS) == set(KIND_WEIGHT)
    assert len(ENGLISH) == len(set(KINDS))


@given(st.text(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_without_failing(text: str) -> None:
    for sentence in split_sentences(text):
        found = told(sentence)
        assert found is None or found.gist
