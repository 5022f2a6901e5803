"""What a pair is about, told from its words: no model, only the pairs at hand.

TF-IDF over content words of context, message and reply, brought to a few dimensions (latent
semantic analysis: Deerwester et al., 1990) and clustered by k-means. A topic is named by its most
characteristic words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.instruct.quality import content_words

TOPICS = 12
NO_TOPIC = "no topic"
_DIMENSIONS = 50
_FEWEST = 5  # pairs a word must occur in
_MOST = 0.2  # share of the pairs a word may occur in
_NAMED_BY = 3  # words
_LEAST = 10 * TOPICS  # pairs with words, before there are topics
_SEED = 5


def pair_topics(pairs: pl.DataFrame) -> pl.Series:
    """The topic of each pair (column `topic`), NO_TOPIC where nothing tells it."""
    said = pl.col("context").list.eval(pl.element().struct.field("content")).list.join("\n")
    text = normal_text(pl.concat_str(said, "input", "reply", separator="\n"))
    words = pairs.select(text.alias("text")).select(content_words(pl.col("text")))
    return pl.Series("topic", _clustered(words.to_series().to_list()), dtype=pl.String)


def _clustered(documents: Sequence[Sequence[str]]) -> list[str]:
    import numpy as np
    from scipy.sparse import csr_array
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    topics = [NO_TOPIC] * len(documents)
    if len(documents) < _LEAST:
        return topics
    spread = Counter(word for document in documents for word in set(document))
    most = _MOST * len(documents)
    vocabulary = sorted(word for word, found in spread.items() if _FEWEST <= found <= most)
    if len(vocabulary) <= TOPICS:
        return topics
    vectorizer = TfidfVectorizer(analyzer=_as_they_are, vocabulary=vocabulary, sublinear_tf=True)
    weights = csr_array(vectorizer.fit_transform(documents))
    told = np.flatnonzero(np.diff(weights.indptr))
    if len(told) < _LEAST:
        return topics
    weights = weights[told]
    dimensions = min(_DIMENSIONS, weights.shape[1] - 1)
    placed = normalize(TruncatedSVD(dimensions, random_state=_SEED).fit_transform(weights))
    labels = KMeans(TOPICS, n_init=2, random_state=_SEED).fit_predict(placed)
    names = [_name(weights[labels == label], vocabulary) for label in range(TOPICS)]
    for row, label in zip(told, labels, strict=True):
        topics[row] = names[label]
    return topics


def _name(weights: Any, vocabulary: Sequence[str]) -> str:
    means = weights.sum(axis=0).tolist()
    ranked = sorted(range(len(vocabulary)), key=lambda word: means[word], reverse=True)
    return ", ".join(vocabulary[word] for word in ranked[:_NAMED_BY])


def _as_they_are(words: Sequence[str]) -> Sequence[str]:
    return words
