"""Lines of the persona page made of what the room's tables say of the subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from twin_pipelines.persona.identity.compose import FACTS_SECTION, fact_lines, fit_for_prompt
from twin_pipelines.persona.identity.page import Line
from twin_pipelines.persona.style.measure import WORD
from twin_pipelines.persona.style.rules import is_manner, style_rules

MOST_RULES = 14
TOLD_LENGTHS = ("words_per_turn", "words_per_line", "words_per_sentence")
MOST_WORDS = 30  # of each list of words
MOST_SITUATIONS = 10
LEAST_USES, LEAST_SHARE = 4, 0.03  # of a template, of the replies in its situation
SURE = 0.5  # confidence of a preference
TRACED = 20  # messages kept of a line that rests on many
LIKINGS = ("Likes", "Dislikes and fears")
UNTOLD = ("other",)  # situations that call for nothing


def generated_lines(
    *,
    facts: pl.DataFrame,
    preferences: pl.DataFrame,
    style: pl.DataFrame,
    vocabulary: pl.DataFrame,
    templates: pl.DataFrame,
) -> dict[str, list[Line]]:
    """Lines by the key of their place (`identity.PLACES`), the most telling first.

    `facts` are `facts.FACTS`; the others are the rows of the tables of that name: preferences that
    hold, style of the whole history with everybody.
    """
    return {
        FACTS_SECTION: fact_lines(facts),
        "likes": _preferences(preferences, 1),
        "dislikes": _preferences(preferences, -1),
        "style": rules(style),
        "says": _terms(vocabulary, ("phrase", "word", "emoji")),
        "situations": _replies(templates),
        "never": _terms(vocabulary, ("never",)),
    }


def rules(style: pl.DataFrame) -> list[Line]:
    """What sets the subject's writing apart, as rules, the most distinctive first.

    Without the figures, which change every day, but for how long a message is; and without single
    function words, which stand among the words.
    """
    habits = style.filter(~pl.col("feature").str.starts_with(WORD))
    lengths = {
        feature: f" (about {value:.0f} words)"
        for feature, value in style.select("feature", "value").iter_rows()
        if feature in TOLD_LENGTHS
    }
    return [
        Line(
            f"style/{rule.feature}",
            rule.words.rsplit(" (", 1)[0] + lengths.get(rule.feature, ""),
            message_ids=_some(list(rule.message_ids)),
        )
        for rule in style_rules(habits, MOST_RULES)
    ]


def not_in_a_list(statements: pl.DataFrame, preferences: pl.DataFrame) -> pl.DataFrame:
    """The statements without likes and dislikes, where preferences tell of them more briefly."""
    return statements.filter(~pl.col("kind").is_in(LIKINGS)) if preferences.height else statements


def _preferences(preferences: pl.DataFrame, polarity: int) -> list[Line]:
    """Things liked (1) or disliked (-1), those said in most sessions first."""
    chosen = preferences.filter(
        pl.col("polarity") == polarity,
        pl.col("category").is_in(["like", "dislike", "favourite"]),
        pl.col("confidence") >= SURE,
    ).sort("sessions", "confidence", "preference_key", descending=[True, True, False])
    lines = [
        Line(
            f"preference/{row['preference_id']}",
            row["preference_key"],
            message_ids=_some(row["message_ids"]),
        )
        for row in chosen.iter_rows(named=True)
        if fit_for_prompt(row["preference_key"])
    ]
    return lines[:MOST_WORDS]


def _terms(vocabulary: pl.DataFrame, kinds: Sequence[str]) -> list[Line]:
    chosen = vocabulary.filter(pl.col("kind").is_in(kinds)).sort(
        pl.col("z").abs(), "term", descending=[True, False]
    )
    lines = [
        Line(f"{row['kind']}/{row['term']}", row["term"], message_ids=_some(row["message_ids"]))
        for row in chosen.iter_rows(named=True)
        if fit_for_prompt(row["term"]) and (row["kind"] != "never" or is_manner(row["term"]))
    ]
    return _distinct(lines)[:MOST_WORDS]


def _distinct(lines: Sequence[Line]) -> list[Line]:
    """The lines without words that a phrase before them holds already."""
    kept: list[Line] = []
    for line in lines:
        if not any(f" {line.text} " in f" {other.text} " for other in kept):
            kept.append(line)
    return kept


def _replies(templates: pl.DataFrame) -> list[Line]:
    """The commonest reply of each situation, the situation with most replies first."""
    best = (
        templates.filter(
            pl.col("uses") >= LEAST_USES,
            pl.col("share") >= LEAST_SHARE,
            ~pl.col("situation").is_in(UNTOLD),
        )
        .sort("share", "uses", "template", descending=[True, True, False])
        .unique("situation", keep="first", maintain_order=True)
        .sort("uses", "situation", descending=[True, False])
    )
    return [_reply(row) for row in best.iter_rows(named=True) if fit_for_prompt(row["template"])][
        :MOST_SITUATIONS
    ]


def _reply(row: Mapping[str, object]) -> Line:
    text = f"{row['situation']}: “{row['template']}”"
    return Line(f"template/{row['situation']}", text, message_ids=_some(row["message_ids"]))


def _some(message_ids: object) -> tuple[str, ...]:
    return tuple(message_ids[:TRACED]) if isinstance(message_ids, list) else ()
