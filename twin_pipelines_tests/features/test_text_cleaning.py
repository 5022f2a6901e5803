"""Cleaning removes what nobody sees and keeps what somebody wrote."""

from __future__ import annotations

import re
import unicodedata

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twin_pipelines.features.text import clean_texts, has_content

TRICKY = st.sampled_from(
    [
        *"\u200b\u200c\u200d\ufeff\u00ad\u2060\u202e\u200e\ufe0f\u034f\U000e0067\U000e007f",
        *"\x00\x07\x1b\x7f\x85\u2028\u2029\u00a0\u3000\t\r\n\v\f &;#",
        *"👨👩👧❤🏽🏴🇹🇭♂é\u0301\u0e4d\u0e32\u0e49\u0e40\u0e41\u0e33กนมยแ",
        *"يمخ\u0915\u094d\u0937\u037e\u1fef\u212b\u2126ﬁ",
        "&amp;",
        "&lt;",
        "&#8203;",
        "&#x200d;",
        "&am",
        "p;",
        "&nbsp;",
        "lt;",
    ]
)
TEXTS = st.lists(
    st.one_of(TRICKY, st.text(st.characters(exclude_categories=["Cs"]), max_size=4)), max_size=12
).map("".join)


def clean(text: str) -> str:
    return clean_texts(pl.Series("text", [text], dtype=pl.String))[0]


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=4))
@example(["&amp;amp;lt;", "&am\u200bp;lt;", "&amp\u037e"])
@example(["👨\u200d\u200d👩", "👨\u200d\u200b👩", "e\u200b\u0301"])
@example(["\u0e40\u0e40\u0e40", "\u0e4d\u0e49\u0e32", "\u0e49\u0e4d\u0e32"])
def test_cleaning_twice_changes_nothing_more(texts: list[str]) -> None:
    once = clean_texts(pl.Series("text", texts, dtype=pl.String))
    assert clean_texts(once).to_list() == once.to_list()


@settings(deadline=None)
@given(TEXTS)
def test_clean_text_is_composed_and_without_control_characters(text: str) -> None:
    cleaned = clean(text)
    assigned = all(unicodedata.category(character) != "Cn" for character in cleaned)
    assert not assigned or unicodedata.is_normalized("NFC", cleaned)
    assert not [c for c in cleaned if unicodedata.category(c) == "Cc" and c != "\n"]
    assert not set("\u200b\ufeff\u2060\u00ad\u202e\u200e") & set(cleaned)
    assert not re.search(r"[^\S \n]|  | \n|\n |\n\n\n|^\s|\s\Z", cleaned)


@settings(deadline=None)
@given(TEXTS)
def test_every_letter_and_digit_survives(text: str) -> None:
    """Nothing that could be read is lost: compared without marks, which composing may move."""

    def letters(value: str) -> list[str]:
        known = unicodedata.normalize("NFD", value).replace("\u0e40\u0e40", "\u0e41")
        return [c for c in known if unicodedata.category(c)[0] in "LN" and c not in "\u0e32\u0e33"]

    if "&" not in text and "\u0e40" not in text:
        assert letters(clean(text)) == letters(text)


@pytest.mark.parametrize(
    "text",
    [
        "น้ำใจคนไทย เก่งมาก ครับผม",
        "ที่นี่มีผู้ใหญ่กี่คน ปั๊มน้ำมันอยู่ไหน",
        "กำลังทำอยู่ค่ะ 5555",
        "แม่เจ้า โอ้โห",
        "👨‍👩‍👧‍👦 ครอบครัว",
        "❤️‍🔥 🏳️‍🌈 👩🏽‍💻 👁️‍🗨️ 🧑‍🤝‍🧑",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 🇹🇭 1️⃣",
        "ฉันรัก you มาก 🥰",
        "می‌خواهم بروم",
        "क्‍ष श्री",
        "first line\nsecond line\n\nafter a pause",
        "AT&T ?a=1&copy=2&b R&D &nosuch; &;",
        "¯\\_(ツ)_/¯ :-) <3 C:\\new\\table",
    ],
)
def test_what_is_meant_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301", "café"),
        ("a\x00b\x07c\x1b[0m", "abc[0m"),
        ("\ufeffhello\u200b wor\u00adld\u200e", "hello world"),
        ("ไป\u200bโรงเรียน", "ไปโรงเรียน"),
        ("\u202eevil\u202c", "evil"),
        ("a\u200db\u200d \u200d👍\u200d", "ab 👍"),
        ("x\U000e0067\U000e007fy", "xy"),
        ("Tom &amp; Jerry &lt;3 &#39;ok&#39; &hellip;", "Tom & Jerry <3 'ok' …"),
        ("&amp;amp;quot;twice&amp;amp;quot;", '"twice"'),
        ("a&nbsp;&nbsp;b&#8203;c", "a bc"),
        ("&#0;&#xD800;&#x110000;x", "\ufffd\ufffd\ufffdx"),
        ("  a \t\u00a0 b\u3000c  ", "a b c"),
        ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
        ("a \n\n \n\n b\n", "a\n\nb"),
        ("\ufffc", ""),
        ("นํา น้ํา นํ้า เเม่", "นำ น้ำ น้ำ แม่"),
    ],
)
def test_what_nobody_sees_goes(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", False),
        ("\ufe0f", False),
        ("\u3164\u2800", False),
        (".", True),
        ("👍", True),
        ("5", True),
        ("ก", True),
        ("\uf8ff", True),
        ("\U0001fbff", True),
        ("\u200d", False),
    ],
)
def test_blank_messages_are_known_by_what_they_show(text: str, content: bool) -> None:
    frame = pl.DataFrame({"text": [text]})
    assert frame.select(has_content(pl.col("text"))).item() is content


def test_no_texts_are_no_problem() -> None:
    assert clean_texts(pl.Series("text", [], dtype=pl.String)).to_list() == []
