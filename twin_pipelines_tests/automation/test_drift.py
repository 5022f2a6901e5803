"""Drift must see another voice, and must not take the noise of small samples for one."""

from __future__ import annotations

import numpy as np
import pytest

from twin_pipelines.automation.drift import Reply, divergence, drift

WORDS = ["sea", "rain", "sister", "cards", "music", "film", "coffee", "week", "lovely", "tired"]
OTHERS = ["ledger", "invoice", "quarter", "audit", "budget", "client", "margin", "revenue", "tax"]


def replies(
    sessions: int,
    seed: int,
    words: list[str] | None = None,
    length: int = 6,
    language: str = "en",
    prefix: str = "",
) -> list[Reply]:
    rng = np.random.default_rng(seed)
    return [
        Reply(
            f"{prefix}{seed}-{session}",
            " ".join(rng.choice(words or WORDS, size=rng.integers(length - 2, length + 3))),
            language,
        )
        for session in range(sessions)
        for _ in range(5)
    ]


def test_the_divergence_is_zero_for_equal_and_one_for_disjoint_distributions() -> None:
    assert divergence(np.array([2.0, 4.0]), np.array([1.0, 2.0])) == pytest.approx(0)
    assert divergence(np.array([3.0, 0.0]), np.array([0.0, 5.0])) == pytest.approx(1)
    halves = divergence(np.array([1.0, 0.0]), np.array([1.0, 1.0]))
    assert halves == pytest.approx(0.3113, abs=1e-4), "Lin 1991, by hand"


@pytest.mark.parametrize("seed", range(5))
def test_the_same_voice_in_a_small_sample_is_no_drift(seed: int) -> None:
    found = drift(replies(12, seed), replies(80, seed + 100))
    assert not found.over(0.02)
    assert "trigrams" in found.words


def test_other_words_other_lengths_and_another_language_are_drift() -> None:
    learnt = replies(60, 1)
    for recent, what in (
        (replies(20, 2, words=OTHERS), "character trigrams moved"),
        (replies(20, 3, length=20), "lengths moved"),
        (replies(20, 4, language="th"), "languages moved"),
    ):
        found = drift(recent, learnt)
        moved = {shift.what for shift in found.shifts if shift.sure and shift.beyond_chance > 0.02}
        assert what in moved
        assert found.over(0.02)


def test_one_talkative_session_is_not_mistaken_for_a_new_voice() -> None:
    """Replies of a session share a topic: relabelling whole sessions takes that into account."""
    rng = np.random.default_rng(5)
    topics = [list(rng.choice(WORDS + OTHERS, size=3)) for _ in range(60)]
    every = [
        Reply(str(number), " ".join(rng.choice(topic, size=6)), "en")
        for number, topic in enumerate(topics)
        for _ in range(8)
    ]
    recent = [reply for reply in every if int(reply.session) < 15]
    learnt = [reply for reply in every if int(reply.session) >= 15]
    assert not drift(recent, learnt).over(0.02)


def test_drift_needs_replies_and_sessions_on_both_sides() -> None:
    some = replies(3, 1)
    with pytest.raises(ValueError, match="both sides"):
        drift([], some)
    with pytest.raises(ValueError, match="sessions on both sides"):
        drift(some, some)
