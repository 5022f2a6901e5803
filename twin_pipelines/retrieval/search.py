"""Search over the subject's own turns: by meaning and by words, fused.

Three signs of a candidate are standardised among the candidates of its question and added: how much
the turn means what is asked, how much what it replied to does, and the words both share with the
question. A sum of z-scores keeps how clearly each sign speaks, which ranks alone lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.retrieval import store
from twin_pipelines.sources.store import subject

CANDIDATES = 50  # by each sign, for a question
SIGNS = ("said", "answered", "words")


@dataclass(frozen=True)
class Recalled:
    """A turn of the subject that was found for a question, and why."""

    message_id: str
    session_id: str
    text: str
    sent_at: datetime
    score: float  # sum of the z-scores
    said: float | None  # cosine similarity of the turn, null without a vector
    answered: float | None  # of the turn it replies to
    words: float  # BM25


def search(
    connection: psycopg.Connection,
    encoder: Encoder,
    queries: Sequence[str],
    *,
    before: datetime | None,
    k: int,
) -> list[list[Recalled]]:
    """For each query the k turns of the subject that answer it best, the best first.

    Only turns that ended before `before` (None: all). The same words are given once. Raises
    TwinError while no subject was chosen.
    """
    if not queries:
        return []
    found = store.candidates(
        connection,
        speaker=subject(connection).speaker,
        model=encoder.model_id,
        texts=queries,
        vectors=encoder.encode(queries),
        before=before,
        most=max(CANDIDATES, k),
    )
    results: list[list[Recalled]] = [[] for _ in queries]
    for row in fused(found, k).iter_rows(named=True):
        results[row.pop("query")].append(Recalled(**row))
    return results


def fused(candidates: pl.DataFrame, k: int) -> pl.DataFrame:
    """The k best candidates (`store.CANDIDATES`) of each query with their `score`, best first.

    A sign that a candidate lacks, or that all of a query have alike, adds nothing.
    """
    scored = candidates.with_columns(
        pl.sum_horizontal(_standard(sign).over("query") for sign in SIGNS).alias("score")
    )
    best = scored.sort(
        "query", "score", "sent_at", "message_id", descending=[False, True, True, False]
    )
    spoken = pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ")
    once = best.filter(pl.struct("query", spoken).is_first_distinct())
    return once.group_by("query", maintain_order=True).head(k)


def _standard(sign: str) -> pl.Expr:
    value = pl.col(sign)
    spread = pl.when(value.std() > 0).then(value.std())
    return ((value - value.mean()) / spread).fill_null(0.0)
