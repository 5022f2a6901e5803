"""Manner by situation: does the twin react to what the partner does as the person does?

For each situation (`situations`) the distributions of a reply's features are compared by
1 - Jensen–Shannon distance (base 2), averaged over features, and over situations by how often they
occurred. Every sample holds as many replies to each situation as the systems were asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats
from twin_pipelines.evaluation.personality.agreement import Part, unmeasured
from twin_pipelines.evaluation.personality.comparison import (
    SAMPLES,
    SAMPLES_OF_OTHERS,
    Material,
    compare,
    sample_by_group,
)
from twin_pipelines.evaluation.personality.others import Said
from twin_pipelines.evaluation.personality.situations import (
    SITUATIONS,
    ReplyFeatures,
    common_openings,
    situation,
)

FEWEST = 8  # replies to a situation; rarer ones count as "other"
FEWEST_REPLIES = 40
FEWEST_PEOPLE = 5


def manner_parts(
    real: Sequence[Said],
    systems: Mapping[str, Sequence[str]],
    earlier: Sequence[Said],
    people: Mapping[str, Sequence[Said]],
    *,
    times: int,
    seed: int,
) -> dict[str, Part]:
    """How far each system reacts as the person; all reply to the first of `real`.

    `earlier` are exchanges of the person's train sessions, `people` exchanges of others.
    """
    asked = max(map(len, systems.values()))
    if asked < FEWEST_REPLIES:
        note = f"{asked} real replies; {FEWEST_REPLIES} are needed"
        return dict.fromkeys(systems, unmeasured(asked, note))
    features = ReplyFeatures(common_openings([one.reply for one in earlier]))
    numbers = _Numbering([one.input for one in real[:asked]])
    needed = dict(Counter(numbers(one.input) for one in real[:asked]))

    def rows(exchanges: Sequence[Said]) -> Floats:
        places = np.array([numbers(one.input) for one in exchanges])
        return _placed(features.rows([one.reply for one in exchanges]), places)

    rng = np.random.default_rng([seed, 3])

    def samples(exchanges: Sequence[Said], number: int) -> Floats | None:
        places = np.array([numbers(one.input) for one in exchanges], dtype=np.int64)
        return sample_by_group(rows(exchanges), places, needed, number, rng)

    own = samples(earlier, SAMPLES)
    drawn = [samples(said, SAMPLES_OF_OTHERS) for said in people.values() if said]
    others = [one for one in drawn if one is not None]
    if own is None or len(others) < FEWEST_PEOPLE:
        note = "too few replies of the person's train sessions or of other people to a situation"
        return dict.fromkeys(systems, unmeasured(asked, note))
    said = {
        name: rows([Said(one.input, reply) for one, reply in zip(real, replies, strict=False)])
        for name, replies in systems.items()
    }

    def agreement(first: Floats, second: Floats) -> Floats:
        return _agreement(first, second, features)

    return compare(Material(rows(real), said, own, others), agreement, times, seed)


class _Numbering:
    """The number of a message's situation, where rare ones are "other"."""

    def __init__(self, messages: Sequence[str]) -> None:
        seen = Counter(map(situation, messages))
        self._kept = {name for name in SITUATIONS if seen[name] >= FEWEST}

    def __call__(self, message: str) -> int:
        name = situation(message)
        return SITUATIONS.index(name if name in self._kept else "other")


def _placed(rows: Floats, places: np.ndarray) -> Floats:
    """Each row in the block of its situation (n, situations * width)."""
    table = np.zeros((len(rows), len(SITUATIONS), rows.shape[1]))
    table[np.arange(len(rows)), places] = rows
    return table.reshape(len(rows), -1)


def _agreement(first: Floats, second: Floats, features: ReplyFeatures) -> Floats:
    left = first.reshape(len(first), 1, len(SITUATIONS), -1)
    right = second.reshape(1, len(second), len(SITUATIONS), -1)
    replies = left[..., : features.starts[1]].sum(axis=-1)  # every reply has one bucket of each
    alike = 1 - _distance(_shares(left, features), _shares(right, features), features)
    weight = replies / replies.sum(axis=-1, keepdims=True)
    return (alike * weight).sum(axis=-1)


def _shares(counts: Floats, features: ReplyFeatures) -> Floats:
    totals = counts[..., : features.starts[1]].sum(axis=-1, keepdims=True)
    return counts / np.maximum(totals, 1)


def _distance(p: Floats, q: Floats, features: ReplyFeatures) -> Floats:
    """Jensen–Shannon distance (base 2, 0–1) of every situation, the mean of all features."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0) + np.where(
            q > 0, q * np.log2(q / middle), 0
        )
    divergence = np.add.reduceat(terms, features.starts, axis=-1) / 2
    return np.sqrt(np.clip(divergence, 0, 1)).mean(axis=-1)
