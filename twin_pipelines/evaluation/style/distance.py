"""Style distance: how far text lies from the person's in the use of the commonest words.

Cosine delta (Smith & Aldridge 2011; Evert et al. 2017): relative frequencies of the 150 commonest
tokens, standardised by their mean and spread between people, compared by the cosine with the
subject's train text. All texts are cut to the same number of words, because a short text seems far
from everything, and resampled without replacement, because a repeated word would seem a habit.
SDelta = (delta_base - delta_x) / (delta_base - delta_human), clipped to 0-1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats, Indices, half_orders
from twin_pipelines.evaluation.style.verifier import window_shares

TOKENS = 150
PEOPLE_SAMPLES = 4  # samples of each person, for the spread between people
FEWEST_PEOPLE = 3
_TOKEN = re.compile(r"[฀-๿຀-໿ក-៿က-႟぀-ヿ一-鿿]+|\w+(?:['’]\w+)*|[^\w\s]")
_RUN_ON = re.compile(r"[฀-๿຀-໿ក-៿က-႟぀-ヿ一-鿿]")


@dataclass(frozen=True)
class Distances:
    """Mean delta of each system, SDelta and its draws, all from the same resamples."""

    delta: dict[str, float]
    relative: dict[str, float]
    draws: dict[str, Floats]  # (times,) of SDelta
    words: int  # to which every text was cut


def tokens(text: str) -> list[str]:
    """Words, signs and emoji in lower case; pairs of characters in scripts without spaces."""
    found = []
    for token in _TOKEN.findall(text.casefold()):
        if _RUN_ON.match(token) and len(token) > 1:
            found += [token[place : place + 2] for place in range(len(token) - 1)]
        else:
            found.append(token)
    return found


def style_distances(
    subject: Sequence[str],
    people: Mapping[str, Sequence[str]],
    systems: Mapping[str, Sequence[str]],
    contexts: Indices,
    seed: int,
) -> Distances:
    """Distances of `systems` (with `human` and `base`) from the subject's train text.

    `contexts` (times, n) are the replies that each bootstrap resample holds: of each the different
    ones, in random order, make a resample without replacement. Raises ValueError where there is too
    little text.
    """
    counted = {name: [Counter(tokens(text)) for text in texts] for name, texts in systems.items()}
    sizes = {name: _sizes(counters) for name, counters in counted.items()}
    mute = {name for name in counted if sizes[name].sum() < 2 * TOKENS} - {"human", "base"}
    counted = {name: counters for name, counters in counted.items() if name not in mute}
    length = int(min(sizes[name].sum() for name in counted) / 2)
    learnt = [Counter(tokens(text)) for text in subject]
    others = {who: [Counter(tokens(text)) for text in texts] for who, texts in people.items()}
    others = {who: held for who, held in others.items() if _sizes(held).sum() >= length}
    if length < TOKENS or len(others) < FEWEST_PEOPLE or _sizes(learnt).sum() < length:
        raise ValueError(f"{length} words of each system are too few to compare their words")
    vocabulary = _commonest([learnt, *others.values()])
    ruler = _Ruler.between(others, vocabulary, length, seed)
    reference = ruler.standard(_profile(learnt, vocabulary))
    orders = half_orders(contexts, seed)
    deltas = {}
    for name, counters in counted.items():
        taken = window_shares(sizes[name], orders, length)
        shares = taken @ _matrix(counters, vocabulary) / (taken @ sizes[name])[:, None]
        deltas[name] = _cosine_distance(ruler.standard(shares), reference)
    base, human = deltas["base"], deltas["human"]
    relative = {
        name: _relative(draws.mean(), base.mean(), human.mean()) for name, draws in deltas.items()
    }
    return Distances(
        delta={name: float(draws.mean()) for name, draws in deltas.items()}
        | dict.fromkeys(mute, float("nan")),
        relative={name: float(value) for name, value in relative.items()}
        | dict.fromkeys(mute, 0.0),
        draws={name: _relative(draws, base, human) for name, draws in deltas.items()}
        | {name: np.zeros(len(contexts)) for name in mute},
        words=length,
    )


def _relative(delta: Floats, base: Floats, human: Floats) -> Floats:
    """Undefined where the person is no nearer to their own train text than the base is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        agreement = (base - delta) / (base - human)
    return np.where(base > human, np.clip(agreement, 0, 1), np.nan)


def _sizes(counters: Sequence[Counter[str]]) -> Floats:
    return np.array([counter.total() for counter in counters], dtype=float)


def _commonest(people: Sequence[Sequence[Counter[str]]]) -> dict[str, int]:
    """The commonest tokens, everybody weighing the same, and their columns."""
    weight: Counter[str] = Counter()
    for counters in people:
        said: Counter[str] = Counter()
        for counter in counters:
            said.update(counter)
        total = said.total()
        for token, times in said.items():
            weight[token] += times / total  # type: ignore[assignment]
    ranked = sorted(weight, key=lambda token: (-weight[token], token))[:TOKENS]
    return {token: place for place, token in enumerate(ranked)}


def _matrix(counters: Sequence[Counter[str]], vocabulary: Mapping[str, int]) -> Floats:
    counts = np.zeros((len(counters), len(vocabulary)))
    for row, counter in enumerate(counters):
        for token, times in counter.items():
            place = vocabulary.get(token)
            if place is not None:
                counts[row, place] = times
    return counts


def _profile(counters: Sequence[Counter[str]], vocabulary: Mapping[str, int]) -> Floats:
    return _matrix(counters, vocabulary).sum(axis=0) / _sizes(counters).sum()


@dataclass(frozen=True)
class _Ruler:
    """Mean and spread (vocabulary,) of each token's share between people."""

    mean: Floats
    spread: Floats

    @classmethod
    def between(
        cls,
        people: Mapping[str, Sequence[Counter[str]]],
        vocabulary: Mapping[str, int],
        length: int,
        seed: int,
    ) -> _Ruler:
        """Measured on people's samples of `length` words."""
        rng = np.random.default_rng([seed, 3])
        samples = []
        for counters in people.values():
            sizes, counts = _sizes(counters), _matrix(counters, vocabulary)
            orders = np.stack([rng.permutation(len(counters)) for _ in range(PEOPLE_SAMPLES)])
            samples.append(window_shares(sizes, orders, length) @ counts / length)
        shares = np.concatenate(samples)
        spread = shares.std(axis=0)
        return cls(shares.mean(axis=0), np.where(spread > 0, spread, np.inf))

    def standard(self, shares: Floats) -> Floats:
        return (shares - self.mean) / self.spread


def _cosine_distance(scores: Floats, reference: Floats) -> Floats:
    lengths = np.linalg.norm(scores, axis=1) * np.linalg.norm(reference)
    return 1 - (scores @ reference) / np.maximum(lengths, 1e-12)
