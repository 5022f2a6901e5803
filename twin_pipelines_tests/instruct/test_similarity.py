"""Likeness of texts is exact, in languages with and without spaces."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.foundation.similarity import jaccard, normal_text, shingles, similar_texts


def normal(text: str) -> str:
    return pl.DataFrame({"text": [text]}).select(normal_text(pl.col("text"))).item()


def sets(text: str) -> set[str]:
    padded = text.ljust(5) if text else ""
    return {padded[i : i + 5] for i in range(len(padded) - 4)}


@pytest.mark.parametrize(
    ("written", "reduced"),
    [
        ("  I'm   HERE!! 😊 ", "im here"),
        ("ﬁne — ok…", "fine ok"),
        ("น้ำตาล, ทำงาน", "น้ำตาล ทำงาน"),
        ("1,000 ways", "1 000 ways"),
        ("🙂?!", ""),
    ],
)
def test_normal_text_keeps_what_carries_meaning(written: str, reduced: str) -> None:
    assert normal(written) == reduced
    assert normal(reduced) == reduced


texts = st.lists(st.text("abก ", max_size=14), max_size=12)


@given(texts, texts, st.floats(0.1, 1))
@settings(max_examples=150, deadline=None)
def test_every_pair_above_the_threshold_is_found_and_no_other(
    left: list[str], right: list[str], threshold: float
) -> None:
    found = similar_texts(
        pl.Series(left, dtype=pl.String), pl.Series(right, dtype=pl.String), threshold
    )
    expected = {
        (i, j): len(sets(one) & sets(other)) / len(sets(one) | sets(other))
        for i, one in enumerate(left)
        for j, other in enumerate(right)
        if one and other
    }
    wanted = {pair for pair, value in expected.items() if value >= threshold - 1e-9}
    assert {(i, j) for i, j, _ in found.iter_rows()} == wanted
    for i, j, similarity in found.iter_rows():
        assert similarity == pytest.approx(expected[i, j])
        assert similarity == pytest.approx(jaccard(left[i], right[j]))


def test_shingles_of_nothing_are_nothing() -> None:
    assert shingles(pl.Series([], dtype=pl.String)).is_empty()
    assert shingles(pl.Series([""])).is_empty()
    assert shingles(pl.Series(["", "ab", "abcdef"])).group_by("row").len().sort("row").rows() == [
        (1, 1),
        (2, 2),
    ]
    assert jaccard("", "") == 1
    assert jaccard("", "a") == 0
