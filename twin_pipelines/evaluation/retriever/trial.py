"""What a learned retriever is worth: real replies of unseen contexts, and known items.

Both are asked of the engine that serves (`retrieval.find`), with the retriever in force and with
the learned one, so that all differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Estimate, Floats, difference, ratio, resamples
from twin_pipelines.evaluation.personality.asking import MOST_RECALLED
from twin_pipelines.evaluation.retriever.contexts import Context, Past
from twin_pipelines.evaluation.retriever.likelihood import Told, scored
from twin_pipelines.evaluation.systems import System
from twin_pipelines.retrieval import figures_store
from twin_pipelines.retrieval.figures import FIRST, TURNS_READ, answers, known_items
from twin_pipelines.retrieval.find import Question, find
from twin_pipelines.retrieval.learning.retriever import Retriever

RESAMPLES, SEED = 2_000, 20


@dataclass(frozen=True)
class Trial:
    """Figures of a learned retriever beside the one in force, on the same contexts and questions.

    `gain` is how much likelier the replies become, nats per token, resampled by session;
    `recalling` what the retriever in force is worth beside no recall at all; `changed` the share of
    contexts for which something else is recalled. `known` is the change of recall at 10 of known
    items, `known_before` that recall. None without a context, or a question.
    """

    contexts: int
    changed: float
    gain: Estimate | None
    recalling: Estimate | None
    questions: int
    known: Estimate | None
    known_before: float | None

    def as_dict(self) -> dict[str, Any]:
        """The figures as they are recorded."""
        return asdict(self)


def tried(
    past: Past,
    system: System,
    contexts: Sequence[Context],
    *,
    present: Retriever,
    learned: Retriever,
) -> Trial:
    """Try a learned retriever against the `present` one on contexts it has not learned from."""
    told: list[tuple[Told, Told, Told]] = []
    for context in contexts:
        one = context.exchange
        before, after = (
            tuple(hit.text for hit in past.recalled(context, k=MOST_RECALLED, retriever=retriever))
            for retriever in (present, learned)
        )
        told.append(((one, ()), (one, before), (one, after)))
    found = _known(past, (present, learned))
    past.connection.rollback()
    gain, recalling = _likelier(system, told)
    return Trial(
        contexts=len(told),
        changed=float(np.mean([one[1] != one[2] for one in told])) if told else 0.0,
        gain=gain,
        recalling=recalling,
        questions=len(found),
        known=difference(found[:, 1], found[:, 0], resamples(len(found), RESAMPLES, SEED))
        if len(found)
        else None,
        known_before=float(found[:, 0].mean()) if len(found) else None,
    )


def _likelier(
    system: System, told: Sequence[tuple[Told, Told, Told]]
) -> tuple[Estimate | None, Estimate | None]:
    """Nats per token of the reply: learned against present, and present against no recall."""
    if not told:
        return None, None
    scores = scored(system, [one for group in told for one in group], "unseen replies")
    sums = np.array([score.log_prob for score in scores]).reshape(-1, 3)
    tokens = np.array([score.tokens for score in scores], dtype=float)[::3]
    sessions = [group[0][0].session_id for group in told]
    counts = resamples(len(told), RESAMPLES, SEED, sessions)
    return (
        ratio(sums[:, 2] - sums[:, 1], tokens, counts),
        ratio(sums[:, 1] - sums[:, 0], tokens, counts),
    )


def _known(past: Past, retrievers: Sequence[Retriever]) -> Floats:
    """Whether each known item was among the first ten, 1 or 0: shape (questions, retrievers)."""
    turns = figures_store.sampled_turns(past.connection, TURNS_READ)
    items = known_items(turns, past.encoder) if turns.height else []
    found = np.zeros((len(items), len(retrievers)))
    for row, item in enumerate(items):
        asked = [Question(item.question, asked_on=item.asked_on)]
        for column, retriever in enumerate(retrievers):
            [hits] = find(
                past.connection,
                past.encoder,
                asked,
                k=FIRST,
                settings=past.settings,
                retriever=retriever,
            )
            found[row, column] = any(answers(hit, item) for hit in hits)
    return found
