"""The learned fusion: a weighted sum of the signs of a turn, by the weights that are shipped."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twin_pipelines.retrieval.ranking.features import NAMES, Candidates, Rows
from twin_pipelines.retrieval.ranking.lexical import Floats

# Conditional logit on questions made up about chitchat (MIT), by package:fast-universal-
# sentence-encoder; made by `python -m twin_pipelines.retrieval.ranking.fit`.
WEIGHTS: Mapping[str, float] = {
    "bm25_meta": 0.458,
    "bm25_ctx": 0.624,
    "dense_meta": 0.749,
    "dense_ctx": 0.279,
    "session_words": 0.151,
    "session_meaning": 0.194,
    "coverage_meta": 0.000,
    "coverage_ctx": 0.784,
    "speaker": 0.381,
    "other_speaker": -0.381,
    "date": 0.574,
    "words_before": -0.045,
    "words_after": -0.197,
    "meaning_before": 0.645,
    "meaning_after": 0.006,
    "length": 0.991,
    "asks": -1.216,
    "answers": 0.461,
}
EQUAL_WEIGHTS: Mapping[str, float] = dict.fromkeys(NAMES[:4], 1.0)  # words and meaning, two views


def ranked(found: Candidates, weights: Mapping[str, float] = WEIGHTS) -> tuple[Rows, Floats]:
    """Rows of the history, the best first, and their scores; of equals the earlier turn first.

    Signs without a weight do not count. Scores of two questions are not comparable.
    """
    scores = found.signs @ np.array([weights.get(name, 0.0) for name in NAMES], dtype=np.float32)
    order = np.argsort(-scores, kind="stable")
    return found.rows[order], scores[order]
