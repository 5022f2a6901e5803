"""Only strong feelings of the speaker's own, said in earnest, are emotional moments."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory.extraction.emotions import EMOTIONS, STRONG, Feeling, feeling_of
from twin_pipelines.persona.statements.find import StatementFinder


def felt(text: str) -> Feeling | None:
    normal = str(pl.select(normal_text(pl.lit(text))).item())
    return feeling_of(text, StatementFinder().bare(normal))


@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("I'm so happy we talked", "joy"),
        ("haha I am really excited!", "excitement"),
        ("I was heartbroken when he left", "sadness"),
        ("it made me cry", "sadness"),
        ("I feel so lonely here", "loneliness"),
        ("I am so proud of my sister", "pride"),
        ("I was terrified", "fear"),
        ("I am sooo mad", "anger"),
        ("I miss my grandma so much 😢", "longing"),
        ("I am so stressed out!!", "stress"),
        ("ดีใจมากเลยค่ะ 😊", "joy"),
        ("วันนี้เสียใจมากๆ ค่ะ", "sadness"),
        ("ร้องไห้เลยครับ", "sadness"),
        ("คิดถึงที่รักที่สุดเลย 💜", "longing"),
        ("น้องตื่นเต้นมากค่ะ!", "excitement"),
        ("so stressed แต่ ภูมิใจมาก", "pride"),
    ],
)
def test_strong_feelings_are_found(text: str, emotion: str) -> None:
    found = felt(text)
    assert found and found.emotion == emotion
    assert STRONG <= found.intensity <= 1


@pytest.mark.parametrize(
    "text",
    [
        "I am happy",
        "are you so happy?",
        "you are so sad",
        "if I was so scared I would run",
        "I'm so dead 😂",
        '"I am so angry" he said',
        "I am so happy to help!",
        "she is very proud",
        "ดีใจค่ะ",
        "ไม่เสียใจมากหรอก",
        "เสียใจมากไหมคะ",
        "เธอเสียใจมาก",
        "อย่าเศร้ามากนะ",
        "",
    ],
)
def test_weak_denied_asked_and_other_peoples_feelings_are_not(text: str) -> None:
    assert felt(text) is None


def test_every_sign_of_strength_raises_the_intensity() -> None:
    told = ["I am so happy", "I am so happy!", "I am so happy! 😊", "I am SOOO happy! 😊"]
    intensities = [found.intensity for found in map(felt, told) if found]
    assert intensities == sorted(intensities) and len(set(intensities)) == len(told)


@given(st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_without_failing(text: str) -> None:
    found = felt(text)
    assert found is None or found.emotion in EMOTIONS
