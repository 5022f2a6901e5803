"""Importance and recency nudge, and never decide against what answers clearly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.retrieval.boosts import boosts

TODAY = 736_000


def boost(importance: float, age: int, dated: bool = False) -> float:
    days = np.array([TODAY - age])
    weight = np.array([importance], dtype=np.float32)
    return float(boosts(weight, days, TODAY, 180.0, dated)[0])


@given(
    importance=st.floats(-5, 5, allow_nan=False),
    age=st.integers(-5_000, 700_000),
    dated=st.booleans(),
)
def test_no_boost_ever_leaves_its_bounds(importance: float, age: int, dated: bool) -> None:
    assert 0.9 - 1e-6 <= boost(importance, age, dated) <= 1.1 + 1e-6


def test_fresh_and_important_comes_first_and_half_a_life_old_is_neutral() -> None:
    assert boost(1.0, 0) == pytest.approx(1.1)
    assert boost(0.0, 100_000) == pytest.approx(0.9)
    assert boost(0.5, 180) == pytest.approx(1.0)
    assert boost(0.5, 0) > boost(0.5, 30) > boost(0.5, 400)


def test_a_question_that_names_a_time_is_not_answered_better_by_what_is_fresh() -> None:
    assert boost(0.5, 0, dated=True) == boost(0.5, 3_000, dated=True) == pytest.approx(1.0)
    assert boost(0.9, 3_000, dated=True) > 1.0
