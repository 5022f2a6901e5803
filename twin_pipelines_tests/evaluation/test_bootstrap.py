"""Intervals must mean what they say: 95 of 100 hold the truth, pairing narrows, groups widen."""

from __future__ import annotations

import numpy as np
import pytest

from twin_pipelines.evaluation import bootstrap


def test_an_interval_holds_the_true_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(300):
        sample = rng.exponential(1.0, 80)
        estimate = bootstrap.mean(sample, bootstrap.resamples(80, 300, trial))
        held += estimate.low <= 1.0 <= estimate.high
    assert 0.90 <= held / 300 <= 0.98


def test_the_same_seed_draws_the_same_resamples() -> None:
    first, again = bootstrap.resamples(20, 50, 3), bootstrap.resamples(20, 50, 3)
    assert (first == again).all()
    assert (first.sum(axis=1) == 20).all()
    assert not (first == bootstrap.resamples(20, 50, 4)).all()


def test_replies_of_one_session_are_drawn_together() -> None:
    groups = ["a", "a", "a", "b", "c", "c"]
    counts = bootstrap.resamples(6, 200, 1, groups=groups)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 4] == counts[:, 5]).all()
    assert (counts[:, [0, 3, 4]].sum(axis=1) == 3).all()


def test_correlated_replies_get_a_wider_interval_than_independent_ones() -> None:
    rng = np.random.default_rng(2)
    sessions = np.repeat(np.arange(20), 10)
    values = rng.normal(size=20)[sessions] + rng.normal(size=200) * 0.1
    alone = bootstrap.mean(values, bootstrap.resamples(200, 500, 1))
    grouped = bootstrap.mean(values, bootstrap.resamples(200, 500, 1, groups=sessions))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_pairing_sees_a_small_difference_that_an_unpaired_comparison_does_not() -> None:
    rng = np.random.default_rng(5)
    base = rng.normal(5, 2, 100)
    twin = base - 0.2 + rng.normal(0, 0.1, 100)
    counts = bootstrap.resamples(100, 1_000, 1)
    paired = bootstrap.difference(twin, base, counts)
    unpaired = bootstrap.difference(twin, base, counts, bootstrap.resamples(100, 1_000, 2))
    assert paired.high < 0 < unpaired.high
    assert paired.value == pytest.approx(unpaired.value)


def test_a_ratio_of_sums_weighs_long_replies_more() -> None:
    estimate = bootstrap.ratio([2.0, 30.0], [1.0, 10.0], bootstrap.resamples(2, 100, 0))
    assert estimate.value == pytest.approx(32 / 11)
    assert estimate.low == pytest.approx(2.0)
    assert estimate.high == pytest.approx(3.0)


def test_undefined_draws_are_left_out_and_nothing_known_gives_no_interval() -> None:
    known = bootstrap.percentile(1.0, np.array([np.nan, 1.0, 1.0]), 3)
    assert (known.low, known.high) == (1.0, 1.0)
    unknown = bootstrap.percentile(1.0, np.array([np.nan, np.inf]), 3)
    assert np.isnan(unknown.low)
    assert np.isnan(unknown.high)


def test_nothing_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="without items"):
        bootstrap.resamples(0, 10, 1)
    with pytest.raises(ValueError, match="labels"):
        bootstrap.resamples(3, 10, 1, groups=["a"])


def test_an_estimate_is_written_with_interval_and_n() -> None:
    assert bootstrap.Estimate(1.0, 0.5, 2.0, 7).as_dict() == {
        "value": 1.0,
        "ci95": [0.5, 2.0],
        "n": 7,
    }
