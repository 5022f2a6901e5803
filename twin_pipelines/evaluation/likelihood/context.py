"""Does the twin answer this context, or any? And does it know the person, or chat as such?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats, difference, mean
from twin_pipelines.evaluation.frame import unmeasured
from twin_pipelines.evaluation.likelihood.perplexity import loss_difference
from twin_pipelines.evaluation.likelihood.pick import Tokens, hits
from twin_pipelines.generation.local import Score

CHOICES = 20


def hits_beyond(
    first: Sequence[Floats], second: Sequence[Floats], counts: Floats
) -> dict[str, Any]:
    """hits@1 of 20 of one system minus that of another on the same contexts (PMI sums of each)."""
    won = [np.array([hits(group, CHOICES) for group in scores]) for scores in (first, second)]
    return difference(won[0], won[1], counts).as_dict()


def shuffled_gap(
    groups: Sequence[Sequence[Tokens]], given: Sequence[Sequence[Score]], counts: Floats
) -> dict[str, Any]:
    """What the right context is worth: nats per token of a real reply, against wrong contexts.

    The negative control of every likelihood: a reply's beginning is likelier after its own context
    than, on average, after those in which it was a distractor. About 0: contexts are not read.
    """
    elsewhere: dict[Tokens, list[float]] = {}
    for replies, scores in zip(groups, given, strict=True):
        for reply, score in zip(replies[1:], scores[1:], strict=True):
            elsewhere.setdefault(reply, []).append(score.log_prob)
    gaps = []
    kept = []
    for place, (replies, scores) in enumerate(zip(groups, given, strict=True)):
        wrong = elsewhere.get(replies[0])
        if wrong:
            gaps.append((scores[0].log_prob - float(np.mean(wrong))) / scores[0].tokens)
            kept.append(place)
    return mean(gaps, counts[:, kept]).as_dict() if gaps else unmeasured()


def person_specific_gain(
    twin: Sequence[Score], another: Sequence[Score] | None, counts: Floats
) -> dict[str, Any]:
    """Loss of the real replies under another person's adapter minus that under the twin's.

    Nats per token, resampled by session; without such an adapter null, and a note says so.
    """
    if another is None:
        why = (
            "no adapter of another person; materialise control_adapter, with evaluation.depth full"
        )
        return {**unmeasured(), "note": why}
    return {**loss_difference(another, twin, counts).as_dict(), "note": None}
