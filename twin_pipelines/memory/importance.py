"""How much a memory matters: named parts of 0–1 and their weighted mean.

- self_reference   how much the kind of statement says about who somebody is (`KIND_WEIGHT`), raised
                   where it is about what shapes a life (birth, illness, faith, work) or fills it,
                   lowered where it is of the moment, of what another does, or points at "it".
- repetition       1 − 2^(1 − s) for s distinct sessions it was said in: saying it again, to
                   somebody else, is the best sign that it is true and matters.
- novelty          mean over its words of 1 / (1 + n) for n earlier memories of the same person
                   that hold the word: the first word about a thing tells more than the tenth.
- specificity      1 − e^(−w/3) for w content words, of which a name or number counts double; a
                   third of that where it points at what only the moment knows.
- emotion          1 − e^(−m) for m marks of feeling, a strong one `STRONG` and a mild one `MILD`,
                   in so much text as `LONG`.
- partner_reaction what it called forth: 0.4 when the partner takes up its words, 0.3 when they ask
                   on, 0.3 when they show feeling; the best of all times it was said.
- explicit         1 when it was asked to be remembered; that nobody asked says nothing.

A part that is not known is null and leaves the mean. The weights are `settings.ImportanceWeights`;
they and the tables were fitted on one part of a labelled set and are judged on another, see
docs/importance.md.
"""

from __future__ import annotations

import re
from functools import lru_cache

import polars as pl

from twin_pipelines.foundation.words import words_of, words_of_all
from twin_pipelines.memory import importance_words as forms
from twin_pipelines.persona.statements.patterns import EMPTY_WORDS, PASSING, QUESTION
from twin_pipelines.settings import ImportanceWeights, TwinError

PARTS = (
    "emotion",
    "novelty",
    "self_reference",
    "repetition",
    "specificity",
    "partner_reaction",
    "explicit",
)
OF_ONE = ("emotion", "self_reference", "specificity", "partner_reaction", "explicit")
UNKNOWN = 0.5  # importance of what nothing is known about
EXPLICIT = "Asked to be remembered"
KIND_WEIGHT = {
    EXPLICIT: 0.9,
    "Who I am": 0.8,
    "Family and relations": 0.6,
    "Home": 0.8,
    "Work and study": 0.8,
    "Values and beliefs": 0.7,
    "Plans and promises": 0.5,
    "Habits and skills": 0.35,
    "Dislikes and fears": 0.4,
    "Likes": 0.35,
    "Feelings": 0.2,
}
LIFTED, LESSENED = 0.55, 0.55
STRONG, MILD = 0.7, 0.25
SHORT = 9  # words
LONG = 200  # characters
_MOVED = re.compile(forms.MOVED, re.IGNORECASE)
_ASKS = re.compile(r"[?？]")


def measure(told: pl.DataFrame) -> pl.DataFrame:
    """Statements with the parts that each shows alone (`OF_ONE`), Float64, null: not known.

    `told` has `kind`, `text`, `bare` (normalised, see `statements.find_statements`) and `answer`
    (what the partner said next, null: nothing). A kind without a `KIND_WEIGHT` is no statement: its
    self-reference and specificity are not known. Of a text longer than `LONG` the feeling is that
    of an average piece of it.
    """
    words = [_content(own) for own in words_of_all(told["bare"].to_list())]
    reactions = [_reaction(*pair) for pair in zip(words, told["answer"], strict=True)]
    counts = pl.Series([len(own) for own in words], dtype=pl.Float64)
    feeling = STRONG * _marks(forms.STRONG) + MILD * _marks(forms.MILD)
    piece = LONG / pl.col("text").str.len_chars().clip(LONG)
    return told.with_columns(
        (1 - (-feeling * piece).exp()).alias("emotion"),
        _self_reference().alias("self_reference"),
        _specificity(counts).alias("specificity"),
        pl.Series("partner_reaction", reactions, pl.Float64),
        pl.when(pl.col("kind") == EXPLICIT).then(1.0).cast(pl.Float64).alias("explicit"),
    )


def novelty(groups: pl.DataFrame) -> pl.DataFrame:
    """How new each memory was when it was first said: `group`, `novelty`.

    `groups` has `group`, `about`, `said_at` (the first time) and `gist`, one row each. Only earlier
    memories of the same person count, so what is said later changes nothing. Without words: null.
    """
    held = (
        groups.select("group", "about", "said_at", pl.col("gist").list.unique().alias("word"))
        .explode("word", empty_as_null=False)
        .sort("said_at", "group")
        .with_columns((1 / pl.int_range(1, pl.len() + 1).over("about", "word")).alias("new"))
    )
    found = held.group_by("group").agg(pl.col("new").mean().cast(pl.Float64).alias("novelty"))
    return groups.select("group").join(found, on="group", how="left", maintain_order="left")


def combine(evidence: pl.DataFrame) -> pl.DataFrame:
    """What several statements of one thing say together, one row a `group`.

    `evidence` has `group`, `session_id` and the parts `OF_ONE`, and may have `novelty`. Returned
    are `sessions` (Int32), `repetition` and of every other part the best.
    """
    best = [name for name in (*OF_ONE, "novelty") if name in evidence.columns]
    sessions = pl.col("session_id").n_unique()
    return evidence.group_by("group", maintain_order=True).agg(
        sessions.cast(pl.Int32).alias("sessions"),
        (1 - pl.lit(2.0).pow(1 - sessions.cast(pl.Float64))).alias("repetition"),
        pl.col(best).max(),
    )


def weigh(frame: pl.DataFrame, weights: ImportanceWeights) -> pl.DataFrame:
    """The frame with `importance` (Float32) and `importance_parts` (JSON of the known parts).

    The importance is the weighted mean of those `PARTS` columns that the frame has and that are not
    null; `UNKNOWN` where there is none. Raises TwinError when all weights are 0.
    """
    given = {name: getattr(weights, name) for name in PARTS}
    if not any(given.values()):
        raise TwinError(
            "The weights in memory.weights are all 0; give one of them a value above 0."
        )
    missing = [pl.lit(None, pl.Float64).alias(name) for name in PARTS if name not in frame.columns]
    parts = frame.with_columns(missing).select(pl.col(PARTS).cast(pl.Float64).clip(0, 1).round(3))
    total = pl.sum_horizontal(pl.col(name) * weight for name, weight in given.items())
    share = pl.sum_horizontal(
        pl.when(pl.col(name).is_not_null()).then(weight) for name, weight in given.items()
    )
    written = pl.concat_str(
        [pl.format(f'"{name}":{{}}', pl.col(name)) for name in PARTS],
        separator=",",
        ignore_nulls=True,
    )
    mean = pl.when(share > 0).then(total / share).otherwise(UNKNOWN).cast(pl.Float32)
    weighed = parts.select(
        mean.alias("importance"), ("{" + written + "}").alias("importance_parts")
    )
    return frame.with_columns(weighed)


def parts_of(memories: pl.DataFrame) -> pl.DataFrame:
    """Memories with the columns `PARTS` (Float64) read from `importance_parts`; missing: null."""
    decoded = memories["importance_parts"].str.json_decode(
        pl.Struct(dict.fromkeys(PARTS, pl.Float64()))
    )
    return memories.with_columns(decoded.struct.unnest())


def _self_reference() -> pl.Expr:
    bare = pl.col("bare")
    weight = pl.col("kind").replace_strict(KIND_WEIGHT, default=None, return_dtype=pl.Float64)
    shapes_a_life = bare.str.contains(forms.LIFE) & (pl.col("kind") != "Likes")
    fills_a_life = bare.str.contains(forms.LIFE) | bare.str.contains(forms.PASTIME)
    lift = pl.when(shapes_a_life).then(LIFTED).when(fills_a_life).then(LIFTED / 2).otherwise(0.0)
    value = weight + (1 - weight) * lift
    lessenings = (
        bare.str.contains(PASSING.pattern) | bare.str.contains(forms.SMALL),
        bare.str.contains(forms.OF_ANOTHER) & ~bare.str.contains(forms.STANDING) & ~shapes_a_life,
        _points() & ~shapes_a_life,
        bare.str.contains(forms.UNFINISHED),
        bare.str.contains(forms.CONSUMED) & ~fills_a_life,
    )
    for lessening in lessenings:
        value = value * pl.when(lessening).then(LESSENED).otherwise(1.0)
    return value


def _points() -> pl.Expr:
    """Whether a short sentence points at what only the moment knows."""
    bare = pl.col("bare")
    return bare.str.contains(forms.POINTING) & (bare.str.count_matches(r"\S+") <= SHORT)


def _specificity(words: pl.Series) -> pl.Expr:
    full = 1 - (-(pl.lit(words) + _marks(forms.NAME)) / 3).exp()
    says_little = _points() | pl.col("bare").str.contains(forms.UNFINISHED)
    statement = pl.col("kind").is_in(list(KIND_WEIGHT))
    return pl.when(statement).then(full * pl.when(says_little).then(1 / 3).otherwise(1.0))


def _marks(pattern: str) -> pl.Expr:
    return pl.col("text").str.count_matches(pattern).cast(pl.Float64)


def _reaction(words: set[str], answer: str | None) -> float | None:
    if answer is None:
        return None
    taken_up = not words.isdisjoint(words_of(answer))
    asks = bool(_ASKS.search(answer) or QUESTION.search(answer))
    return 0.4 * taken_up + 0.3 * asks + 0.3 * bool(_MOVED.search(answer))


def _content(words: list[str]) -> set[str]:
    return {word for word in words if word.replace("'", "") not in _empty_words()}


@lru_cache(maxsize=1)
def _empty_words() -> frozenset[str]:
    from pythainlp.corpus import thai_stopwords

    return frozenset(EMPTY_WORDS.split()) | thai_stopwords()
