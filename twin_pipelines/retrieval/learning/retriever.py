"""A learned adapter of question vectors: a few directions it looks at, and where it moves them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
SHORTEST = 1e-6  # length below which a moved vector has no direction


@dataclass(frozen=True, eq=False)
class Retriever:
    """q becomes q + (q · looksᵀ) · moves, of unit length again. Empty `retriever_id`: q stays.

    `looks` and `moves` have the shape (rank, dimensions). For questions of the embedding model
    `model` alone.
    """

    retriever_id: str
    model: str
    looks: Floats
    moves: Floats

    @property
    def rank(self) -> int:
        """How many directions it looks at."""
        return int(self.looks.shape[0])

    def of(self, vectors: Floats, model: str) -> Floats:
        """Question vectors (questions, dimensions) of an embedding model, as they are looked up.

        Those of another model than it was learned for stay as they are.
        """
        if not self.retriever_id or model != self.model:
            return vectors
        moved = vectors + (vectors @ self.looks.T) @ self.moves
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.where(lengths > SHORTEST, moved / np.maximum(lengths, SHORTEST), vectors).astype(
            np.float32
        )

    def packed(self) -> bytes:
        """Both matrices, float32, little-endian, `looks` first."""
        return np.concatenate([self.looks, self.moves]).astype("<f4").tobytes()

    @classmethod
    def unpacked(cls, retriever_id: str, model: str, dimensions: int, weights: bytes) -> Retriever:
        """The retriever of `packed` weights."""
        both = np.frombuffer(weights, "<f4").astype(np.float32).reshape(2, -1, dimensions)
        return cls(retriever_id, model, both[0], both[1])


_NOTHING = np.zeros((0, 0), dtype=np.float32)
STOCK = Retriever("", "", _NOTHING, _NOTHING)
