"""Big Five and basic values as tendencies of written words, with their uncertainty.

What is rated is how often somebody uses kinds of words (`markers`, `value_words`), relative to
other people, in samples of about `SAMPLE_WORDS` words of everybody (what is rare looks rarer in a
short text, so texts of unequal length are not comparable), by `persona.traits.rater`. The interval
holds 95 % of bootstrap draws over the subject's sessions and the other people together. A trait in
which other people do not resemble themselves later (the correlation is given in words) tells
little, whatever its value. Such counts agree with questionnaires weakly (correlations of 0.1 to 0.3
in the studies named in `markers`); nothing here is a diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from twin_pipelines.features.turns import TURNS
from twin_pipelines.persona.style.background import reserved
from twin_pipelines.persona.traits import markers, value_words
from twin_pipelines.persona.traits.rater import (
    Floats,
    Rater,
    big_five_signs,
    correlations,
    count_markers,
    halves_of,
)
from twin_pipelines.settings import Persona
from twin_pipelines.sources.chitchat import background_texts

BIG_FIVE, VALUE = "big five", "value"
SAMPLE_WORDS = 1_500
SAMPLES = 8  # of each other person; of the subject all there are, or as many
DRAWS = 300
FEWEST_WORDS = 600
FEWEST_PEOPLE = 8
FEWEST_USES = 20  # of a kind of word, by everybody, before it tells anything
FEWEST_TURNS = 50  # of a partner who may be compared with
TELLING = 5  # messages shown of each trait
LEAST_RESEMBLANCE = 0.3  # below it a trait is called unreliable
SHORT = 5  # words, so that one word alone is no telling message
LONG = 60  # words of a turn beyond which it shows no single trait
SEED = 17
TRAITS: dict[str, Any] = {
    "trait": pl.String,
    "kind": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "background": pl.Float64,
    "n": pl.Int32,
    "words": pl.String,
    "message_ids": pl.List(pl.String),
}
_POLES = {
    "openness": ("ideas and impressions", "the everyday and familiar"),
    "conscientiousness": ("duty, plans and achievement", "the moment, complaints and doubts"),
    "extraversion": ("company and talk", "things and reasons rather than company"),
    "agreeableness": ("warmth and togetherness", "criticism and anger"),
    "neuroticism": ("worry and strong feeling", "calm"),
}


@dataclass(frozen=True)
class Scale:
    """A list of kinds of words and what each says of each trait."""

    kind: str
    names: tuple[str, ...]
    english: Mapping[str, str]
    thai: Mapping[str, str]
    signs: Floats

    def counts(self, texts: Sequence[str]) -> Floats:
        """How often each kind of word occurs in each text, and its words last."""
        return count_markers(texts, self.english, self.thai)


SCALES = (
    Scale(BIG_FIVE, markers.TRAITS, markers.ENGLISH, markers.THAI, big_five_signs()),
    Scale(
        VALUE,
        value_words.VALUES,
        value_words.ENGLISH,
        value_words.THAI,
        np.eye(len(value_words.VALUES)),
    ),
)


WRITTEN = {
    name: TURNS[name]
    for name in ("speaker", "text", "session_id", "raw_ids", "language", "sent_at")
}


def main_language(own: pl.DataFrame) -> str:
    """`th` where more of the turns (`language`) hold Thai than are English, else `en`."""
    thai = own["language"].is_in(["th", "th+en"]).sum()
    return "th" if thai > (own["language"] == "en").sum() else "en"


def in_language(turns: pl.DataFrame, speaker: str, language: str) -> pl.DataFrame:
    """A speaker's turns that hold the language (th or en), in time order."""
    holds = pl.col("language").is_in([language, "th+en"])
    return turns.filter(pl.col("speaker") == speaker, holds).sort("sent_at")


def people_to_compare(
    turns: pl.DataFrame, subject: str, language: str, settings: Persona
) -> dict[str, list[str]]:
    """Texts of others in the language, by person: partners who wrote enough, and strangers.

    The strangers are chitchat's, who write English; nobody is compared across languages.
    """
    holds = pl.col("language").is_in([language, "th+en"])
    partners = turns.filter(
        pl.col("speaker") != subject, ~pl.col("speaker").is_in(reserved()), holds
    )
    able = partners.group_by("speaker").len().filter(pl.col("len") >= FEWEST_TURNS)["speaker"]
    people = {name: in_language(partners, name, language)["text"].to_list() for name in able.sort()}
    if language == "en":
        people |= background_texts(subject, settings.background_people)
    return people


class TooLittle(ValueError):
    """The texts are too few to rate; the message says what is missing."""


@dataclass(frozen=True)
class Others:
    """Counts of other people: samples of `size` words, and their earlier and later texts."""

    size: float
    samples: list[Floats]
    halves: Floats  # (people, 2, columns)

    def rater(self, signs: Floats, who: NDArray[np.int64] | None = None) -> Rater:
        """The rater of these people, or of `who` of them."""
        if who is None:
            return Rater.of(self.samples, self.halves, signs)
        return Rater.of([self.samples[one] for one in who], self.halves[who], signs)


def traits_of(own: pl.DataFrame, people: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Traits (TRAITS) of the subject: `own` are their turns (`text, session_id, raw_ids`).

    `people` are turns of others, by person and in time order, in the subject's language. Raises
    TooLittle where the subject or the others wrote too little to be compared.
    """
    return pl.concat([_rated(own, people, scale) for scale in SCALES])


def _rated(own: pl.DataFrame, people: Mapping[str, Sequence[str]], scale: Scale) -> pl.DataFrame:
    rng = np.random.default_rng(SEED)
    rows = scale.counts(own["text"].to_list())
    size = min(float(rows[:, -1].sum()), SAMPLE_WORDS)
    others = _others([scale.counts(texts) for texts in people.values()], size, rng)
    used = rows[:, :-1].sum(axis=0) + sum(one[:, :-1].sum(axis=0) for one in others.samples)
    signs = scale.signs * (used >= FEWEST_USES)[:, None]
    rater = others.rater(signs)
    value = rater.profiles(_own_samples(rows, size, rng)).mean(axis=0)
    low, high = _interval(own["session_id"], rows, others, signs, rng)
    resemblance = correlations(*(rater.profiles(others.halves[:, half]) for half in (0, 1)))
    standing = np.array([rater.profiles(one).mean(axis=0) for one in others.samples])
    below = (standing < value).mean(axis=0)
    table = pl.DataFrame(
        {
            "trait": scale.names,
            "kind": [scale.kind] * len(scale.names),
            "value": value,
            "low": np.minimum(low, value),
            "high": np.maximum(high, value),
            "background": rater.trait_mean,
            "n": [own.height] * len(scale.names),
            "below": below,
            "resemblance": resemblance,
        }
    )
    said = [_words(row, len(others.samples)) for row in table.iter_rows(named=True)]
    telling = [
        _telling(own, rows, rater.weights[:, at] * np.sign(value[at]))
        for at in range(len(scale.names))
    ]
    return table.with_columns(
        pl.Series("words", said), pl.Series("message_ids", telling, pl.List(pl.String))
    ).select(pl.col(name).cast(dtype) for name, dtype in TRAITS.items())


def _others(counted: Sequence[Floats], size: float, rng: np.random.Generator) -> Others:
    """The people who wrote enough for samples of `size` words."""
    if size < FEWEST_WORDS:
        raise TooLittle(f"the subject wrote {size:.0f} words and {FEWEST_WORDS} are needed")
    able = [one for one in counted if one[:, -1].sum() >= size]
    if len(able) < FEWEST_PEOPLE:
        raise TooLittle(
            f"{len(able)} other people wrote {size:.0f} words or more in the subject's language "
            f"and {FEWEST_PEOPLE} are needed"
        )
    samples = [_samples(one, size, rng) for one in able]
    return Others(size, samples, np.array([halves_of(one) for one in able]))


def _samples(rows: Floats, size: float, rng: np.random.Generator, number: int = SAMPLES) -> Floats:
    """Sums of random rows of about `size` words (number, columns), no row twice in one.

    Rows of fewer words than that are one sample, all of them.
    """
    sums: list[Floats] = []
    while len(sums) < number:
        order = rng.permutation(len(rows))
        part = (np.cumsum(rows[order, -1]) // size).astype(int)
        parts = np.zeros((part[-1] + 1, rows.shape[1]))
        np.add.at(parts, part, rows[order])
        sums += list(parts[: max(1, part[-1])])
    return np.array(sums[:number])


def _own_samples(rows: Floats, size: float, rng: np.random.Generator) -> Floats:
    return _samples(rows, size, rng, max(SAMPLES, int(rows[:, -1].sum() // size)))


def _interval(
    sessions: pl.Series, rows: Floats, others: Others, signs: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    number = sessions.rank("dense").to_numpy() - 1
    order = np.argsort(number, kind="stable")
    by_session = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    drawn = []
    for _ in range(DRAWS):
        who = rng.integers(0, len(others.samples), len(others.samples))
        said = [by_session[one] for one in rng.integers(0, len(by_session), len(by_session))]
        samples = _own_samples(rows[np.concatenate(said)], others.size, rng)
        drawn.append(others.rater(signs, who).profiles(samples).mean(axis=0))
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    return low, high


def _words(row: Mapping[str, Any], people: int) -> str:
    """What a row says, and how little, in words."""
    value, low, high = row["value"], row["low"], row["high"]
    share = f"{row['below'] if value > 0 else 1 - row['below']:.0%} of {people} other people"
    if low <= 0 <= high:
        said = f"Not told apart from the average of {people} other people"
    elif row["kind"] == BIG_FIVE:
        said = f"Writes of {_POLES[row['trait']][value < 0]} more than {share}"
    else:
        said = f"Uses words of {row['trait']} {'more' if value > 0 else 'less'} often than {share}"
    little = ", so it says little" if row["resemblance"] < LEAST_RESEMBLANCE else ""
    return (
        f"{said} ({value:+.1f} SD, 95 % from {low:+.1f} to {high:+.1f}). Others' earlier and later "
        f"texts agree in it by r = {row['resemblance']:.2f}{little}. A tendency of the words "
        "written, no diagnosis."
    )


def _telling(own: pl.DataFrame, rows: Floats, weights: Floats) -> list[str]:
    """Messages of the turns that hold most of what moved the trait the way it went.

    Where it went that way by what was left unsaid, those that hold what was counted.
    """
    pull = (rows[:, :-1] @ weights) / np.sqrt(rows[:, -1] + SHORT)
    pull[rows[:, -1] > LONG] = 0.0
    pull = pull if pull.max() > 0 else -pull
    best = [int(at) for at in np.argsort(-pull, kind="stable")[:TELLING] if pull[at] > 0]
    return [message for at in best for message in own["raw_ids"][at]]
