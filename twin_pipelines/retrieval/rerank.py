"""The last word of a cross-encoder, which reads question and candidate together, within a budget.

It is slow, so the best candidates are read first, a few at a time, and when the time a question may
take is over the rest keeps the order it had, behind those that were read, and its reason says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from twin_pipelines.foundation.models import ResolvedModel, resolve_model
from twin_pipelines.retrieval.records import Hit
from twin_pipelines.settings import TwinError, TwinSettings

RERANKED = 48  # candidates a cross-encoder reads, at most
AT_ONCE = 8
LONGEST = 1_000  # characters of a candidate that it reads
NOT_READ = "not read by the reranker, its time was over"


class CrossEncoder(Protocol):
    """Judges pairs of texts."""

    def predict(self, sentences: list[tuple[str, str]], **settings: Any) -> Any:
        """A score for each pair, the higher the better."""


def reranked(
    question: str,
    hits: Sequence[Hit],
    settings: TwinSettings,
    clock: Callable[[], float] = time.monotonic,
) -> list[Hit]:
    """Hits (best first) in the order `retrieval.reranker` gives them, in `retrieval.rerank_ms`.

    Another batch is begun only when one as long as the longest so far still fits; the first always
    is. The score becomes the cross-encoder's, with the boost; that of a hit that was not read falls
    below all of them. Raises TwinError when the model cannot be loaded.
    """
    if not hits:
        return []
    model = load_cross_encoder(settings)
    ends = clock() + settings.retrieval.rerank_ms / 1_000
    scores: list[float] = []
    longest = 0.0
    for start in range(0, min(len(hits), RERANKED), AT_ONCE):
        begun = clock()
        if start and begun + longest > ends:
            break
        part = hits[start : start + AT_ONCE]
        pairs = [(question[:LONGEST], hit.text[:LONGEST]) for hit in part]
        scores += np.asarray(model.predict(pairs, show_progress_bar=False)).reshape(-1).tolist()
        longest = max(longest, clock() - begun)
    read = [
        replace(hit, score=float(score + np.log(hit.boost)))
        for hit, score in zip(hits, scores, strict=False)
    ]
    read.sort(key=lambda hit: -hit.score)
    last = read[-1].score
    rest = [
        replace(hit, score=last - place, why=f"{hit.why}; {NOT_READ}")
        for place, hit in enumerate(hits[len(read) :], start=1)
    ]
    return read + rest


def load_cross_encoder(settings: TwinSettings) -> CrossEncoder:
    """The cross-encoder of `retrieval.reranker`, loaded once a process. Raises TwinError."""
    return _load(resolve_model(settings.retrieval.reranker, settings, purpose="reranking"))


@lru_cache(maxsize=1)
def _load(resolved: ResolvedModel) -> CrossEncoder:
    from sentence_transformers import CrossEncoder as Model

    try:
        return Model(
            str(resolved.path),
            local_files_only=True,
            num_labels=1,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # a foreign model can fail in any way
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise TwinError(
            f"The cross-encoder {resolved.reference} in {resolved.path} cannot be loaded "
            f"({reason}); give another one in retrieval.reranker, or leave it empty."
        ) from error
