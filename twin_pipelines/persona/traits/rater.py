"""A frozen rater: how often kinds of words are used, relative to other people.

Of a sample of texts the rate of every category of a list of words is standardised by the mean and
SD of other people's samples of the same size; a trait is the signed sum over its categories, each
weighted by how well other people's earlier texts foretell it in their later ones, standardised
again. What a category says of a trait stands in `markers`; a basic value of `value_words` is a
category of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twin_pipelines.features.language import count_words
from twin_pipelines.persona.traits import markers

Floats = NDArray[np.float64]
SMOOTHING = 0.5  # an occurrence, so that a category nobody used has no infinite rate


@dataclass(frozen=True)
class Rater:
    """Standardises by a population: rates of categories, then traits."""

    rate_mean: Floats
    rate_sd: Floats
    weights: Floats  # (categories, traits)
    trait_mean: Floats
    trait_sd: Floats

    @classmethod
    def of(cls, people: Sequence[Floats], halves: Floats, signs: Floats | None = None) -> Rater:
        """The rater of a population, given each person's samples (samples, categories + 1), and
        sums of people's earlier and of their later texts (people, 2, categories + 1).

        `signs` (categories, traits) say how a category counts; default: `markers.SIGNS`.
        """
        rates = _rates(np.concatenate(people))
        mean, sd = rates.mean(axis=0), np.maximum(rates.std(axis=0), 1e-9)
        signed = big_five_signs() if signs is None else signs
        weights = signed * retest(halves)[:, None]
        traits = ((rates - mean) / sd) @ weights
        return cls(mean, sd, weights, traits.mean(axis=0), np.maximum(traits.std(axis=0), 1e-9))

    def profiles(self, sums: Floats) -> Floats:
        """Estimates (n, traits) in SDs of the population, in the order of the signs' columns."""
        return (self.raw(sums) - self.trait_mean) / self.trait_sd

    def raw(self, sums: Floats) -> Floats:
        """Signed and weighted sums (n, traits) before the last standardisation."""
        return ((_rates(sums) - self.rate_mean) / self.rate_sd) @ self.weights

    def agreement(self, first: Floats, second: Floats) -> Floats:
        """1 - RMS difference / sqrt(2) of every profile of `first` with every one of `second`."""
        gaps = self.profiles(first)[:, None, :] - self.profiles(second)[None, :, :]
        return 1 - np.sqrt(np.mean(gaps**2, axis=2)) / np.sqrt(2)


def count_markers(
    texts: Sequence[str],
    english: Mapping[str, str] = markers.ENGLISH,
    thai: Mapping[str, str] = markers.THAI,
) -> Floats:
    """How often each category occurs in each text, and its words last (texts, categories + 1).

    The categories are the keys of `english`; a list is words with a space between them.
    """
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String})
    plain = pl.col("text").str.to_lowercase().str.replace_all("['’`]", "")
    counted = frame.select(
        *(
            plain.str.count_matches(_pattern(words, thai.get(name, "")))
            .cast(pl.Float64)
            .alias(name)
            for name, words in english.items()
        ),
        count_words(frame["text"]).cast(pl.Float64).alias("words"),
    )
    return counted.to_numpy().astype(float)


def halves_of(rows: Floats) -> Floats:
    """Sums of the earlier and of the later half of a person's rows (2, columns)."""
    middle = len(rows) // 2
    return np.array([rows[:middle].sum(axis=0), rows[middle:].sum(axis=0)])


def retest(halves: Floats) -> Floats:
    """Correlation over people (people, 2, categories + 1) between earlier and later rates of each
    category, none below 0."""
    earlier, later = _rates(halves[:, 0]), _rates(halves[:, 1])
    return np.clip(correlations(earlier, later), 0, 1)


def correlations(first: Floats, second: Floats) -> Floats:
    """Pearson's correlation of each column of two tables (people, columns)."""
    one, other = first - first.mean(axis=0), second - second.mean(axis=0)
    spread = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    return (one * other).sum(axis=0) / np.maximum(spread, 1e-12)


def big_five_signs() -> Floats:
    """What each category of `markers` says of each trait (categories, 5)."""
    table = np.zeros((len(markers.CATEGORIES), len(markers.TRAITS)))
    for column, trait in enumerate(markers.TRAITS):
        for category, sign in markers.SIGNS[trait].items():
            table[markers.CATEGORIES.index(category), column] = sign
    return table


def _pattern(english: str, thai: str) -> str:
    spaced = "|".join(map(re.escape, english.split()))
    return "|".join([rf"\b(?:{spaced})\b", *map(re.escape, thai.split())])


def _rates(sums: Floats) -> Floats:
    """Square roots of smoothed rates a word: their spread depends little on their height."""
    return np.sqrt((sums[:, :-1] + SMOOTHING) / (sums[:, -1:] + 1))
