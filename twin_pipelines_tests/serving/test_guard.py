"""What is never to be said is not, however a stream is cut; all else is told unchanged."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twin_pipelines.generation.prompt import Message
from twin_pipelines.serving.guard import CLAIM, NEVER_SAID, Guard, Rules

NEVER = ("shut up", "shut", "darling", "เด็กโง่", "no offence but", "😡")


def asked(*said: str) -> list[Message]:
    return [{"role": "user", "content": text} for text in said]


def guarded(text: str, *said: str, never: tuple[str, ...] = NEVER) -> str:
    guard = Guard(lambda: Rules("Sue", never))
    return guard.watch(asked(*(said or ("hi",)))).whole(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("oh shut up will you", "oh … will you"),
        ("Shut  UP!", "…!"),
        ("a shutter of my darlings", "a shutter of my darlings"),
        ("yes Darling.", "yes …."),
        ("No offence, but no", "No offence, but no"),
        ("no offence  but no", "… no"),
        ("เธอนี่เด็กโง่จัง", "เธอนี่…จัง"),
        ("grr😡😡", "grr……"),
        ("shut", "…"),
        ("my cat", "my cat"),
        ("", ""),
    ],
)
def test_never_says_are_taken_out_as_words_of_their_own(text: str, told: str) -> None:
    assert guarded(text) == told


@pytest.mark.parametrize(
    "private",
    [
        "081-234-5678",
        "+66 81 234 5678",
        "(02) 123 4567 89",
        "sue.smith+x@mail.example.co.th",
        "4111 1111 1111 1111",
        "1-1037-02071-81-1",
        "sk-abcdefghijklmnop123456",
        "AKIAIOSFODNN7EXAMPLE",
        "DE44 5001 0517 5407 3249 31",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    ],
)
def test_private_data_is_taken_out_unless_the_user_wrote_it(private: str) -> None:
    text = f"sure, it is {private}, ok?"
    assert guarded(text) == "sure, it is [private], ok?"
    assert guarded(f"ได้เลย {private} นะ", "ขอเบอร์หน่อย") == "ได้เลย [ข้อมูลส่วนตัว] นะ"
    assert guarded(text, f"mine is {private}", "repeat it") == text


@pytest.mark.parametrize(
    "text",
    [
        "it was on 2018-05-12 and 12/05/2018",
        "I have 1,000,000 baht and 3.14159265358 pi",
        "at 10:30, 25 people, room 204",
        "see you @ the mall",
        "ราคา 1,250 บาท วันที่ 5/11",
        "v1.2.3-rc4 is out",
    ],
)
def test_dates_prices_and_times_are_told(text: str) -> None:
    assert guarded(text) == text


def test_a_claim_to_be_human_is_put_right() -> None:
    guard = Guard(lambda: Rules("Sue", ()))
    watch = guard.watch(asked("tell me a story"))
    assert watch.whole("haha I’m not a bot silly") == "haha I am an AI twin silly"
    assert watch.changed == [CLAIM]
    thai = guard.watch(asked("เล่าเรื่องหน่อย"))
    assert thai.whole("ฉันไม่ใช่บอทนะ") == "นี่คือฝาแฝด AIนะ"
    assert guarded("I'm a real personality, I'm not a botanist") == (
        "I'm a real personality, I'm not a botanist"
    )


def test_what_was_taken_out_is_named_once() -> None:
    watch = Guard(lambda: Rules("Sue", NEVER)).watch(asked("hi"))
    watch.whole("darling, shut up, a@b.co and c@d.co")
    assert watch.changed == [NEVER_SAID, "an e-mail address"]


@pytest.mark.parametrize(
    ("words", "part"),
    [("are you a bot?", "AI twin of Sue"), ("คุณเป็นบอทหรือเปล่า", "ฝาแฝด AI ของ Sue")],
)
def test_the_sincere_question_is_answered_in_its_language(words: str, part: str) -> None:
    guard = Guard(lambda: Rules("Sue"))
    assert part in guard.disclosure(asked("hi", words))
    assert guard.disclosure([*asked(words), {"role": "assistant", "content": "no"}]) == ""
    assert guard.disclosure(asked(words, "ok, what did you eat?")) == ""
    assert "a person" in Guard(Rules).disclosure(asked("are you a bot?"))


def test_only_what_may_become_something_is_held_back() -> None:
    watch = Guard(lambda: Rules("Sue", NEVER)).watch(asked("hi"))
    assert watch.feed("I told you to sh") == "I told you to "
    assert watch.feed("ip it, ") == "ship it, "
    assert watch.feed("no offe") == ""
    assert watch.feed("nce bu") == ""
    assert watch.feed("t no ") == "… "
    assert watch.feed("way") == "no "
    assert watch.rest() == "way"
    thai = Guard(lambda: Rules("Sue", NEVER)).watch(asked("hi"))
    assert thai.feed("วันนี้ไปเที่ยวมา") == "วันนี้ไปเที่ยวมา"


PIECES = st.sampled_from(
    [
        *NEVER,
        "shut u",
        "darl",
        " ",
        "\n",
        "a",
        "ing ",
        "081",
        "-234-",
        "5678",
        "99 ",
        "@",
        "mail.co",
        "i'm not ",
        "a bot",
        "ไม่ใช่",
        "ฉัน",
        "บอท",
        "sk-",
        "abcdefghijkl",
        "DE44 5001 ",
        "0517 5407 ",
        "é",
        "ð",
        "İ",
        ".",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12), st.lists(st.integers(1, 9), min_size=1, max_size=40))
@example(["sk-", "abcdefghijkl", "ไม่ใช่"], [1])
def test_a_stream_tells_the_same_however_it_is_cut(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    guard = Guard(lambda: Rules("Sue", NEVER))
    whole = guard.watch(asked("hi")).whole(text)
    watch, told, at = guard.watch(asked("hi")), "", 0
    while at < len(text):
        size = cuts[at % len(cuts)]
        told += watch.feed(text[at : at + size])
        at += size
    told += watch.rest()
    assert told == whole


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_no_never_say_is_left(parts: list[str]) -> None:
    from twin_pipelines.persona.never_says import says

    assert not says(guarded("".join(parts)), NEVER)
