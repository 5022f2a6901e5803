"""Traits: a frozen rater that estimates the Big Five from words, relative to other people.

Of a sample of texts the rate of every category of `markers` is standardised by the mean and SD of
other people's samples of the same size; a trait is the signed sum over its categories, each
weighted by how well other people's earlier texts foretell it in their later ones, standardised
again. Two profiles agree by 1 - RMS difference / sqrt(2): 1 for the same, about 0 for two people
drawn at random. Comparing raw closeness would be worthless, because the average person is close to
everybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from twin_pipelines.evaluation.bootstrap import Floats
from twin_pipelines.evaluation.personality import markers
from twin_pipelines.evaluation.personality.agreement import Part, unmeasured
from twin_pipelines.evaluation.personality.comparison import (
    SAMPLES,
    SAMPLES_OF_OTHERS,
    Material,
    compare,
    sample_to_size,
)
from twin_pipelines.features.language import count_words

FEWEST_WORDS = 600  # of real replies
FEWEST_PEOPLE = 5
SMOOTHING = 0.5  # an occurrence, so that a category nobody used has no infinite rate


def trait_parts(
    real: Sequence[str],
    systems: Mapping[str, Sequence[str]],
    earlier: Sequence[str],
    people: Mapping[str, Sequence[str]],
    *,
    times: int,
    seed: int,
) -> dict[str, Part]:
    """How far each system's replies show the person's traits; all reply to the first of `real`.

    `earlier` are replies of the person's train sessions, `people` replies of others.
    """
    reference = count_markers(real)
    asked = max(map(len, systems.values()))
    words = reference[:asked, -1].sum()
    if words < FEWEST_WORDS:
        note = f"{words:.0f} words of real replies; {FEWEST_WORDS} are needed"
        return dict.fromkeys(systems, unmeasured(asked, note))
    rng = np.random.default_rng([seed, 2])

    def samples(texts: Sequence[str], number: int) -> Floats | None:
        rows = count_markers(texts)
        return sample_to_size(rows, rows[:, -1], words, number, rng)

    own = samples(earlier, SAMPLES)
    drawn = [samples(texts, SAMPLES_OF_OTHERS) for texts in people.values() if texts]
    others = [one for one in drawn if one is not None]
    if own is None or len(others) < FEWEST_PEOPLE:
        note = "too little text of the person's train sessions or of other people"
        return dict.fromkeys(systems, unmeasured(asked, note))
    counted = {name: count_markers(replies) for name, replies in systems.items()}
    halves = np.array([_halves(texts) for texts in people.values() if len(texts) > 1])
    rater = Rater.of(others, halves)
    return compare(Material(reference, counted, own, others), rater.agreement, times, seed)


@dataclass(frozen=True)
class Rater:
    """Standardises by a population: rates of categories, then traits."""

    rate_mean: Floats
    rate_sd: Floats
    weights: Floats  # (categories, 5)
    trait_mean: Floats
    trait_sd: Floats

    @classmethod
    def of(cls, people: Sequence[Floats], halves: Floats) -> Rater:
        """The rater of a population, given each person's samples (samples, categories + 1), and
        sums of people's earlier and of their later texts (people, 2, categories + 1)."""
        rates = _rates(np.concatenate(people))
        mean, sd = rates.mean(axis=0), np.maximum(rates.std(axis=0), 1e-9)
        weights = _signs() * _retest(_rates(halves[:, 0]), _rates(halves[:, 1]))[:, None]
        traits = ((rates - mean) / sd) @ weights
        return cls(mean, sd, weights, traits.mean(axis=0), np.maximum(traits.std(axis=0), 1e-9))

    def profiles(self, sums: Floats) -> Floats:
        """Big Five estimates (n, 5), in SDs of the population, in the order of `markers.TRAITS`."""
        traits = ((_rates(sums) - self.rate_mean) / self.rate_sd) @ self.weights
        return (traits - self.trait_mean) / self.trait_sd

    def agreement(self, first: Floats, second: Floats) -> Floats:
        """1 - RMS difference / sqrt(2) of every profile of `first` with every one of `second`."""
        gaps = self.profiles(first)[:, None, :] - self.profiles(second)[None, :, :]
        return 1 - np.sqrt(np.mean(gaps**2, axis=2)) / np.sqrt(2)


def count_markers(texts: Sequence[str]) -> Floats:
    """How often each category occurs in each text, and its words last (texts, categories + 1)."""
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String})
    plain = pl.col("text").str.to_lowercase().str.replace_all("['’`]", "")
    counted = frame.select(
        *(
            plain.str.count_matches(_pattern(name)).cast(pl.Float64).alias(name)
            for name in markers.CATEGORIES
        ),
        count_words(frame["text"]).cast(pl.Float64).alias("words"),
    )
    return counted.to_numpy().astype(float)


def _pattern(category: str) -> str:
    english = "|".join(map(re.escape, markers.ENGLISH[category].split()))
    thai = [re.escape(word) for word in markers.THAI.get(category, "").split()]
    return "|".join([rf"\b(?:{english})\b", *thai])


def _rates(sums: Floats) -> Floats:
    """Square roots of smoothed rates a word: their spread depends little on their height."""
    return np.sqrt((sums[:, :-1] + SMOOTHING) / (sums[:, -1:] + 1))


def _halves(texts: Sequence[str]) -> Floats:
    rows = count_markers(texts)
    middle = len(rows) // 2
    return np.array([rows[:middle].sum(axis=0), rows[middle:].sum(axis=0)])


def _retest(earlier: Floats, later: Floats) -> Floats:
    """Correlation over people between earlier and later rates of each category, none below 0."""
    first, second = earlier - earlier.mean(axis=0), later - later.mean(axis=0)
    spread = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.clip((first * second).sum(axis=0) / np.maximum(spread, 1e-12), 0, 1)


def _signs() -> Floats:
    table = np.zeros((len(markers.CATEGORIES), len(markers.TRAITS)))
    for column, trait in enumerate(markers.TRAITS):
        for category, sign in markers.SIGNS[trait].items():
            table[markers.CATEGORIES.index(category), column] = sign
    return table
