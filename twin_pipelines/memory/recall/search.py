"""Search over memories: by meaning and by words at once, nudged by importance and freshness.

A memory's relevance is `MEANING` times the cosine similarity of its vector with the question's and
the rest times the share of the question's words it holds (BM25, each word by its rarity).
Importance and retention multiply that by 0.9 to 1.1 and no more, so that an old memory that answers
is found before a fresh one that does not. Dreams never happened: they are found only where dreams
are asked for, and then nothing else is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.foundation.words import words_of_all
from twin_pipelines.memory.forgetting.retention import with_retention
from twin_pipelines.memory.forgetting.store import history_end
from twin_pipelines.memory.recall import search_store
from twin_pipelines.settings import Memory

CANDIDATES = 50  # by meaning and by words each, for a question
MEANING = 0.5  # share of the meaning in the relevance
NUDGE = 0.05  # importance, and retention, move the score by so much either way
INDEXED_AT_ONCE = 8_192  # contents held in memory


@dataclass(frozen=True)
class Found:
    """A memory that was found for a question, and why."""

    memory_id: str
    type: str
    kind: str
    title: str
    content: str
    about: str
    importance: float
    first_at: datetime
    last_at: datetime
    score: float  # relevance times boost
    meaning: float  # cosine similarity; 0 without a vector
    words: float  # share of the question's words, weighed by their rarity, 0 to 1
    retention: float  # 0 to 1
    boost: float  # 0.9 to 1.1
    rank: int  # 1 is the best
    imagined: bool


def search(
    connection: psycopg.Connection,
    encoder: Encoder,
    queries: Sequence[str],
    *,
    k: int = 10,
    before: datetime | None = None,
    dreams: bool = False,
    about: str | None = None,
    settings: Memory | None = None,
) -> list[list[Found]]:
    """For each question the k memories that answer it best, the best first.

    Only active ones that still hold; with `before` as of then, made of nothing said later. `about`
    keeps those about one speaker. What was not indexed yet (`index`) is not found.
    """
    frame = ranked(
        connection, encoder, queries, before=before, dreams=dreams, about=about, settings=settings
    )
    results: list[list[Found]] = [[] for _ in queries]
    for row in frame.filter(pl.col("rank") <= k).iter_rows(named=True):
        results[row.pop("query")].append(Found(**row, imagined=dreams))
    return results


def explain(
    connection: psycopg.Connection,
    encoder: Encoder,
    query: str,
    memory_id: str,
    *,
    settings: Memory | None = None,
) -> Found | None:
    """How a memory fares for a question, wherever it ranks; None where it may not be found.

    Its `rank` counts the candidates before it. Dreams are looked for among dreams.
    """
    for dreams in (False, True):
        frame = ranked(
            connection, encoder, [query], dreams=dreams, besides=[memory_id], settings=settings
        ).filter(memory_id=memory_id)
        if frame.height:
            row = frame.row(0, named=True)
            row.pop("query")
            return Found(**row, imagined=dreams)
    return None


def ranked(
    connection: psycopg.Connection,
    encoder: Encoder,
    queries: Sequence[str],
    *,
    before: datetime | None = None,
    dreams: bool = False,
    about: str | None = None,
    besides: Sequence[str] = (),
    most: int = CANDIDATES,
    settings: Memory | None = None,
) -> pl.DataFrame:
    """All candidates of each question with the fields of `Found` and `query`, the best first."""
    memory = settings or Memory()
    asked = [query.replace("\0", "") for query in queries]
    at = before or history_end(connection) or datetime.now(UTC)
    found = search_store.candidates(
        connection,
        model=encoder.model_id,
        words=words_of_all(asked),
        vectors=encoder.encode(asked),
        at=at,
        before=before,
        dreams=dreams,
        most=most,
        core=(memory.core_threshold, memory.core_sessions),
        about=about,
        besides=besides,
    )
    return scored(with_retention(found, at, memory.half_life_days))


def scored(candidates: pl.DataFrame) -> pl.DataFrame:
    """Candidates (`search_store.CANDIDATES` with `retention`) ranked within their `query`."""
    boost = 1 + NUDGE * (2 * pl.col("importance") - 1) + NUDGE * (2 * pl.col("retention") - 1)
    relevance = MEANING * pl.col("meaning").clip(0, 1) + (1 - MEANING) * pl.col("words")
    fields = [name for name in Found.__dataclass_fields__ if name not in ("imagined", "rank")]
    return (
        candidates.with_columns(boost.alias("boost"))
        .with_columns((relevance * pl.col("boost")).alias("score"))
        .sort("query", "score", "last_at", "memory_id", descending=[False, True, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1).over("query").alias("rank"))
        .select("query", *fields, "rank")
    )


@dataclass(frozen=True)
class Indexed:
    """What indexing did: memories given a vector and words, and texts run through the model."""

    memories: int
    embedded: int


def index(connection: psycopg.Connection, encoder: Encoder) -> Indexed:
    """Give every active memory a vector of the encoder's model and its words, where they are not
    those of its present content. Commits after each part."""
    memories, embedded = 0, 0
    while True:
        contents = search_store.pending_contents(connection, encoder.model_id, INDEXED_AT_ONCE)
        connection.commit()
        if contents.is_empty():
            break
        texts = contents["content"].to_list()
        memories += search_store.write_index(
            connection, encoder.model_id, contents, words_of_all(texts), encoder.encode(texts)
        )
        embedded += contents.height
        connection.commit()
    search_store.ensure_index(connection, encoder.model_id, encoder.dimensions)
    connection.commit()
    return Indexed(memories, embedded)
