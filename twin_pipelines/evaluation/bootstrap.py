"""Percentile bootstrap, vectorised: resampling is drawn once as weights and shared by every figure.

A resample of n items is a row of n counts. Figures computed from one weight matrix are paired: the
same replies (or sessions) are drawn for every system. Formulas: Efron & Tibshirani, An Introduction
to the Bootstrap, chapters 6 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval and the number of items it was computed from."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """The form in which figures stand in metrics.json."""
        return {"value": self.value, "ci95": [self.low, self.high], "n": self.n}


def resamples(
    n: int, times: int, seed: int, groups: Sequence[Any] | NDArray[Any] | None = None
) -> Floats:
    """Counts (times, n) of how often each item is drawn.

    With `groups` (one label an item) whole groups are drawn, as many as there are, and every item
    takes the count of its group. Raises ValueError without items.
    """
    if n < 1:
        raise ValueError("cannot resample without items")
    rng = np.random.default_rng(seed)
    if groups is None:
        return _draw(rng, n, times)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} group labels for {n} items")
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    return _draw(rng, int(member.max()) + 1, times)[:, member]


def draw_items(n: int, times: int, seed: int) -> Indices:
    """Numbers (times, n) of the items that each resample holds, with replacement.

    The same seed gives the same items, so that figures of different modules stay paired.
    """
    return np.random.default_rng(seed).integers(0, n, size=(times, n))


def as_counts(items: Indices) -> Floats:
    """Counts (times, n) of how often each item is drawn."""
    times, n = items.shape
    rows = np.arange(times)[:, None] * n
    return np.bincount((items + rows).ravel(), minlength=times * n).reshape(times, n).astype(float)


def half_orders(items: Indices, seed: int) -> Indices:
    """Each resample without its repetitions, in random order, and then what it does not hold.

    The first half of a row is a half-sample without replacement: its variance is that of the whole
    (Politis, Romano & Wolf 1999, Subsampling, chapter 2).
    """
    rng = np.random.default_rng([seed, 4])
    absent = as_counts(items) == 0
    return np.argsort(absent + rng.random(items.shape), axis=1)


def percentile(value: float, draws: Floats, n: int) -> Estimate:
    """The interval of a figure from its values in the resamples; undefined draws are left out."""
    known = draws[np.isfinite(draws)]
    if not known.size:
        return Estimate(float(value), float("nan"), float("nan"), n)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high), n)


def mean(values: Sequence[float] | Floats, counts: Floats) -> Estimate:
    """Mean of one value an item."""
    return ratio(values, np.ones(len(values)), counts)


def ratio(
    numerators: Sequence[float] | Floats, denominators: Sequence[float] | Floats, counts: Floats
) -> Estimate:
    """Sum over sum, for instance loss over tokens."""
    top = np.asarray(numerators, dtype=float)
    bottom = np.asarray(denominators, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = (counts @ top) / (counts @ bottom)
    return percentile(float(top.sum() / bottom.sum()), draws, len(top))


def difference(
    first: Sequence[float] | Floats,
    second: Sequence[float] | Floats,
    counts: Floats,
    other_counts: Floats | None = None,
) -> Estimate:
    """Mean of `first` minus mean of `second`.

    Paired item by item; unpaired when the second list has resamples of its own (`other_counts`).
    """
    left, right = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if other_counts is None:
        return mean(left - right, counts)
    draws = _means(left, counts) - _means(right, other_counts)
    return percentile(float(left.mean() - right.mean()), draws, min(len(left), len(right)))


def _draw(rng: np.random.Generator, n: int, times: int) -> Floats:
    picks = rng.integers(0, n, size=(times, n)) + np.arange(times)[:, None] * n
    return np.bincount(picks.ravel(), minlength=times * n).reshape(times, n).astype(float)


def _means(values: Floats, counts: Floats) -> Floats:
    return (counts @ values) / counts.sum(axis=1)
