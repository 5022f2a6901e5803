"""Caches give what was found before, and never what is stale."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from remembered import WordEncoder

from twin_pipelines.embeddings.encoder import Progress, Vectors
from twin_pipelines.retrieval.cache import ONE_CALL, CachedEncoder, Newest, Versioned


class Counting(WordEncoder):
    """Counts the texts that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        self.asked += texts
        return super().encode(texts, progress)


def test_a_question_is_run_through_the_model_once() -> None:
    encoder = Counting()
    cached = CachedEncoder(encoder, 10)
    first = cached.encode(["tea", "ชา"])
    again = cached.encode(["ชา", "bread", "tea"])
    assert encoder.asked == ["tea", "ชา", "bread"]
    assert np.array_equal(first, again[[2, 0]])
    assert np.allclose(again, WordEncoder().encode(["ชา", "bread", "tea"]))
    assert cached.counts == (2, 3)
    assert (cached.model_id, cached.dimensions) == (encoder.model_id, encoder.dimensions)


def test_many_texts_are_no_questions_and_are_not_kept() -> None:
    encoder = Counting()
    cached = CachedEncoder(encoder, 10)
    texts = [f"text {number}" for number in range(ONE_CALL + 1)]
    assert cached.encode(texts).shape == (len(texts), encoder.dimensions)
    cached.encode(texts)
    assert len(encoder.asked) == 2 * len(texts)
    assert cached.counts == (0, 0)
    assert cached.encode([]).shape == (0, encoder.dimensions)


def test_what_was_not_asked_for_longest_goes_first() -> None:
    kept: Newest[str] = Newest(2)
    kept.put("a", "A")
    kept.put("b", "B")
    assert kept.get("a") == "A"
    kept.put("c", "C")
    assert [kept.get(key) for key in "abc"] == ["A", None, "C"]
    nothing: Newest[str] = Newest(0)
    nothing.put("a", "A")
    assert nothing.get("a") is None


def test_what_was_found_in_another_version_is_found_anew() -> None:
    finds: Versioned[list[int]] = Versioned(4)
    found = iter(range(10))

    def find() -> list[int]:
        return [next(found)]

    assert [finds.get("q", version, find) for version in (1, 1, 2, 2, 1)] == [
        [0],
        [0],
        [1],
        [1],
        [2],
    ]
    assert finds.counts == (2, 3)


def test_a_find_that_fails_is_not_kept() -> None:
    finds: Versioned[str] = Versioned(4)

    def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        finds.get("q", 1, fail)
    assert finds.get("q", 1, lambda: "yes") == "yes"


def test_threads_may_ask_at_once() -> None:
    finds: Versioned[int] = Versioned(8)
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda number: finds.get(number % 16, 1, lambda: number % 16), range(800))
        )
    assert found == [number % 16 for number in range(800)]
    assert sum(finds.counts) == 800
