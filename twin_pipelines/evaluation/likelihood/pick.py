"""Pick the real reply: the true one among the subject's own replies to other contexts.

docs/figures.md. Scored by PMI sum = log p(reply | context) - log p(reply): a reply that is likely
anywhere gains nothing from it. p(reply) is the mean of p(reply | another context) over the contexts
in which it was a distractor: never the one it answers, nor the one being judged, so that the true
reply and its rivals are treated alike. Of a very long reply (in quick depth: of a long one) only
the first tokens are scored, so that thousands of candidates can be read. hits@1/k is the chance
that the true reply beats k - 1 distractors; with 19 distractors scored, that of a smaller k is
computed over all their subsets instead of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from math import comb, log
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats, mean
from twin_pipelines.generation.local import Score

DISTRACTORS = 19
Tokens = tuple[int, ...]
CHOICES = (4, 20)


def candidates(replies: Sequence[Tokens], seed: int) -> list[list[Tokens]]:
    """The true reply of each context, first, and its distractors from the other contexts.

    `replies` are the beginnings of the real replies, one a context. Distractors differ from one
    another and from the true reply; fewer where there are not enough.
    """
    pool = list(dict.fromkeys(replies))
    groups = []
    for position, true in enumerate(replies):
        order = np.random.default_rng([seed, position]).permutation(len(pool))
        others = (pool[place] for place in order if pool[place] != true)
        groups.append([true, *islice(others, DISTRACTORS)])
    return groups


def pmi(groups: Sequence[Sequence[Tokens]], given: Sequence[Sequence[Score]]) -> list[Floats]:
    """PMI sum of each candidate, the true one first: `given` its context, less p(reply).

    A distractor that stands nowhere else is left out; where the true reply does not, all are, and
    the context is not judged.
    """
    elsewhere: dict[Tokens, dict[int, float]] = {}
    for place, (replies, scores) in enumerate(zip(groups, given, strict=True)):
        for reply, score in zip(replies[1:], scores[1:], strict=True):
            elsewhere.setdefault(reply, {})[place] = score.log_prob
    return [
        _sums(replies, scores, place, elsewhere)
        for place, (replies, scores) in enumerate(zip(groups, given, strict=True))
    ]


def _sums(
    replies: Sequence[Tokens],
    scores: Sequence[Score],
    place: int,
    elsewhere: Mapping[Tokens, Mapping[int, float]],
) -> Floats:
    sums = []
    for reply, score in zip(replies, scores, strict=True):
        others = [found for other, found in elsewhere.get(reply, {}).items() if other != place]
        if others:
            sums.append(score.log_prob - float(np.logaddexp.reduce(others)) + log(len(others)))
        elif not sums:
            break
    return np.array(sums)


def hits(scores: Floats, choices: int) -> float:
    """Chance that the first score is the highest among itself and `choices` - 1 of the others.

    Over all subsets of that size; NaN where there are fewer others.
    """
    others = len(scores) - 1
    if others < choices - 1:
        return float("nan")
    beaten = int((scores[1:] < scores[0]).sum())
    return comb(beaten, choices - 1) / comb(others, choices - 1)


def pick_figures(scores: Sequence[Floats], counts: Floats) -> dict[str, Any]:
    """hits@1 of 4 and of 20 with intervals; `counts` are bootstrap resamples of the contexts."""
    figures = {}
    for choices in CHOICES:
        won = np.array([hits(group, choices) for group in scores])
        figures[f"hits1_of_{choices}"] = mean(won, counts).as_dict()
    return figures
