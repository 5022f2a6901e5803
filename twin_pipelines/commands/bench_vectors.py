"""Vectors kept in files, so that the texts of a benchmark are run through the model once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from twin_pipelines.embeddings.encoder import Encoder, Progress, Vectors

FEWEST_KEPT = 64  # texts of one call; fewer are questions, whose time is measured
AT_ONCE = 8_192  # texts between two writes


class KeptVectors:
    """An encoder that knows the vectors of texts it has seen, in half precision.

    Of each model one file of keys (eight bytes of a text's hash) and one of vectors in `folder`.
    Whatever a killed process left of a write is cut off. One process at a time may add.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self._encoder = encoder
        self.model_id = encoder.model_id
        self.dimensions = encoder.dimensions
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(encoder.model_id.encode()).hexdigest()[:12]
        self._keys, self._vectors = folder / f"{name}.keys", folder / f"{name}.vectors"
        self._known = self._read()
        self.made = 0  # texts that were run through the model

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """As the encoder does; of FEWEST_KEPT texts or more, vectors are looked up and kept."""
        if len(texts) < FEWEST_KEPT:
            return self._encoder.encode(texts, progress)
        made = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), AT_ONCE):
            part = texts[start : start + AT_ONCE]
            made[start : start + len(part)] = self._encoded(part)
            if progress:
                progress(start + len(part))
        return made

    def _encoded(self, texts: Sequence[str]) -> Vectors:
        keys = np.array([_key(text) for text in texts], dtype=np.uint64)
        order, rows = self._known
        places = np.searchsorted(order, keys)
        found = places < len(order)
        found[found] = order[places[found]] == keys[found]
        made = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if found.any():
            made[found] = self._stored()[rows[places[found]]]
        if not found.all():
            fresh = [text for text, known in zip(texts, found, strict=True) if not known]
            made[~found] = self._encoder.encode(fresh)
            self._add(keys[~found], made[~found])
            self.made += len(fresh)
        return made

    def _stored(self) -> npt.NDArray[np.float16]:
        return np.memmap(self._vectors, dtype=np.float16, mode="r").reshape(-1, self.dimensions)

    def _add(self, keys: npt.NDArray[np.uint64], vectors: Vectors) -> None:
        with self._vectors.open("ab") as file:
            file.write(vectors.astype(np.float16).tobytes())
        with self._keys.open("ab") as file:
            file.write(keys.tobytes())
        order, rows = self._known
        fresh = np.arange(len(rows), len(rows) + len(keys))
        self._known = _sorted(np.append(order, keys), np.append(rows, fresh))

    def _read(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Keys in order and the row of each one's vector; both files cut to whole rows."""
        width = 2 * self.dimensions
        for file in (self._keys, self._vectors):
            file.touch()
        rows = min(self._keys.stat().st_size // 8, self._vectors.stat().st_size // width)
        for file, size in ((self._keys, 8), (self._vectors, width)):
            with file.open("r+b") as opened:
                opened.truncate(rows * size)
        return _sorted(np.fromfile(self._keys, dtype=np.uint64), np.arange(rows))


def _sorted(
    keys: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    order = np.argsort(keys, kind="stable")
    return keys[order], rows[order]


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
