"""Indistinguishability: can a fresh judge tell the twin's replies from the person's?

The judge sees what the verifier sees (character 2- to 4-grams within a line, TF-IDF, logistic
regression), is taught on four fifths of the contexts and asked about the rest, for each fifth in
turn; a context's real and written reply are never on different sides. AUC is computed within a
fifth and averaged. I = min(1, 2 (1 - AUC)): 1 when it can only guess. The judge is not taught anew
for a resample: its scores of the held-out replies are resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import (
    Estimate,
    Floats,
    Indices,
    as_counts,
    percentile,
)
from twin_pipelines.evaluation.style.verifier import INVERSE_REGULARISATION, Replies, line_ngrams
from twin_pipelines.evaluation.unseen import SeenError

FOLDS = 5
FEWEST_CONTEXTS = 2 * FOLDS
WINDOW = 5  # replies
LEAST_TEXTS = 2  # a feature must stand in as many training texts
SHUFFLES = 4  # times the training replies are dealt into windows
WINDOWS, RESAMPLE_WINDOWS = 200, 16  # of a fifth: for the figure, for each resample


@dataclass(frozen=True)
class Judged:
    """How well the judge tells a system's replies from the person's, singly and five by five."""

    auc: Estimate
    auc_per_5: Estimate
    indistinguishability: float
    draws: Floats  # (times,) of indistinguishability


class Judge:
    """Tells real from written replies; remembers which contexts taught it and refuses those."""

    def __init__(self, counts: Any, contexts: Indices, n: int, size: int, seed: int) -> None:
        """Learn from the rows of `contexts` and those `n` further: real and written replies.

        `size` is how many replies it reads at once.
        """
        from sklearn.linear_model import LogisticRegression

        self.contexts = frozenset(contexts.tolist())
        self._counts = counts
        self._n = n
        deal = _deal(len(contexts), size, np.random.default_rng([seed, 5]))
        real, written = deal @ counts[contexts], deal @ counts[contexts + n]
        texts = _stack(real, written)
        self._columns = np.flatnonzero(texts.getnnz(axis=0) >= LEAST_TEXTS)
        texts = texts[:, self._columns]
        self._idf = np.log((1 + texts.shape[0]) / (1 + texts.getnnz(axis=0))) + 1
        labels = np.repeat([0, 1], deal.shape[0])
        model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=200, tol=1e-3)
        model.fit(_unit(texts.multiply(self._idf[None, :]).tocsr()), labels)
        self._weights = model.coef_[0]

    def read(self, contexts: Indices) -> tuple[Replies, Replies]:
        """Real and written replies to contexts that did not teach it; else SeenError."""
        if self.contexts & set(contexts.tolist()):
            raise SeenError(
                "The judge was taught on the contexts it is asked about, so no figure can be "
                "computed; hold them out."
            )
        return self._read(contexts), self._read(contexts + self._n)

    def _read(self, rows: Indices) -> Replies:
        features = self._counts[rows][:, self._columns].multiply(self._idf[None, :]).tocsr()
        return Replies(
            words=np.ones(len(rows)),
            scores=np.asarray(features @ self._weights, dtype=np.float32)[:, None],
            products=(features @ features.T).toarray().astype(np.float32),
        )


def judged(real: Sequence[str], written: Sequence[str], items: Indices, seed: int) -> Judged:
    """Judge the written replies against the real ones to the same contexts.

    `items` (times, n) are the contexts of each bootstrap resample. Raises ValueError where there
    are too few contexts.
    """
    n = len(real)
    if n < FEWEST_CONTEXTS:
        raise ValueError(f"{n} contexts are too few for a judge; it needs {FEWEST_CONTEXTS}")
    texts = [*real, *written]
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(analyzer=line_ngrams, dtype=np.float64).fit_transform(texts)
    folds = np.array_split(np.random.default_rng([seed, 6]).permutation(n), FOLDS)
    drawn = as_counts(items)
    singles, fives = [], []
    for number, fold in enumerate(folds):
        rest = np.concatenate([other for other in folds if other is not fold])
        judge = Judge(counts, rest, n, 1, seed)
        singles.append(_by_reply(*judge.read(fold), drawn[:, fold]))
        judge = Judge(counts, rest, n, WINDOW, seed)
        rng = np.random.default_rng([seed, 7, number])
        fives.append(_by_window(*judge.read(fold), drawn[:, fold], rng))
    single, five = (np.nanmean(np.stack(part), axis=0) for part in (singles, fives))
    value = _indistinguishability(single)
    return Judged(
        auc=percentile(float(single[0]), single[1:], n),
        auc_per_5=percentile(float(five[0]), five[1:], n),
        indistinguishability=float(value[0]),
        draws=value[1:],
    )


def _indistinguishability(auc: Floats) -> Floats:
    return np.minimum(1.0, 2 * (1 - auc))


def _by_reply(real: Replies, written: Replies, drawn: Floats) -> Floats:
    """AUC of the fifth, and of each resample of its contexts."""
    won = _wins(_norm_scores(real, np.eye(len(real))), _norm_scores(written, np.eye(len(written))))
    weights = np.vstack([np.ones(drawn.shape[1]), drawn])
    sums = np.einsum("bi,ij,bj->b", weights, won, weights, optimize=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums / weights.sum(axis=1) ** 2


def _by_window(real: Replies, written: Replies, drawn: Floats, rng: np.random.Generator) -> Floats:
    """The same for windows of replies, strung together from those a resample holds."""
    whole = _windows(np.ones((1, drawn.shape[1])), WINDOWS, rng)
    each = _windows(drawn, RESAMPLE_WINDOWS, rng)
    aucs = []
    for picks in (whole, each):
        sides = [_norm_scores(side, _shares(picks, len(side))) for side in (real, written)]
        left, right = (side.reshape(len(picks), -1) for side in sides)
        aucs.append(_wins(left, right).mean(axis=(1, 2)))
    aucs[1][drawn.sum(axis=1) == 0] = np.nan
    return np.concatenate(aucs)


def _windows(weights: Floats, windows: int, rng: np.random.Generator) -> Indices:
    """Reply numbers (resamples, windows, WINDOW), as often as `weights` says."""
    steps = weights.cumsum(axis=1)
    aims = rng.random((len(weights), windows * WINDOW)) * steps[:, -1:]
    places = (steps[:, None, :] <= aims[:, :, None]).sum(axis=2).clip(max=weights.shape[1] - 1)
    return places.reshape(len(weights), windows, WINDOW)


def _shares(picks: Indices, n: int) -> Floats:
    flat = picks.reshape(-1, WINDOW)
    rows = np.arange(len(flat))[:, None] * n
    counted = np.bincount((flat + rows).ravel(), minlength=len(flat) * n)
    return counted.reshape(len(flat), n).astype(float)


def _norm_scores(replies: Replies, shares: Floats) -> Floats:
    """Score of each window of unit length (windows,): higher for written."""
    norms = np.sqrt(np.maximum(np.einsum("wi,wi->w", shares @ replies.products, shares), 0))
    return (shares @ replies.scores)[:, 0] / np.maximum(norms, 1e-12)


def _wins(real: Floats, written: Floats) -> Floats:
    """1 where the written reply is known for what it is, a half where nothing tells them apart."""
    left, right = real[..., :, None], written[..., None, :]
    return (right > left) + 0.5 * (right == left)


def _deal(n: int, size: int, rng: np.random.Generator) -> Any:
    """Training texts of `size` replies each (texts, n), every reply once a shuffle."""
    from scipy import sparse

    if size == 1:
        return sparse.identity(n, format="csr")
    rows = []
    for _ in range(SHUFFLES):
        order = rng.permutation(n)
        rows += [order[start : start + size] for start in range(0, n - size + 1, size)]
    places = np.repeat(np.arange(len(rows)), size)
    cells = (np.ones(len(places)), (places, np.concatenate(rows)))
    return sparse.csr_matrix(cells, shape=(len(rows), n))


def _stack(first: Any, second: Any) -> Any:
    from scipy import sparse

    return sparse.vstack([first, second], format="csr")


def _unit(matrix: Any) -> Any:
    from sklearn.preprocessing import normalize

    return normalize(matrix)
