"""Mixed Thai and English is normal, and one brand name does not make a text mixed."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.features.language import LANGUAGES, count_words, detect_languages


def series(*texts: str) -> pl.Series:
    return pl.Series("text", texts, dtype=pl.String)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("how are you?", "en"),
        ("k", "en"),
        ("I’m fine 😀", "en"),
        ("café", "en"),
        ("สวัสดีค่ะ ทำอะไรอยู่", "th"),
        ("5555", "none"),
        ("5555 ตลกมาก", "th"),
        ("ตลกhaha 555", "th"),
        ("ค่ะ lol", "th"),
        ("ใช้ iPhone อยู่", "th"),
        ("เปิด LINE ดูหน่อย", "th"),
        ("ติด COVID19 แล้ว", "th"),
        ("ไปดู Harry Potter มาสนุกมากเลย", "th"),
        ("ดู https://example.com/some/path ครับ", "th"),
        ("ดูhttps://example.com/some/pathครับ", "th"),
        ("ส่งมาที่ someone@example.com นะ", "th"),
        ("@somebody มายัง", "th"),
        ("วันนี้มี meeting กับลูกค้า", "th+en"),
        ("ไปmeetingกัน", "th+en"),
        ("I love you นะ", "th+en"),
        ("Happy Birthday ค่ะ", "th+en"),
        ("ขอบคุณสำหรับ Project Management Review วันนี้", "th+en"),
        ("Angela ที่รัก", "th"),
        ("good morning ก", "en"),
        ("https://example.com", "none"),
        ("someone@example.com", "none"),
        ("👍👍", "none"),
        ("...", "none"),
        ("", "none"),
        ("๑๒๓", "none"),
        ("Привет, как дела", "other"),
        ("你好吗", "other"),
        ("안녕하세요 ok", "other"),
        ("ສະບາຍດີ", "other"),
        ("مرحبا", "other"),
        ("hello мир", "en"),
    ],
)
def test_language_of_a_text(text: str, language: str) -> None:
    assert detect_languages(series(text))[0] == language


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("how are you?", 3),
        ("I don't know, it's a well-known co-op", 7),
        ("", 0),
        ("👍", 0),
        ("555", 1),
        ("สวัสดี", 2),
        ("ก", 1),
        ("วันนี้มี meeting", 3),
        ("Привет как дела", 3),
        ("你好吗", 2),
        ("c’est déjà vu", 3),
        ("a\nb", 2),
    ],
)
def test_words_of_a_text(text: str, words: int) -> None:
    assert count_words(series(text))[0] == words


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=6))
def test_a_text_is_judged_alone(texts: list[str]) -> None:
    together = detect_languages(series(*texts)).to_list()
    assert together == [detect_languages(series(text))[0] for text in texts]
    assert set(together) <= set(LANGUAGES)
    words = count_words(series(*texts))
    assert words.dtype == pl.Int32
    assert words.to_list() == [count_words(series(text))[0] for text in texts]
