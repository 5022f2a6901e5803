"""A situation is told from what calls for an answer first, in English and in Thai."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.persona.replies.moves import MOVES, moves_of
from twin_pipelines.persona.replies.situations import SITUATIONS, situation


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("you're wrong and rude", "conflict"),
        ("ฉันโกรธเธอแล้วนะ", "conflict"),
        ("My dog died last week", "sad news"),
        ("I’m so stressed about everything", "sad news"),
        ("วันนี้เหนื่อยมากเลยค่ะ", "sad news"),
        ("สอบตกอีกแล้ว 😭", "sad news"),
        ("I got the job!!", "good news"),
        ("I'm so excited for the weekend", "good news"),
        ("เย้ สอบผ่านแล้วค่ะ", "good news"),
        ("love you so much", "affection"),
        ("คิดถึงจังเลย 💜", "affection"),
        ("Good night! sweet dreams", "farewell"),
        ("I gotta go, talk to you later", "farewell"),
        ("ฝันดีนะคะ", "farewell"),
        ("Hey! How are you?", "greeting"),
        ("สวัสดีครับ", "greeting"),
        ("กินข้าวหรือยัง", "greeting"),
        ("I get a traceback from python", "code"),
        ("the server crashes and the query is slow", "code"),
        ("ช่วยดูโค้ดนี้หน่อยค่ะ", "code"),
        ("can you help me with my essay", "request"),
        ("ช่วยบอกหน่อยนะคะ", "request"),
        ("Where do you live", "question"),
        ("haha what do you do for fun?", "question"),
        ("ไปไหนมั้ย", "question"),
        ("thanks so much!", "thanks"),
        ("ขอบคุณมากค่ะ", "thanks"),
        ("sorry, my bad", "apology"),
        ("ขอโทษนะ", "apology"),
        ("you are so sweet", "compliment"),
        ("เก่งมากเลย", "compliment"),
        ("hahaha", "joke"),
        ("5555+", "joke"),
        ("yeah exactly", "assent"),
        ("ใช่ค่ะ", "assent"),
        ("the meeting is at five", "other"),
        ("", "other"),
    ],
)
def test_the_first_thing_that_calls_for_an_answer_names_the_situation(
    message: str, expected: str
) -> None:
    assert situation(message) == expected


def test_only_a_short_message_is_a_greeting_a_farewell_or_a_yes() -> None:
    long = "we were at the lake with my whole family and then we had dinner by the old mill there"
    assert situation(f"hi, {long}") == "other"
    assert situation(f"yeah {long}") == "other"
    assert situation(f"good night, {long} {long}") == "other"


def test_the_last_sentences_of_a_long_turn_tell_what_it_calls_for() -> None:
    told = "I'm so sad. But then we ate. It was good. We had soup. "
    assert situation(f"{told}Do you like soup?") == "question"
    assert situation(f"{told}Thanks for the soup!") == "thanks"


def test_leaving_for_something_is_no_farewell_and_hearing_bad_news_no_apology() -> None:
    assert situation("I have to go to work") != "farewell"
    assert situation("sorry to hear that") != "apology"


@pytest.mark.parametrize(
    ("reply", "moves"),
    [
        ("Oh no, I'm sorry to hear that. What happened?", ["sympathise", "ask back"]),
        ("Congrats! How does it feel?", ["congratulate", "ask back"]),
        ("Haha yeah. I love owls", ["agree", "tell of themselves"]),
        ("What do you mean?", ["ask back"]),
        ("You should try the red one", ["advise"]),
        ("No worries, it is fine", ["reassure"]),
        ("ไม่เป็นไรค่ะ", ["reassure"]),
        ("let me check the log", ["offer help"]),
        ("เสียใจด้วยนะคะ\nสู้ๆ", ["sympathise", "encourage"]),
        ("เดี๋ยวน้องดูให้ค่ะ", ["offer help"]),
        ("5555", ["laugh"]),
        ("the sky", ["comment"]),
        ("", []),
    ],
)
def test_a_reply_is_a_row_of_moves(reply: str, moves: list[str]) -> None:
    assert moves_of(reply) == moves


@given(st.text(max_size=200))
def test_any_text_has_one_situation_and_known_moves(text: str) -> None:
    assert situation(text) in SITUATIONS
    found = moves_of(text)
    assert set(found) <= set(MOVES)
    assert len(found) == len(set(found))
