"""Memories made up one at a time, and an encoder that knows words and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg

from twin_pipelines.embeddings.encoder import Progress, Vectors
from twin_pipelines.foundation.words import words_of
from twin_pipelines.memory.records import memory_identity

NOW = datetime(2018, 11, 1, 12, tzinfo=UTC)


class WordEncoder:
    """A text's vector is the sum of a random direction for each of its words."""

    model_id = "words@00000001"
    dimensions = 64

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in ["", *words_of(text)]:
                seed = int(hashlib.md5(word.encode()).hexdigest()[:8], 16)
                vectors[row] += np.random.default_rng(seed).normal(size=self.dimensions)
        if progress:
            progress(len(texts))
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def remember(
    connection: psycopg.Connection, content: str, *, days: float = 0, **changed: object
) -> str:
    """A memory last said so many days before NOW; returns its id."""
    at = NOW - timedelta(days=days)
    row: dict[str, object] = {
        "type": "episodic",
        "kind": "Likes",
        "title": "Likes",
        "content": content,
        "about": "sue",
        "people": ["sue", "bob"],
        "language": "en",
        "importance": 0.5,
        "confidence": 0.9,
        "day": at.date(),
        "first_at": at,
        "last_at": at,
        "origin": "owner",
        **changed,
    }
    row["memory_id"] = memory_identity(
        str(row["type"]), str(row["about"]), str(row["kind"]), f"{content}/{days}"
    )
    marks = ", ".join(f"%({name})s" for name in row)
    connection.execute(f"insert into memories ({', '.join(row)}) values ({marks})", row)
    return str(row["memory_id"])
