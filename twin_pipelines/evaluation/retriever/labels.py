"""What a retriever learns from: how much likelier each past message made the real reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twin_pipelines.evaluation.retriever.contexts import Context, Past
from twin_pipelines.evaluation.retriever.likelihood import Told, scored
from twin_pipelines.evaluation.systems import System
from twin_pipelines.retrieval.find import Hit
from twin_pipelines.retrieval.learning.fit import Labels
from twin_pipelines.retrieval.learning.retriever import STOCK
from twin_pipelines.retrieval.learning.store import vectors

CANDIDATES, FEWEST = (
    8,
    4,
)  # past messages that are tried for a context; with fewer it teaches little


@dataclass(frozen=True)
class Taught:
    """The labels, the pairs and raw messages they come from, and how many nats each was worth.

    `gains` are those of all candidates: log p(reply | message, context) - log p(reply | context).
    """

    labels: Labels
    pair_ids: list[str]
    message_ids: list[str]
    gains: list[float]


def taught(past: Past, system: System, contexts: Sequence[Context]) -> Taught:
    """Labels of contexts (by time): what the stock encoder finds for each, tried one by one."""
    connection, encoder = past.connection, past.encoder
    tried: list[tuple[Context, list[Hit]]] = []
    for context in contexts:
        hits = past.recalled(context, k=CANDIDATES, retriever=STOCK)
        if len(hits) >= FEWEST:
            tried.append((context, hits))
    found = vectors(connection, [hit.ref for _, hits in tried for hit in hits], encoder.model_id)
    connection.rollback()
    gains = _gains(system, tried)
    shape = (len(tried), CANDIDATES)
    candidates = np.zeros((*shape, encoder.dimensions), dtype=np.float32)
    worth = np.full(shape, np.nan, dtype=np.float32)
    for row, (_, hits) in enumerate(tried):
        for place, hit in enumerate(hits):
            if hit.ref in found:
                candidates[row, place] = found[hit.ref]
                worth[row, place] = gains[row][place]
    questions = encoder.encode([context.exchange.input for context, _ in tried])
    return Taught(
        Labels(questions, candidates, worth),
        [context.exchange.pair_id for context, _ in tried],
        sorted({one for _, hits in tried for hit in hits for one in hit.message_ids}),
        [gain for group in gains for gain in group],
    )


def _gains(system: System, tried: Sequence[tuple[Context, Sequence[Hit]]]) -> list[list[float]]:
    """Nats by which each candidate makes the reply of its context likelier, context by context."""
    told: list[Told] = []
    for context, hits in tried:
        told.append((context.exchange, ()))
        told += [(context.exchange, (hit.text,)) for hit in hits]
    scores = iter(scored(system, told, "replies after past messages"))
    gains = []
    for _, hits in tried:
        alone = next(scores).log_prob
        gains.append([next(scores).log_prob - alone for _ in hits])
    return gains
