"""A threshold follows from train's own distribution, and no other split has a say or a part."""

from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dataset_split import frame, history

from twin_pipelines.instruct.dataset import draft_dataset, split_by_time
from twin_pipelines.instruct.thresholds import (
    BY_HAND,
    LOWEST,
    MIN_QUALITY,
    lower_outliers,
    quality_threshold,
)
from twin_pipelines.settings import Dataset, TwinError


def scored(quality_of: dict[str, float], seed: int = 1) -> pl.DataFrame:
    """A history whose pairs have ordinary qualities, or those given by split."""
    dice = random.Random(seed)
    rows = [{**row, "quality": dice.gauss(5.5, 1.0)} for row in history(40)]
    split = split_by_time(frame(rows), Dataset())["split"].to_list()
    for name, quality in quality_of.items():
        rows[split.index(name)]["quality"] = quality
    return frame(rows)


qualities = st.lists(st.floats(0, 10), min_size=1, max_size=300)


@given(qualities)
@settings(max_examples=100, deadline=None)
def test_never_more_than_the_lowest_few_percent_are_left_out(found: list[float]) -> None:
    value = lower_outliers(found)["value"]
    assert sum(quality < value - 5e-4 for quality in found) <= LOWEST * len(found)


def test_a_history_without_outliers_loses_nothing_however_poor_it_is() -> None:
    dice = random.Random(3)
    for average in (2.0, 5.0, 8.0):
        found = [average + dice.uniform(-1.5, 1.5) for _ in range(1_000)]
        assert lower_outliers(found)["value"] < min(found)


def test_what_is_clearly_bad_and_rare_is_left_out() -> None:
    dice = random.Random(4)
    found = [dice.gauss(6.0, 0.8) for _ in range(980)] + [0.5] * 20
    value = lower_outliers(found)["value"]
    assert 0.5 < value < 5.0


def test_a_poor_pair_leaves_train_and_an_equally_poor_one_stays_in_test() -> None:
    pairs = scored({"train": 0.1, "validation": 0.1, "test": 0.1})
    draft = draft_dataset(pairs, Dataset())
    poor = draft.pairs.filter(pl.col("quality") < 0.2)["split"].to_list()
    assert sorted(poor) == ["test", "validation"]
    assert draft.left_out["quality"].min() == pytest.approx(0.1)
    assert set(draft.left_out["split"]) == {"train"}


def test_what_test_scores_moves_no_threshold_and_what_train_scores_moves_no_test_pair() -> None:
    plain = draft_dataset(scored({}), Dataset())
    other = draft_dataset(scored({"test": 0.0, "validation": 10.0}), Dataset())
    assert plain.thresholds[MIN_QUALITY].record == other.thresholds[MIN_QUALITY].record
    poorer = scored({}).with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(0.0).otherwise("quality").alias("quality")
    )
    drafts = [plain, draft_dataset(poorer, Dataset(min_quality=4.0)), other]
    tests = [draft.pairs.filter(pl.col("split") == "test")["id"].to_list() for draft in drafts]
    assert tests[0] == tests[1] == tests[2]


def test_asking_test_for_a_threshold_is_an_error() -> None:
    split = split_by_time(scored({}), Dataset())
    with pytest.raises(TwinError, match="only train may decide a threshold"):
        quality_threshold(split, None)


def test_a_threshold_set_by_hand_says_so() -> None:
    threshold = quality_threshold(split_by_time(scored({}), Dataset()), 3.5)
    assert (threshold.value, threshold.method, threshold.rows.height) == (3.5, BY_HAND, 0)
