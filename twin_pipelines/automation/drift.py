"""Drift: has the way the subject writes moved away from what the champion learnt?

Compared are the subject's replies, recent against learnt, as three distributions: character
trigrams, lengths (powers of two of their characters) and languages. The distance is the
Jensen-Shannon divergence in bits (Lin 1991), 0 for equal and 1 for disjoint distributions. Samples
of one writer differ too, the more the smaller they are: so the same divergence is computed for
random relabellings of whole sessions, and only what lies beyond their mean counts as a shift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PERMUTATIONS = 200
TRIGRAMS = 1_500  # the commonest of both samples
LENGTHS = 12
CHANCE = 0.99  # quantile of the relabellings that a shift must exceed


@dataclass(frozen=True)
class Reply:
    """A reply of the subject, the session it was given in and its language."""

    session: str
    text: str
    language: str


@dataclass(frozen=True)
class Shift:
    """How far one distribution moved, in bits, beside what chance alone moves it."""

    what: str
    divergence: float
    by_chance: float  # mean over relabellings
    chance_limit: float  # their CHANCE quantile

    @property
    def beyond_chance(self) -> float:
        """Bits more than chance; never below 0."""
        return max(0.0, self.divergence - self.by_chance)

    @property
    def sure(self) -> bool:
        """Whether chance alone hardly moves it as far."""
        return self.divergence > self.chance_limit


@dataclass(frozen=True)
class Drift:
    """The shifts of trigrams, lengths and languages."""

    shifts: tuple[Shift, ...]

    def over(self, threshold: float) -> bool:
        """Whether any distribution surely moved by more bits than the threshold, beyond chance."""
        return any(shift.sure and shift.beyond_chance > threshold for shift in self.shifts)

    @property
    def words(self) -> str:
        """Every shift for a person."""
        told = (
            f"{shift.what} by {shift.beyond_chance:.3f} bits beyond chance"
            + ("" if shift.sure else " (within chance)")
            for shift in self.shifts
        )
        return "; ".join(told)


def drift(recent: Sequence[Reply], learnt: Sequence[Reply], *, seed: int = 0) -> Drift:
    """How far `recent` replies have moved from the `learnt` ones.

    Raises ValueError where either is empty, or both hold one session only.
    """
    if not recent or not learnt:
        raise ValueError("drift needs replies on both sides")
    replies = [*recent, *learnt]
    sessions = {name: row for row, name in enumerate(dict.fromkeys(r.session for r in replies))}
    sides = np.zeros(len(sessions), dtype=bool)
    sides[[sessions[reply.session] for reply in recent]] = True
    if len(sessions) < 2 or sides.all():
        raise ValueError("drift needs sessions on both sides")
    rows = [sessions[reply.session] for reply in replies]
    relabelled = _relabellings(sides, np.random.default_rng(seed))
    kinds: tuple[tuple[str, Callable[[Reply], Counter[str]]], ...] = (
        ("character trigrams moved", _trigrams),
        ("lengths moved", _length),
        ("languages moved", _language),
    )
    shifts = []
    for what, features in kinds:
        counts = _counts([features(reply) for reply in replies], rows, len(sessions))
        observed = divergence(counts[sides].sum(axis=0), counts[~sides].sum(axis=0))
        total = counts.sum(axis=0)
        ones = relabelled @ counts
        chance = np.array([divergence(one, total - one) for one in ones])
        limit = float(np.quantile(chance, CHANCE))
        shifts.append(Shift(what, observed, float(chance.mean()), limit))
    return Drift(tuple(shifts))


def divergence(left: Floats, right: Floats) -> float:
    """Jensen-Shannon divergence of two count vectors of one length, in bits."""
    first, second = left / max(left.sum(), 1e-12), right / max(right.sum(), 1e-12)
    middle = (first + second) / 2
    return float(_relative_entropy(first, middle) / 2 + _relative_entropy(second, middle) / 2)


def _relative_entropy(given: Floats, reference: Floats) -> float:
    present = given > 0
    return float((given[present] * np.log2(given[present] / reference[present])).sum())


def _relabellings(sides: npt.NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Random choices of as many sessions as are recent; shape (PERMUTATIONS, sessions)."""
    return np.stack([rng.permutation(sides) for _ in range(PERMUTATIONS)]).astype(np.float64)


def _counts(features: Sequence[Counter[str]], rows: Sequence[int], sessions: int) -> Floats:
    """Feature counts of each session; shape (sessions, the commonest features)."""
    total: Counter[str] = Counter()
    for feature in features:
        total.update(feature)
    columns = {name: column for column, (name, _) in enumerate(total.most_common(TRIGRAMS))}
    counts = np.zeros((sessions, len(columns)))
    for row, feature in zip(rows, features, strict=True):
        for name, count in feature.items():
            if name in columns:
                counts[row, columns[name]] += count
    return counts


def _trigrams(reply: Reply) -> Counter[str]:
    text = f" {reply.text.casefold()} "
    return Counter(text[start : start + 3] for start in range(len(text) - 2))


def _length(reply: Reply) -> Counter[str]:
    return Counter([str(min(len(reply.text).bit_length(), LENGTHS))])


def _language(reply: Reply) -> Counter[str]:
    return Counter([reply.language])
