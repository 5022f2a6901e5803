"""The plain ways to search, timed with the same questions: a scan of vectors, a BM25 library."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from twin_pipelines.embeddings.encoder import Encoder

FOUND = 10


def scan_ms(
    connection: psycopg.Connection, encoder: Encoder, questions: Sequence[str]
) -> list[float]:
    """Seconds of each question: its vector, compared with every entry's by pgvector, no index."""
    from pgvector import HalfVector

    taken = []
    with connection.transaction():
        connection.execute("set local enable_indexscan = off")
        for number, question in enumerate(["", *questions]):
            begun = time.perf_counter()
            (vector,) = encoder.encode([question])
            connection.execute(
                "select entry_id from search_entries order by own_vector <=> %s limit %s",
                (HalfVector(vector), FOUND),
            ).fetchall()
            if number:  # the first one warms
                taken.append(time.perf_counter() - begun)
    connection.commit()
    return taken


def library_ms(texts: Sequence[str], questions: Sequence[str], folder: Path) -> list[float] | None:
    """Seconds of each question by bm25s over the same texts, in memory; None where it is missing.

    Its index is made once and kept in `folder`.
    """
    try:
        import bm25s
    except ModuleNotFoundError:
        return None
    if folder.exists():
        library = bm25s.BM25.load(str(folder), mmap=False, show_progress=False)
    else:
        library = bm25s.BM25()
        tokens = bm25s.tokenize(list(texts), stopwords="en", show_progress=False)
        library.index(tokens, show_progress=False)
        library.save(str(folder), show_progress=False)
    taken = []
    for question in questions:
        begun = time.perf_counter()
        tokens = bm25s.tokenize([question], stopwords="en", show_progress=False)
        library.retrieve(tokens, k=min(FOUND, len(texts)), show_progress=False)
        taken.append(time.perf_counter() - begun)
    return taken
