"""Style realism must fall for whoever is not the person, and stay at 1 for the person."""

from __future__ import annotations

import numpy as np
import pytest

from twin_pipelines.evaluation.bootstrap import as_counts, draw_items, half_orders, resamples
from twin_pipelines.evaluation.style.consistency import StyleTexts, measure
from twin_pipelines.evaluation.style.distance import style_distances, tokens
from twin_pipelines.evaluation.style.indistinguishable import Judge, judged
from twin_pipelines.evaluation.style.realism import delta, style_realism
from twin_pipelines.evaluation.unseen import SeenError

WORDS = [f"{a}{b}" for a in ("ta", "mi", "so", "ru", "ke", "lo") for b in ("n", "ra", "st", "m")]


def hand(author: int, n: int, seed: int = 0) -> list[str]:
    """Replies of an author with a love of their own for some words and signs."""
    rng = np.random.default_rng([author, seed])
    taste = np.random.default_rng(author).dirichlet(np.full(len(WORDS), 0.5))
    sign = ["!!", " :)", "...", ".", " lol", " xx", "?!"][author % 7]
    return [" ".join(rng.choice(WORDS, 12, p=taste)) + sign for _ in range(n)]


def texts(twin: list[str], n: int = 60) -> StyleTexts:
    return StyleTexts(
        subject=hand(0, 300),
        people={f"person {number}": hand(number, 100) for number in range(1, 7)},
        ai=hand(20, 100),
        unseen={f"stranger {number}": hand(number, 60) for number in (43, 46, 50)},
        human=hand(0, n, seed=1),
        twin=twin,
        base=hand(20, n, seed=1),
        prompted=hand(20, n, seed=2),
        more={"another_person": hand(3, n, seed=3)},
    )


def test_the_same_hand_is_real_and_another_is_not() -> None:
    held = texts(hand(0, 60, seed=2))
    consistency = measure(held, window_words=60, times=100, seed=1)
    found = style_realism(held, consistency, draw_items(60, 100, 1), 1)
    low, high = found.figures["ci95"]
    assert found.figures["value"] > 0.8
    assert low < found.figures["value"] + 0.1 <= high + 0.1
    assert found.figures["controls"]["base"]["value"] < 0.15
    assert found.figures["controls"]["another_person"]["value"] < 0.4
    assert found.figures["controls"]["human"] == 1
    assert found.figures["indistinguishability"]["auc_per_reply"]["base"] > 0.95
    assert found.figures["distance"]["delta_base"] > found.figures["distance"]["delta_human"]
    apart = delta("twin", "another_person", found, 60)
    assert apart["ci95"][0] > 0.3


def test_a_judge_can_only_guess_at_the_same_hand_and_knows_a_copyist_of_another() -> None:
    items = draw_items(100, 200, 3)
    same = judged(hand(0, 100, 1), hand(0, 100, 2), items, 3)
    assert 0.35 < same.auc.value < 0.65
    assert same.auc.low < 0.5 < same.auc.high
    assert same.indistinguishability > 0.7
    other = judged(hand(0, 100, 1), hand(5, 100, 2), items, 3)
    assert other.auc.value > 0.95
    assert other.auc_per_5.value > 0.95
    assert other.draws.max() < 0.2
    half = judged(hand(0, 100, 1), hand(0, 50, 2) + hand(5, 50, 2), items, 3)
    assert same.auc.value < half.auc.value < other.auc.value


def test_a_judge_refuses_the_contexts_that_taught_it() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(dtype=np.float64).fit_transform(hand(0, 20, 1) + hand(1, 20, 2))
    judge = Judge(counts, np.arange(15), 20, 1, 0)
    assert len(judge.read(np.arange(15, 20))[0]) == 5
    with pytest.raises(SeenError, match="taught on the contexts"):
        judge.read(np.arange(14, 20))


def test_few_contexts_have_no_judge() -> None:
    with pytest.raises(ValueError, match="too few for a judge"):
        judged(["a"] * 9, ["b"] * 9, draw_items(9, 100, 1), 1)


def test_style_distance_is_0_for_the_base_and_1_for_the_person() -> None:
    systems = {"human": hand(0, 60, 1), "twin": hand(0, 60, 2), "base": hand(20, 60, 1)}
    people = {f"person {number}": hand(number, 100) for number in range(1, 7)}
    found = style_distances(hand(0, 300), people, systems, draw_items(60, 100, 1), 1)
    assert found.relative["human"] == 1
    assert found.relative["base"] == 0
    assert found.relative["twin"] > 0.8
    assert found.words == pytest.approx(60 * 13 / 2, rel=0.2)
    with pytest.raises(ValueError, match="too few to compare"):
        style_distances(hand(0, 300), {}, systems, draw_items(60, 100, 1), 1)


def test_who_says_next_to_nothing_covers_no_distance() -> None:
    systems = {"human": hand(0, 60, 1), "twin": ["ok"] * 60, "base": hand(20, 60, 1)}
    people = {f"person {number}": hand(number, 100) for number in range(1, 7)}
    found = style_distances(hand(0, 300), people, systems, draw_items(60, 100, 1), 1)
    assert found.relative["twin"] == 0
    assert not found.draws["twin"].any()
    assert np.isnan(found.delta["twin"])
    assert found.words > 150


def test_tokens_are_words_signs_and_pairs_where_there_are_no_spaces() -> None:
    assert tokens("It's OK :)") == ["it's", "ok", ":", ")"]
    assert tokens("ไป kin") == ["ไป", "kin"]
    assert tokens("กินข้าว")[:2] == ["กิ", "ิน"]


def test_a_half_sample_holds_nothing_twice_and_keeps_to_its_resample() -> None:
    items = draw_items(50, 40, 2)
    orders = half_orders(items, 2)
    for held, order in zip(items, orders, strict=True):
        assert sorted(order) == list(range(50))
        assert set(order[:20]) <= set(held)
    assert np.array_equal(as_counts(items), resamples(50, 40, 2))
