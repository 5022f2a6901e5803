"""What was looked up already: the vectors of questions, and what was found, while nothing changed.

A find is kept with the version of the index it was found in (`search_state.version`, which rises
with every change of an entry or a memory) and is given only while that is the version still.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np

from twin_pipelines.embeddings.encoder import Encoder, Progress, Vectors

ONE_CALL = 8  # texts; more are no questions, and are not kept
Kept = TypeVar("Kept")


class Newest(Generic[Kept]):
    """The `most` values that were asked for last, by key; counts hits and misses. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._guard = threading.Lock()
        self._held: OrderedDict[Hashable, Kept] = OrderedDict()
        self._hits = self._misses = 0

    @property
    def counts(self) -> tuple[int, int]:
        """Hits and misses so far."""
        with self._guard:
            return self._hits, self._misses

    def get(self, key: Hashable, usable: Callable[[Kept], bool] = lambda _: True) -> Kept | None:
        """The value of a key, where there is one and it is `usable`; else None, a miss."""
        with self._guard:
            held = self._held.get(key)
            if held is not None and usable(held):
                self._held.move_to_end(key)
                self._hits += 1
                return held
            self._misses += 1
            return None

    def put(self, key: Hashable, value: Kept) -> None:
        """Keep a value; the one that was not asked for longest goes when there are too many."""
        with self._guard:
            self._held[key] = value
            self._held.move_to_end(key)
            if len(self._held) > self._most:
                self._held.popitem(last=False)


class CachedEncoder:
    """An encoder that keeps the vectors of the questions that were asked last."""

    def __init__(self, encoder: Encoder, most: int) -> None:
        self._encoder = encoder
        self._vectors: Newest[Vectors] = Newest(most)
        self.model_id = encoder.model_id
        self.dimensions = encoder.dimensions

    @property
    def counts(self) -> tuple[int, int]:
        """Hits and misses so far."""
        return self._vectors.counts

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """As the encoder does. Vectors of a call of ONE_CALL texts or fewer are kept."""
        if len(texts) > ONE_CALL or not texts:
            return self._encoder.encode(texts, progress)
        known = [self._vectors.get(text) for text in texts]
        missing = [text for text, vector in zip(texts, known, strict=True) if vector is None]
        made = iter(self._encoder.encode(missing, progress)) if missing else iter(())
        found = []
        for text, held in zip(texts, known, strict=True):
            vector = held
            if vector is None:
                vector = np.array(next(made))
                self._vectors.put(text, vector)
            found.append(vector)
        return np.stack(found)


class Versioned(Generic[Kept]):
    """Values that hold for one version of the index; one found in another is never given."""

    def __init__(self, most: int) -> None:
        self._values: Newest[tuple[int, Kept]] = Newest(most)

    @property
    def counts(self) -> tuple[int, int]:
        """Hits and misses so far; one that is stale is a miss."""
        return self._values.counts

    def get(self, key: Hashable, version: int, find: Callable[[], Kept]) -> Kept:
        """What was found for a key in this version, or what `find` finds now.

        Read the version before calling: what changes meanwhile makes the find too new for its
        version, and never too old.
        """
        held = self._values.get(key, lambda value: value[0] == version)
        if held is not None:
            return held[1]
        found = find()
        self._values.put(key, (version, found))
        return found
