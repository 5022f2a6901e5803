"""What the twin would recall for the questions of an evaluation, from the train side alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import psycopg

from twin_pipelines.embeddings.encoder import Encoder, load_encoder
from twin_pipelines.embeddings.store import vector_total
from twin_pipelines.evaluation.frozen import Exchange, FrozenSet
from twin_pipelines.evaluation.personality.asking import MOST_RECALLED, RECALLED_CHARS
from twin_pipelines.evaluation.personality.persona import fact_questions
from twin_pipelines.retrieval.find import Filters, Question, find
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.store import subject


def recall(
    connection: psycopg.Connection,
    settings: TwinSettings,
    *,
    train: Sequence[Exchange],
    unseen: Sequence[Exchange],
    frozen: FrozenSet,
    train_until: datetime,
) -> dict[str, list[str]] | None:
    """The subject's own words for each frozen context and each question about the person.

    By `pair_id` and `question_id`. None in quick depth and while nothing is embedded. What waits to
    be indexed is indexed first, so the connection must be idle. Nothing of an `unseen` session
    (validation, test) and nothing later than train is ever recalled. Raises TwinError when a
    session stands on both sides.
    """
    if settings.evaluation.depth == "quick":
        return None
    encoder = load_encoder(settings)
    if not vector_total(connection, encoder.model_id):
        return None
    barred = {one.session_id for one in (*unseen, *frozen.exchanges)}
    asked = {one.pair_id: one.input for one in frozen.exchanges}
    asked |= {one.question_id: one.question for one in fact_questions(train, unseen)}
    index_queued(connection, encoder, wait=True)
    return recall_for(connection, encoder, settings, asked, before=train_until, barred=barred)


def recall_for(
    connection: psycopg.Connection,
    encoder: Encoder,
    settings: TwinSettings,
    asked: Mapping[str, str],
    *,
    before: datetime,
    barred: set[str],
) -> dict[str, list[str]]:
    """What is found for each question, by its key: at most `MOST_RECALLED` shortened turns of the
    subject that tell something, none of a `barred` session.

    By the learned fusion alone: a reranker has only so much time, and what is recalled here must
    not depend on the machine. Raises TwinError while no subject was chosen.
    """
    plain = settings.retrieval.model_copy(update={"reranker": "", "expansion": "off"})
    found = find(
        connection,
        encoder,
        [Question(text) for text in asked.values()],
        k=MOST_RECALLED,
        filters=Filters(
            kinds=frozenset({"turn"}),
            speakers=frozenset({subject(connection).speaker}),
            before=before,
            barred=frozenset(barred),
            telling=True,
        ),
        settings=settings.model_copy(update={"retrieval": plain}),
    )
    return {
        key: [hit.text[:RECALLED_CHARS] for hit in hits]
        for key, hits in zip(asked, found, strict=True)
    }


def digest(recalled: Mapping[str, Sequence[str]] | None) -> list[str]:
    """What an evaluation's identity takes from what was recalled."""
    if recalled is None:
        return []
    return [hashlib.sha256(json.dumps(recalled, sort_keys=True).encode()).hexdigest()[:12]]
