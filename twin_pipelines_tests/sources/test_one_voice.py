"""One person passes, a shared account does not, and too little text is said to be too little."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.sources import chitchat, voice
from twin_pipelines.sources.habits import Habits, habits
from twin_pipelines.sources.voice import VoiceVerifier, evenly, one_voice, split_by_time, windows

SYLLABLES = [
    "ka",
    "ro",
    "mi",
    "tel",
    "sun",
    "ba",
    "lo",
    "ne",
    "fi",
    "gra",
    "do",
    "pe",
    "shu",
    "wi",
    "xo",
    "zen",
]


def writer(seed: int, words: int = 9_000) -> list[str]:
    """Made-up texts with a vocabulary and habits of their own."""
    rng = random.Random(seed)
    own = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 3))) for _ in range(150)]
    end = rng.choice(["!", "…", " :)", ".", " lol", "~"])
    texts = []
    while words > 0:
        length = rng.randint(3, 12)
        words -= length
        texts.append(" ".join(rng.choices(own, k=length)) + end)
    return texts


def people(first: int, count: int) -> dict[str, list[str]]:
    return {f"p{seed}": writer(seed, 4_000) for seed in range(first, first + count)}


def test_windows_have_equal_length_and_keep_line_breaks() -> None:
    found = windows(["one  two", "three", "four five six", "seven"], words=3)
    assert found == ["one two\nthree", "four five six"]
    assert windows(["too short"], words=3) == []


def test_thai_counts_by_length_because_it_has_no_spaces() -> None:
    thai = "คิดถึงนะวันนี้เหนื่อยมากเลย" * 40
    found = windows([thai], words=150)
    assert len(found) == len(thai) // 600
    assert "".join(found) == thai[: 600 * len(found)]
    mixed = windows(["วันนี้ deploy เสร็จแล้ว ok"], words=5)
    assert mixed == ["วันนี้ deploy เสร็จแล้"]


@given(st.lists(st.text(max_size=40), max_size=12), st.integers(1, 8))
def test_windows_take_any_text_in_order(texts: list[str], words: int) -> None:
    found = windows(texts, words)
    kept = "".join("".join(found).split())
    assert "".join("".join(texts).split()).startswith(kept)
    assert all(len(voice._WORD.findall(window)) == words for window in found)


def test_evenly_spaced_choice_keeps_both_ends() -> None:
    items = [str(number) for number in range(100)]
    assert evenly(items, 5) == ["0", "25", "50", "74", "99"]
    assert evenly(items[:3], 5) == ["0", "1", "2"]


def test_the_verifier_knows_people_and_is_deterministic() -> None:
    samples = {name: windows(texts, 50) for name, texts in people(1, 4).items()}
    train = {name: texts[:40] for name, texts in samples.items()}
    first, second = VoiceVerifier().fit(train), VoiceVerifier().fit(train)
    for name, texts in samples.items():
        assert first.share(texts[40:], name) > 0.9
    unseen = [text for texts in samples.values() for text in texts[40:]]
    assert np.array_equal(first.attribute(unseen), second.attribute(unseen))
    assert first.fingerprint == second.fingerprint != VoiceVerifier().fingerprint
    fewer = VoiceVerifier().fit({name: texts[:39] for name, texts in train.items()})
    assert fewer.fingerprint != first.fingerprint
    assert first.attribute([]).size == 0


def test_a_verifier_of_one_person_is_refused() -> None:
    with pytest.raises(ValueError, match="two people"):
        VoiceVerifier().fit({"a": ["text"], "b": []})


def test_one_writer_passes() -> None:
    train, unseen = split_by_time(writer(1))
    outcome = one_voice(train, unseen, people(10, 12), people(40, 8))
    assert outcome.passed is True
    assert outcome.own_share is not None and outcome.own_share >= 0.9
    assert outcome.other_share is not None and outcome.other_share <= 0.1
    assert outcome.own_windows == len(windows(unseen))
    assert "is one voice" in outcome.note and "12 known and 8 unknown" in outcome.note


def test_an_account_that_changes_hands_fails() -> None:
    outcome = one_voice(writer(1), writer(2), people(10, 12), people(40, 8))
    assert outcome.passed is False
    assert "several people" in outcome.note and "(not passed)" in outcome.note


def test_habits_alone_can_fail_a_name() -> None:
    train, unseen = split_by_time(writer(1))
    shared = Habits(switching=0.34, capitals_sd=None)
    outcome = one_voice(train, unseen, people(10, 3), people(40, 3), habits=shared)
    assert outcome.passed is False
    assert "34% of messages at most 5 s apart" in outcome.note
    tidy = Habits(switching=None, capitals_sd=0.05)
    outcome = one_voice(train, unseen, people(10, 3), people(40, 3), habits=tidy)
    assert outcome.passed is True
    assert "SD 0.05" in outcome.note


@pytest.mark.parametrize(("own", "others"), [(2_000, 5), (9_000, 0)])
def test_too_little_text_is_neither_passed_nor_failed(own: int, others: int) -> None:
    train, unseen = split_by_time(writer(1, own))
    outcome = one_voice(train, unseen, people(10, others), people(40, others))
    assert (outcome.own_share, outcome.other_share, outcome.passed) == (None, None, None)
    assert "Too little text" in outcome.note


def test_a_real_single_sender_passes_and_a_shared_account_does_not() -> None:
    verdicts = {}
    for rank in (1, 4):
        speaker = chitchat.speaker_of_rank(rank)
        own = chitchat.own_texts(speaker)
        train, unseen = split_by_time(own["text"].to_list())
        known = chitchat.background_texts(speaker, 12)
        unknown = chitchat.background_texts(speaker, 6, skip=12)
        verdicts[rank] = one_voice(train, unseen, known, unknown, habits=habits(own))
    assert verdicts[4].passed is True
    assert verdicts[1].passed is False
    assert verdicts[1].own_share < 0.8 < verdicts[4].own_share  # type: ignore[operator]


# Habits -------------------------------------------------------------------------------------------

START = datetime(2024, 1, 1, tzinfo=UTC)


def written(rows: list[tuple[str, int, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(chat, START + timedelta(seconds=second), text) for chat, second, text in rows],
        schema={
            "conversation_id": pl.String,
            "sent_at": pl.Datetime("us", "UTC"),
            "text": pl.String,
        },
        orient="row",
    )


def test_switching_counts_only_quick_steps() -> None:
    quick = [(f"c{number % 2}", number * 3, "x") for number in range(201)]
    slow = [(f"c{number % 2}", 10_000 + number * 60, "x") for number in range(300)]
    assert habits(written(quick + slow)).switching == 1.0
    steady = [(f"c{number // 100}", number * 3, "x") for number in range(200)]
    assert habits(written(steady)).switching == pytest.approx(1 / 199)


def test_too_few_quick_steps_or_one_conversation_say_nothing() -> None:
    assert habits(written([("a", n * 3, "x") for n in range(500)])).switching is None
    assert habits(written([(f"c{n % 2}", n * 3, "x") for n in range(50)])).switching is None


def test_capitals_differ_between_conversations_of_several_hands() -> None:
    rng = random.Random(1)

    def spread(shares: list[float]) -> float | None:
        rows = [
            (f"c{chat}", chat * 1_000 + n, "Hello" if rng.random() < share else "hello")
            for chat, share in enumerate(shares)
            for n in range(30)
        ]
        return habits(written(rows)).capitals_sd

    assert spread([0.05, 0.95] * 20) == pytest.approx(0.45, abs=0.05)
    assert spread([0.5] * 40) == pytest.approx(0.0, abs=0.06)
    assert spread([0.5] * 5) is None


def test_scripts_without_capitals_say_nothing() -> None:
    rows = [(f"c{n % 20}", n, "สวัสดี") for n in range(1_000)]
    assert habits(written(rows)).capitals_sd is None
