"""What of a turn or a memory is indexed: its two texts, their terms as numbers, their weights."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from twin_pipelines.retrieval.ranking.features import ASKS
from twin_pipelines.retrieval.ranking.lexical import LENGTH_SHARE, SATURATION, terms_of
from twin_pipelines.retrieval.ranking.views import with_views

DIMENSIONS = 1_000_000_000  # of a sparse vector of terms: the most that pgvector allows
MOST_TERMS = 16_000  # distinct ones of an entry: the most that a sparse vector holds
MADE = 1  # rises when terms or texts of entries are made otherwise: all are then out of date

FOUND: dict[str, Any] = {  # what an entry is made of: a turn, or a memory without session and place
    "kind": pl.String,  # turn or memory
    "ref": pl.String,
    "session_id": pl.String,
    "place": pl.Int32,
    "speaker": pl.String,
    "source": pl.String,
    "type": pl.String,
    "text": pl.String,
    "day": pl.Date,
    "sent_at": pl.Datetime("us", "UTC"),
    "ended_at": pl.Datetime("us", "UTC"),
    "content_hash": pl.String,  # of all its texts are made of
    "own_stale": pl.Boolean,  # it has no entry, or one of another text or model
    "around_stale": pl.Boolean,  # that, or what stands beside it is another text
    "stale": pl.Boolean,  # one of these, or anything else of its entry is not as it should be
}


@dataclass(frozen=True)
class Terms:
    """Distinct terms of a text, how often each stands in it, and how many there are in all."""

    numbers: npt.NDArray[np.int32]  # ascending
    times: npt.NDArray[np.int32]
    length: int


@lru_cache(maxsize=20_000)
def term_number(term: str) -> int:
    """The number of a term, 1 to DIMENSIONS; the same on every machine and in every run."""
    digest = hashlib.blake2b(term.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % DIMENSIONS + 1


def entries_of(found: pl.DataFrame) -> pl.DataFrame:
    """Entries of what is stale of turns and memories (FOUND, as `index_store.load` gives them).

    Adds `own_text` and `around_text` (the views of `ranking.views`; of a memory both are the same),
    `words` (separated by spaces), `asks` and `answers` (comes after a turn that asks). Days in the
    texts are those of the history's time zone.
    """
    viewed = with_views(
        found.with_columns(
            # Views and neighbours are of one session; a memory stands alone.
            pl.coalesce("session_id", "ref").alias("session"),
            pl.lit(None, dtype=pl.String).alias("caption"),
            pl.col("sent_at").alias("_sent_at"),
            pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("sent_at"),
        )
    )
    asks = pl.col("text").str.contains(ASKS)
    memory = pl.col("kind") == "memory"
    return (
        viewed.with_columns(
            pl.col("_sent_at").alias("sent_at"),
            pl.col("meta").alias("own_text"),
            pl.when(memory).then("meta").otherwise("ctx").alias("around_text"),
            (pl.col("text").str.count_matches(r"\s+") + 1).cast(pl.Int32).alias("words"),
            asks.alias("asks"),
            asks.shift(1).over("session").fill_null(False).alias("answers"),
        )
        .drop("session", "caption", "_sent_at", "meta", "ctx")
        .filter("stale")
    )


def counted(text: str) -> Terms:
    """The terms of a text (`ranking.lexical.terms_of`) as numbers.

    Of a text with more than MOST_TERMS distinct ones the most frequent are kept.
    """
    times = Counter(map(term_number, terms_of(text)))
    if len(times) > MOST_TERMS:
        times = Counter(dict(times.most_common(MOST_TERMS)))
    numbers = np.fromiter(times.keys(), dtype=np.int32, count=len(times))
    often = np.fromiter(times.values(), dtype=np.int32, count=len(times))
    order = np.argsort(numbers)
    return Terms(numbers[order], often[order], int(often.sum()))


def weights_of(terms: Terms, mean: float) -> npt.NDArray[np.float32]:
    """What each term adds to the text's BM25 before its rarity (idf): of shape (distinct terms,).

    tf (k1 + 1) / (tf + k1 (1 − b + b length / mean)), where `mean` is the mean length of all texts
    (S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework", 2009).
    """
    relative = terms.length / max(mean, 1e-9)
    norm = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * relative)
    times = terms.times.astype(np.float64)
    return (times * (SATURATION + 1) / (times + norm)).astype(np.float32)
