"""Perplexity and picking the real reply, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from twin_pipelines.evaluation.bootstrap import resamples
from twin_pipelines.evaluation.likelihood.perplexity import perplexity, perplexity_figures
from twin_pipelines.evaluation.likelihood.pick import (
    candidates,
    hits,
    pick_figures,
    pmi,
)
from twin_pipelines.generation.local import Score


def scores(losses: list[float], tokens: list[int]) -> list[Score]:
    return [Score(-loss, size) for loss, size in zip(losses, tokens, strict=True)]


def test_perplexity_is_over_tokens_not_over_replies() -> None:
    assert perplexity(scores([2.0, 30.0], [1, 9])) == pytest.approx(math.exp(3.2))


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary() -> None:
    uniform = [Score(-size * math.log(50), size) for size in (3, 7, 12)]
    assert perplexity(uniform) == pytest.approx(50)


def test_the_ratio_is_paired_so_a_steady_gain_has_a_narrow_interval() -> None:
    rng = np.random.default_rng(1)
    tokens = rng.integers(3, 20, 100).tolist()
    hard = rng.uniform(1, 8, 100) * tokens
    base = scores(hard.tolist(), tokens)
    twin = scores((hard - 0.5 * np.array(tokens)).tolist(), tokens)
    figures = perplexity_figures(base, twin, resamples(100, 300, 1))
    assert figures["ratio"] == pytest.approx(math.exp(-0.5))
    assert figures["ratio_ci95"] == pytest.approx([math.exp(-0.5)] * 2)
    assert figures["twin"] == pytest.approx(figures["base"] * figures["ratio"])
    low, high = figures["base_ci95"]
    assert high / low > 1.2
    assert "champion" not in figures


def test_against_the_champion_worse_is_positive_and_other_tokenizers_are_comparable() -> None:
    base = scores([10.0, 10.0], [5, 5])
    twin = scores([6.0, 6.0], [5, 5])
    champion = scores([5.0, 5.0], [2, 2])
    figures = perplexity_figures(base, twin, resamples(2, 50, 1), champion)
    assert figures["champion_delta"]["value"] == pytest.approx(0.2)
    assert figures["champion_delta"]["ci95"] == pytest.approx([0.2, 0.2])


def test_candidates_are_the_true_reply_and_other_replies_of_the_subject() -> None:
    replies = [(number, number + 1) for number in range(30)] + [(3, 4)]
    groups = candidates(replies, seed=1)
    for true, group in zip(replies, groups, strict=True):
        assert group[0] == true
        assert len(group) == len(set(group)) == 20
        assert set(group) <= set(replies)
    assert groups == candidates(replies, seed=1)
    assert groups != candidates(replies, seed=2)


def test_few_replies_give_fewer_distractors_and_no_figure_where_they_do_not_suffice() -> None:
    groups = candidates([(1,), (2,), (3,), (4,)], seed=1)
    assert [len(group) for group in groups] == [4] * 4
    figures = pick_figures([np.array([1.0, 0.0, 0.0, 0.0])] * 4, resamples(4, 50, 1))
    assert figures["hits1_of_4"]["value"] == 1
    assert math.isnan(figures["hits1_of_20"]["value"])


def scored(*log_probs: float) -> list[Score]:
    return [Score(value, 1) for value in log_probs]


def test_pmi_forgives_a_reply_for_being_rare_and_gives_nothing_for_being_common() -> None:
    common, rare, other = (1,), (2,), (3,)
    groups = [[rare, common, other], [common, other, rare], [other, common, rare]]
    given = [scored(-15.0, -2.0, -9.0), scored(-2.0, -9.0, -20.0), scored(-9.0, -2.0, -20.0)]
    first, *_ = pmi(groups, given)
    assert first[0] == pytest.approx(5.0), "likelier after its own context than elsewhere"
    assert first[1] == pytest.approx(0.0), "as likely anywhere"
    assert hits(first, 3) == 1


def test_a_reply_is_not_expected_where_it_belongs_and_rivals_get_no_worse_luck() -> None:
    """What a rival scores after its own context must not count as its usual likelihood."""
    one, two, three = (1,), (2,), (3,)
    groups = [[one, two, three], [two, one, three], [three, one, two]]
    at_home, elsewhere = -1.0, -8.0
    given = [scored(at_home, elsewhere, elsewhere)] * 3
    for sums in pmi(groups, given):
        assert sums.tolist() == pytest.approx([at_home - elsewhere, 0.0, 0.0])


def test_usual_likelihood_is_the_mean_probability_of_the_other_contexts() -> None:
    groups = [[(1,), (2,)], [(2,), (1,)], [(3,), (1,)]]
    given = [scored(-1.0, -1.0), scored(-1.0, math.log(0.5)), scored(-1.0, math.log(0.1))]
    assert pmi(groups, given)[0][0] == pytest.approx(-1.0 - math.log(0.3))


def test_without_another_context_nothing_is_judged() -> None:
    (alone,) = pmi([[(1,), (2,)]], [scored(-1.0, -2.0)])
    assert math.isnan(hits(alone, 2))


def test_hits_of_four_are_averaged_over_all_choices_of_three_distractors() -> None:
    beaten = 15
    group = np.array([0.5, *[0.0] * beaten, *[1.0] * (19 - beaten)])
    rng = np.random.default_rng(0)
    drawn = [group[0] > group[1 + rng.permutation(19)[:3]].max() for _ in range(20_000)]
    assert hits(group, 4) == pytest.approx(np.mean(drawn), abs=0.015)
    assert hits(group, 20) == 0


def test_chance_level_is_one_in_k() -> None:
    rng = np.random.default_rng(0)
    groups = list(rng.normal(size=(8_000, 20)))
    figures = pick_figures(groups, resamples(8_000, 100, 1))
    assert figures["hits1_of_4"]["value"] == pytest.approx(0.25, abs=0.02)
    assert figures["hits1_of_20"]["value"] == pytest.approx(0.05, abs=0.01)
