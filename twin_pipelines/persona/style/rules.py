"""Habits of writing as sentences: what a stranger would notice first."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from twin_pipelines.persona.style.measure import FEATURES, WORD
from twin_pipelines.persona.style.words import BARE_CONTRACTION, FUNCTION_WORDS

NOTICED = 1.0  # standard deviations from other people
FREQUENT = 0.1  # uses in 100 words, by the subject or by others, before a word is a habit
_SHARE = "share"
_APOSTROPHES = frozenset(
    f"{WORD}{word}"
    for word in FUNCTION_WORDS
    if "'" in word or re.fullmatch(BARE_CONTRACTION, word) or word in {"its", "lets", "id"}
)
ALIKE = (  # habits that say nearly the same; the most distinctive speaks for the others
    frozenset({"words_per_turn", "long_turns", "one_word_turns"}),
    frozenset({"words_per_line", "words_per_sentence"}),
    frozenset({"period_ends", "no_mark_ends"}),
    frozenset({"lower_starts", "capitals"}),
    frozenset({"emoji", "emoji_turns"}),
    frozenset({"questions", "question_ends"}),
    frozenset({"mixed_turns", "switches"}),
    frozenset({"bare_contractions", "contractions"}) | _APOSTROPHES,
)


@dataclass(frozen=True)
class StyleRule:
    """One habit in words, with the raw messages that show it."""

    words: str
    feature: str
    message_ids: tuple[str, ...]


def style_rules(rows: pl.DataFrame, most: int = 12) -> list[StyleRule]:
    """The most noticeable habits (`style_store.load_style` of everybody and the whole history).

    Only those at least NOTICED standard deviations from other people, and of habits that say nearly
    the same only one; habits come first, then function words that are FREQUENT.
    """
    word = pl.col("feature").str.starts_with(WORD)
    frequent = pl.max_horizontal("value", "background") >= FREQUENT
    noticed = rows.filter(pl.col("distinction").abs() >= NOTICED, ~word | frequent).sort(
        word, pl.col("distinction").abs(), pl.col("feature"), descending=[False, True, False]
    )
    rules: list[StyleRule] = []
    spoken: set[str] = set()
    for row in noticed.iter_rows(named=True):
        name = row["feature"]
        kin = next((one for one in ALIKE if name in one), frozenset({name}))
        if name not in FEATURES or kin & spoken or len(rules) == most:
            continue
        spoken.add(name)
        rules.append(StyleRule(in_words(row), name, tuple(row["message_ids"])))
    return rules


def is_manner(term: str) -> bool:
    """Whether a word never used says how somebody speaks, not what they never spoke of.

    Function words, particles, spellings of chats, contractions and emoji; no names of things.
    """
    return term in FUNCTION_WORDS or "'" in term or not re.search(r"\w", term)


def in_words(row: dict[str, object]) -> str:
    """A row of `writing_style` in words and numbers, as "writes short turns (6.1 words; others
    11.3)"."""
    feature = FEATURES[str(row["feature"])]
    distinction, background = row["distinction"], row["background"]
    said = feature.high if _number(distinction) >= 0 else feature.low
    own = figure(_number(row["value"]), feature.unit)
    if background is None:
        return f"{said} ({own})"
    return f"{said} ({own}; others {figure(_number(background), feature.unit, bare=True)})"


def figure(value: float, unit: str, *, bare: bool = False) -> str:
    """A value in its unit: shares as percentages."""
    if unit.startswith(_SHARE):
        return f"{value:.0%}" if bare else f"{value:.0%} {unit.removeprefix(_SHARE).strip()}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}" if bare else f"{value:.{digits}f} {unit}"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
