"""A made-up conversation of two people, and an encoder of words that needs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl

from twin_pipelines.embeddings.encoder import Progress, Vectors
from twin_pipelines.retrieval.ranking.lexical import terms_of
from twin_pipelines.retrieval.ranking.views import TURNS

SAID = (
    ("1", "Mira", "Hello Otto! How was your weekend?", "2024-03-04"),
    ("1", "Otto", "I went sailing on the lake with my brother.", "2024-03-04"),
    ("1", "Mira", "That sounds great. I baked bread all Sunday.", "2024-03-04"),
    ("1", "Otto", "What kind of bread?", "2024-03-04"),
    ("1", "Mira", "Rye with walnuts, from my grandmother's recipe.", "2024-03-04"),
    ("2", "Otto", "Hi, my brother bought a new boat.", "2024-05-20"),
    ("2", "Mira", "Lovely! I am learning the cello now.", "2024-05-20"),
    ("2", "Otto", "The cello? Who teaches you?", "2024-05-20"),
    ("2", "Mira", "A neighbour from Lisbon, every Thursday evening.", "2024-05-20"),
)


def made_turns() -> pl.DataFrame:
    """Nine turns in two sessions; the second has a picture."""
    rows = [
        (
            f"D{session}:{place}",
            session,
            speaker,
            text,
            "a boat on a lake" if place == 1 else None,
            datetime.fromisoformat(day).replace(tzinfo=UTC),
        )
        for place, (session, speaker, text, day) in enumerate(SAID)
    ]
    return pl.DataFrame(rows, schema=TURNS, orient="row")


class WordEncoder:
    """Each stem is a direction of its own, chosen by its hash; a text is their sum."""

    model_id = "made-up@00000000"
    dimensions = 64

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for term in [*terms_of(text), ""]:
                seed = int(hashlib.sha256(term.encode()).hexdigest()[:8], 16)
                vectors[row] += np.random.default_rng(seed).normal(size=self.dimensions)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
