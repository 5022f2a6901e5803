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
from twin_pipelines.retrieval.search import search
from twin_pipelines.settings import TwinSettings

SPARE = 2  # times as many are searched for: those of unseen sessions are left out


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

    By `pair_id` and `question_id`. None in quick depth and while nothing is embedded. Nothing of an
    `unseen` session (validation, test) and nothing later than train is ever recalled. Raises
    TwinError when a session stands on both sides.
    """
    if settings.evaluation.depth == "quick":
        return None
    encoder = load_encoder(settings)
    if not vector_total(connection, encoder.model_id):
        return None
    barred = {one.session_id for one in (*unseen, *frozen.exchanges)}
    asked = {one.pair_id: one.input for one in frozen.exchanges}
    asked |= {one.question_id: one.question for one in fact_questions(train, unseen)}
    return recall_for(connection, encoder, asked, before=train_until, barred=barred)


def recall_for(
    connection: psycopg.Connection,
    encoder: Encoder,
    asked: Mapping[str, str],
    *,
    before: datetime,
    barred: set[str],
) -> dict[str, list[str]]:
    """What is found for each question, by its key: at most `MOST_RECALLED` shortened turns, none of
    a `barred` session."""
    found = search(
        connection, encoder, list(asked.values()), before=before, k=SPARE * MOST_RECALLED
    )
    return {
        key: [one.text[:RECALLED_CHARS] for one in turns if one.session_id not in barred][
            :MOST_RECALLED
        ]
        for key, turns in zip(asked, found, strict=True)
    }


def digest(recalled: Mapping[str, Sequence[str]] | None) -> list[str]:
    """What an evaluation's identity takes from what was recalled."""
    if recalled is None:
        return []
    return [hashlib.sha256(json.dumps(recalled, sort_keys=True).encode()).hexdigest()[:12]]
