"""From dataset to verdict: a retriever is learned, tried, judged and recorded, once a recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.evaluation.frozen import exchange, read_split, train_exchanges
from twin_pipelines.evaluation.retriever.contexts import Context, Past, drawn
from twin_pipelines.evaluation.retriever.labels import CANDIDATES, Taught, taught
from twin_pipelines.evaluation.retriever.likelihood import CONTEXT_TOKENS, REPLY_TOKENS
from twin_pipelines.evaluation.retriever.trial import Trial, tried
from twin_pipelines.evaluation.retriever.verdict import judged
from twin_pipelines.evaluation.systems import System, forget_old_answers
from twin_pipelines.evaluation.unseen import refuse_shared
from twin_pipelines.evaluation.workers import Model, Workers, workers_for
from twin_pipelines.foundation.models import ResolvedModel, resolve_model
from twin_pipelines.instruct.store import (
    DatasetVersion,
    latest_dataset,
    message_ids,
    reply_times,
)
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.retrieval.learning import store
from twin_pipelines.retrieval.learning.fit import RANK, Fitted, fit
from twin_pipelines.retrieval.learning.retriever import Retriever
from twin_pipelines.retrieval.learning.store import Learned
from twin_pipelines.settings import TwinError, TwinSettings

TAUGHT, TRIED = 400, 250  # contexts that are learned from, and tried on, at most
FEWEST_TAUGHT = 40
LEAST_TO_SHARE = 50  # prompts for which starting processes pays
ANSWERS, KEPT_ANSWERS = ".retriever", 1_000  # pieces of answers, beside the evaluations
CODE = 1  # raise it when the same recipe would give another retriever

Report = Callable[[str], None]


@dataclass(frozen=True)
class _Recipe:
    """What a retriever is learned from."""

    made_from: DatasetVersion
    base: ResolvedModel
    dtype: str
    present: Retriever

    def hash(self, model: str) -> str:
        """Its identity, for an embedding model."""
        parts = [
            *(self.made_from.version, self.base.sha256, self.dtype, self.present.retriever_id),
            *(model, TAUGHT, TRIED, CANDIDATES, CONTEXT_TOKENS, REPLY_TOKENS, RANK, CODE),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def learned_retriever(
    connection: psycopg.Connection, encoder: Encoder, settings: TwinSettings, report: Report
) -> Learned:
    """Learn a retriever from the train split, try it on the validation split, judge and record it.

    It comes into force when the gate lets it. One that was learned from the same dataset, models
    and beside the same retriever in force is given again as it stands, refused or rolled back. The
    connection must be idle. Raises TwinError without a dataset, where it is too small to learn
    from, or when messages are erased meanwhile; SeenError when a context of the trial was learned
    from.
    """
    made_from = latest_dataset(connection)
    if made_from is None:
        raise TwinError("There is no dataset to learn from; materialise instruct_dataset first.")
    recipe = _Recipe(
        made_from,
        resolve_model(settings.training.base_model, settings, purpose="causal"),
        settings.training.dtype,
        store.retriever(connection, store.in_force(connection) or ""),
    )
    known = store.of_recipe(connection, recipe.hash(encoder.model_id))
    connection.rollback()
    if known:
        return known
    index_queued(connection, encoder, wait=True)
    return _learned(connection, encoder, settings, recipe, report)


def _learned(
    connection: psycopg.Connection,
    encoder: Encoder,
    settings: TwinSettings,
    recipe: _Recipe,
    report: Report,
) -> Learned:
    learnt, unseen = _contexts(connection, settings, recipe.made_from)
    past = Past(connection, encoder, settings, recipe.made_from.subject)
    cache = settings.evaluations_dir / ANSWERS
    number = workers_for(recipe.base, len(learnt) * CANDIDATES, LEAST_TO_SHARE)
    with Workers(number) as workers:
        model = Model(recipe.base, None, recipe.dtype)
        system = System(
            "base", model, workers, cache=cache, max_tokens=CONTEXT_TOKENS, report=report
        )
        lesson = taught(past, system, learnt)
        if len(lesson.pair_ids) < FEWEST_TAUGHT:
            raise TwinError(
                f"Only {len(lesson.pair_ids)} replies of dataset {recipe.made_from.version} had a "
                f"past to recall and {FEWEST_TAUGHT} are needed to learn a retriever; import more "
                "history."
            )
        fitted = fit(lesson.labels)
        report(f"learned in {fitted.steps} steps: {fitted.before:.4f} → {fitted.after:.4f} nats")
        learned = _named(recipe.hash(encoder.model_id), encoder.model_id, fitted)
        trial = None
        if fitted.steps:
            trial = tried(past, system, unseen, present=recipe.present, learned=learned)
    forget_old_answers(cache, KEPT_ANSWERS)
    passed, verdict = judged(fitted, trial)
    pairs = message_ids(connection, lesson.pair_ids)
    store.save(
        connection,
        learned,
        recipe=recipe.hash(learned.model),
        learned_from=recipe.made_from.version,
        message_ids=sorted({*lesson.message_ids, *(one for ids in pairs.values() for one in ids)}),
        figures=_figures(recipe, lesson, fitted, trial),
        passed=passed,
        verdict=verdict,
    )
    if passed:
        store.put_in_force(connection, learned.retriever_id)
    connection.commit()
    found = store.recorded(connection, learned.retriever_id)
    assert found, "it was just recorded"
    return found


def _contexts(
    connection: psycopg.Connection, settings: TwinSettings, made_from: DatasetVersion
) -> tuple[list[Context], list[Context]]:
    """Contexts to learn from (train split) and to try on (validation split)."""
    folder = settings.home / made_from.path
    train = train_exchanges(folder)
    unseen = [exchange(row) for row in read_split(folder, "validation")]
    times = reply_times(connection, [one.pair_id for one in (*train, *unseen)])
    connection.rollback()
    learnt, asked = drawn(train, times, TAUGHT), drawn(unseen, times, TRIED)
    taught_sessions = {one.exchange.session_id for one in learnt}
    refuse_shared(
        (one.exchange.session_id for one in asked),
        taught_sessions,
        "sessions",
        "what the retriever learned from",
    )
    return learnt, asked


def _named(recipe: str, model: str, fitted: Fitted) -> Retriever:
    unnamed = Retriever("", model, fitted.looks, fitted.moves)
    digest = hashlib.sha256(recipe.encode() + unnamed.packed()).hexdigest()[:12]
    return Retriever(digest, model, fitted.looks, fitted.moves)


def _figures(
    recipe: _Recipe, lesson: Taught, fitted: Fitted, trial: Trial | None
) -> dict[str, Any]:
    """What is told of a retriever: what it learned from, how well it fits, what the trial said."""
    gains = np.array(lesson.gains)
    return {
        "compared_with": recipe.present.retriever_id or "the encoder as it is",
        "contexts": len(lesson.pair_ids),
        "gains": {
            "tried": len(gains),
            "mean_nats": float(gains.mean()),
            "best_mean_nats": float(np.nanmax(lesson.labels.gains, axis=1).mean()),
            "helpful_share": float((gains > 0).mean()),
        },
        "divergence": {"before": fitted.before, "after": fitted.after},
        "nearness": fitted.nearness,
        "penalty": fitted.penalty,
        "steps": fitted.steps,
        "trial": trial.as_dict() if trial else None,
    }
