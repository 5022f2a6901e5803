"""The style verifier: who wrote this window of text?

Character 2- to 4-grams, TF-IDF, logistic regression. N-grams stay within a line, whose ends are
marked; so the features of a window are the sum of its replies' features, and thousands of windows
resampled from the same replies need only two small matrices: each reply's score for each author,
and the replies' products with one another (for the norm). That makes the bootstrap exact and quick.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twin_pipelines.evaluation.unseen import FittedOn
from twin_pipelines.features.language import count_words

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

DESIGN = 1  # raise it when the features or the classifier change: figures are then not comparable
NGRAMS = (2, 3, 4)
LEAST_WINDOWS = 3  # a feature must stand in as many training windows
MOST_WINDOWS = 120  # training windows of one author
INVERSE_REGULARISATION = 10.0
LINE_END = "\n"


@dataclass(frozen=True)
class Replies:
    """Replies of one system as the verifier sees them; see `StyleVerifier.read`."""

    words: Floats  # (n,)
    scores: NDArray[np.float32]  # (n, authors), before division by the window's norm
    products: NDArray[np.float32]  # (n, n)

    def __len__(self) -> int:
        return len(self.words)


class StyleVerifier:
    """Learns authors from their texts and attributes windows made of replies."""

    def __init__(self, window_words: int, seed: int) -> None:
        self.window_words = window_words
        self.seed = seed
        self.authors: list[str] = []
        self.fingerprint = ""
        self.learnt: dict[str, FittedOn] = {}  # by author
        self._vocabulary: dict[str, int] = {}
        self._idf = np.zeros(0)
        self._weights: Any = None  # (features, authors)
        self._bias = np.zeros(0)

    def fit(self, texts: Mapping[str, Sequence[str]]) -> StyleVerifier:
        """Learn from each author's texts (replies, in any order).

        Raises ValueError when an author has less than one window, or there is only one author.
        """
        from sklearn.linear_model import LogisticRegression

        windows, labels = self._training_windows(texts)
        common = np.flatnonzero(windows.getnnz(axis=0) >= LEAST_WINDOWS)
        names = sorted(self._vocabulary, key=self._vocabulary.__getitem__)
        self._vocabulary = {names[column]: place for place, column in enumerate(common)}
        features = windows[:, common]
        self._idf = np.log((1 + features.shape[0]) / (1 + features.getnnz(axis=0))) + 1
        features = _unit_rows(features.multiply(self._idf[None, :]).tocsr())
        classifier = LogisticRegression(
            C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=300, tol=1e-3
        ).fit(features, labels)
        self._take_weights(classifier)
        self.learnt = {
            author: FittedOn.of("The style verifier", said) for author, said in texts.items()
        }
        self.fingerprint = hashlib.sha256(
            json.dumps(
                [DESIGN, self.window_words, self.seed, {k: list(v) for k, v in texts.items()}]
            ).encode()
        ).hexdigest()[:12]
        return self

    def read(self, replies: Sequence[str]) -> Replies:
        """Prepare replies for attribution."""
        counts = _count(replies, self._vocabulary)
        features = counts.multiply(self._idf[None, :]).tocsr()
        return Replies(
            words=word_counts(replies),
            scores=np.asarray(features @ self._weights, dtype=np.float32),
            products=(features @ features.T).toarray().astype(np.float32),
        )

    def attribute(self, replies: Replies, picks: Indices) -> Indices:
        """The author (index into `authors`) of each window; -1 for a window without a feature.

        `picks` (windows, draws) are reply numbers in the order they are strung together; a window
        ends at exactly `window_words` words: of the last reply only its share is counted.
        """
        shares = window_shares(replies.words, picks, self.window_words).astype(np.float32)
        norms = np.sqrt(np.maximum(np.einsum("wi,wi->w", shares @ replies.products, shares), 0))
        scores = (shares @ replies.scores) / np.maximum(norms, 1e-12)[:, None] + self._bias
        return np.where(norms > 0, scores.argmax(axis=1), -1)

    def _training_windows(self, texts: Mapping[str, Sequence[str]]) -> tuple[Any, list[int]]:
        """Counts of the training windows (windows, features) and the author of each."""
        from scipy import sparse
        from sklearn.feature_extraction.text import CountVectorizer

        if len(texts) < 2:
            raise ValueError("a verifier needs at least two authors")
        self.authors = list(texts)
        rng = np.random.default_rng(self.seed)
        used: list[str] = []
        shares, labels = [], []
        for number, author in enumerate(self.authors):
            words = word_counts(texts[author])
            if words.sum() < self.window_words:
                raise ValueError(
                    f"{author} has {words.sum():.0f} words; a window takes {self.window_words}"
                )
            groups = shuffled_windows(words, self.window_words, MOST_WINDOWS, rng)
            chosen = [text for group in groups for text in group]
            places = iter(range(len(chosen)))
            picks = padded([[next(places) for _ in group] for group in groups])
            shares.append(window_shares(words[chosen], picks, self.window_words))
            labels += [number] * len(groups)
            used += [texts[author][text] for text in chosen]
        vectoriser = CountVectorizer(analyzer=line_ngrams, dtype=np.float64)
        counts = vectoriser.fit_transform(used)
        self._vocabulary = vectoriser.vocabulary_
        return sparse.block_diag(shares, format="csr") @ counts, labels

    def _take_weights(self, classifier: Any) -> None:
        if len(self.authors) == 2:
            self._weights = np.vstack([-classifier.coef_[0], classifier.coef_[0]]).T / 2
            self._bias = np.array([-classifier.intercept_[0], classifier.intercept_[0]]) / 2
        else:
            self._weights = classifier.coef_.T
            self._bias = classifier.intercept_


def word_counts(texts: Sequence[str]) -> Floats:
    """Words of each text; one of emoji or signs alone counts as a word."""
    counted = count_words(pl.Series("text", list(texts), dtype=pl.String)).to_numpy()
    spoken = np.array([bool(text.strip()) for text in texts])
    return np.maximum(counted.astype(float), spoken)


def shuffled_windows(
    words: Floats, window_words: int, most: int, rng: np.random.Generator
) -> list[list[int]]:
    """Text numbers of each full window, every text used at most once, in shuffled order.

    Shuffled, because the windows to be judged are made of replies from many conversations too:
    what neighbouring replies have in common is their topic.
    """
    windows: list[list[int]] = []
    current: list[int] = []
    filled = 0.0
    for text in rng.permutation(len(words)):
        current.append(int(text))
        filled += words[text]
        if filled >= window_words:
            windows.append(current)
            current, filled = [], 0.0
            if len(windows) == most:
                break
    return windows


def padded(groups: Sequence[Sequence[int]]) -> Indices:
    """Ragged groups as a rectangle, the last number repeated: a full window takes no more."""
    width = max(len(group) for group in groups)
    return np.array([[*group, *[group[-1]] * (width - len(group))] for group in groups])


def window_shares(words: Floats, picks: Indices, window_words: int) -> Floats:
    """How much of each text stands in each window (windows, texts): windows of equal length."""
    taken = words[picks]
    before = taken.cumsum(axis=1) - taken
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((window_words - before) / taken, 0, 1)
    share = np.where(taken > 0, share, 0)
    rows = np.arange(len(picks))[:, None] * len(words)
    places, cells = (rows + picks).ravel(), len(picks) * len(words)
    summed = np.bincount(places, weights=share.ravel(), minlength=cells)
    return summed.reshape(len(picks), len(words)).astype(np.float64)


def line_ngrams(text: str) -> list[str]:
    """Character n-grams of every line, its beginning and end marked."""
    grams = []
    for line in text.split(LINE_END):
        marked = f"{LINE_END}{line}{LINE_END}"
        for size in NGRAMS:
            grams += [marked[start : start + size] for start in range(len(marked) - size + 1)]
    return grams


def _count(texts: Sequence[str], vocabulary: Mapping[str, int]) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    vectoriser = CountVectorizer(analyzer=line_ngrams, vocabulary=vocabulary, dtype=np.float64)
    return vectoriser.transform(texts)


def _unit_rows(matrix: Any) -> Any:
    from sklearn.preprocessing import normalize

    return normalize(matrix)
