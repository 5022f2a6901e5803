"""The style bench asks about chats nobody learnt from, and its figures are what they say."""

from __future__ import annotations

import polars as pl
import pytest

from twin_pipelines.commands import bench_style


def told(*pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema=["speaker", "told"], orient="row")


def test_the_interval_is_wilsons_and_stays_between_nought_and_one() -> None:
    share = bench_style._share(told(*[("a", "a")] * 9, ("a", "b")))
    assert share == {"value": 0.9, "ci95": [0.5958, 0.9821], "n": 10}
    assert bench_style._share(told(*[("a", "a")] * 5))["ci95"][1] == 1.0
    assert bench_style._share(told(("a", "a")).clear())["value"] is None


def test_others_taken_for_somebody_are_told_beside_their_own_share() -> None:
    answers = told(("a", "a"), ("a", "b"), ("b", "b"), ("c", "a"), ("c", "c"))
    figures = bench_style._figures("a", answers, answers, single=True)
    assert figures["identified"]["value"] == 0.5
    assert figures["others_taken_for_them"] == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.slow
def test_the_subject_is_known_from_500_words_of_unseen_chats() -> None:
    found = bench_style.style(500)
    assert found["ranks"]["3"]["identified"]["value"] >= 0.95
    assert found["single_voices"]["ci95"][0] >= 0.95
    assert found["all"]["value"] > found["all_by_character_ngrams"]["value"]


@pytest.mark.slow
def test_no_chat_is_both_seen_and_unseen() -> None:
    seen, unseen = bench_style._split([bench_style.chitchat.speaker_of_rank(3)])
    assert not set(seen["conversation_id"]) & set(unseen["conversation_id"])
    assert seen["sent_at"].min() < unseen["sent_at"].min()
