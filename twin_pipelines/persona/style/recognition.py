"""Who wrote this? Writers told apart by their habits of writing alone.

Linear discriminants with a shrunk covariance (Friedman 1989) on the features of windows of text;
topics are left out, because only habits and function words are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from twin_pipelines.persona.style.measure import add_up, matrix

WINDOW_WORDS = 500
SHRINKAGE = 0.2  # of the covariance towards a multiple of the identity
SHUFFLES = 3  # more windows of the same turns in other orders, to learn from
FARTHEST = 4.0  # standard deviations; what is further says no more
SEED = 5

Floats = np.ndarray[Any, np.dtype[np.float64]]


def windows(counts: pl.DataFrame, words: int = WINDOW_WORDS, shuffles: int = 0) -> pl.DataFrame:
    """Turns with the `window` they belong to: runs of at least `words` words of each speaker.

    `counts` (`style.count_turns`) is in the order of time. With `shuffles`, the turns once more in
    that many other orders, as windows of their own. What does not fill a window is left out.
    """
    orders = [counts] + [
        counts.sample(fraction=1.0, shuffle=True, seed=SEED + number) for number in range(shuffles)
    ]
    placed = [
        order.with_columns(
            window=pl.lit(f"{number}/")
            + pl.Series(list(_filled(order, words)), dtype=pl.Int64).cast(pl.String)
        )
        for number, order in enumerate(orders)
    ]
    return pl.concat(placed).drop_nulls("window")


class Recogniser:
    """Tells writers apart whose windows it has seen."""

    def __init__(self, seen: pl.DataFrame) -> None:
        """Learns from turns by `window` (`windows`) of each `speaker`."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        sums = add_up(seen, ["speaker", "window"])
        found, self.features = matrix(sums)
        measured = ~np.isnan(found).all(axis=0)
        self._usual = np.where(measured, _median(found), 0.0)
        scaled = self._even(found)
        self._mean, self._spread = scaled.mean(axis=0), scaled.std(axis=0)
        self._used = measured & (self._spread > 1e-9)
        self._model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
        self._model.fit(self._inputs(found), sums["speaker"].to_numpy())

    def __call__(self, asked: pl.DataFrame) -> pl.DataFrame:
        """The writer of each window: `speaker`, `window`, `told` (who it is taken for)."""
        sums = add_up(asked, ["speaker", "window"])
        found, _ = matrix(sums)
        told = self._model.predict(self._inputs(found))
        return sums.select("speaker", "window", told=pl.Series(told, dtype=pl.String))

    def _even(self, found: Floats) -> Floats:
        """Rates on a scale on which their noise is even, gaps filled by what is usual."""
        known = np.where(np.isnan(found), self._usual, found)
        return np.sign(known) * np.sqrt(np.abs(known))

    def _inputs(self, found: Floats) -> Floats:
        spread = np.where(self._used, self._spread, 1.0)
        standing = (self._even(found) - self._mean) / spread
        return np.clip(standing[:, self._used], -FARTHEST, FARTHEST)


def unseen_chats(counts: pl.DataFrame, share: float) -> pl.DataFrame:
    """Which chats are kept unseen: `conversation_id`, `unseen`.

    Of each speaker the last chats, with `share` of their words. A chat of two speakers that is late
    for one of them and early for the other is in neither part, and not among the rows.
    """
    held = (
        counts.with_row_index("place")
        .group_by("speaker", "conversation_id")
        .agg(pl.col("place").min(), words=pl.col("spoken_words").sum())
        .sort("speaker", "place")
    )
    words = pl.col("words")
    early = (words.cum_sum() / words.sum()).over("speaker") <= 1 - share
    return (
        held.with_columns(unseen=~early)
        .group_by("conversation_id", maintain_order=True)
        .agg(pl.col("unseen").any(), sides=pl.col("unseen").n_unique())
        .filter(pl.col("sides") == 1)
        .select("conversation_id", "unseen")
    )


def _filled(counts: pl.DataFrame, words: int) -> Iterator[int | None]:
    """Number of each turn's window among its speaker's; None for those left over at the end.

    Windows are filled turn by turn, so that each has `words` words at least.
    """
    filled: dict[str, float] = {}
    numbers: dict[str, int] = {}
    whole: list[tuple[str, int]] = []
    for speaker, spoken in counts.select("speaker", "spoken_words").iter_rows():
        number = numbers.setdefault(speaker, 0)
        whole.append((speaker, number))
        filled[speaker] = filled.get(speaker, 0.0) + spoken
        if filled[speaker] >= words:
            numbers[speaker], filled[speaker] = number + 1, 0.0
    for speaker, number in whole:
        yield number if number < numbers[speaker] else None


def _median(found: Floats) -> Floats:
    """Median of each column over what is known; 0 of a column nobody knows."""
    columns = [column[~np.isnan(column)] for column in found.T]
    return np.array([np.median(column) if len(column) else 0.0 for column in columns])
