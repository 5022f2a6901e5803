"""The table of somebody's habits of writing, beside the partners' and those of other people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from twin_pipelines.features.turns import TURNS
from twin_pipelines.persona.style.habits import HABITS
from twin_pipelines.persona.style.measure import (
    COUNTED,
    WORD_FEATURES,
    add_sums,
    add_up,
    count_turns,
    values,
)

FEWEST_PEOPLE = 5  # of whom a mean and a spread are taken
MOST_PARTNERS = 30  # those written to most have rows of their own
EXAMPLES = 3
TELLING_WORDS = 8  # of a turn that shows a word in its setting
EXAMPLE_WORDS = 40  # longer turns are no examples where shorter ones are
DIGITS = 9  # that are kept; further ones depend on the order in which people were added up
WRITING_STYLE: dict[str, Any] = {
    "partner": pl.String,
    "period": pl.String,
    "feature": pl.String,
    "value": pl.Float64,
    "background": pl.Float64,
    "distinction": pl.Float64,
    "partner_value": pl.Float64,
    "n": pl.Int32,
    "examples": pl.List(pl.String),
    "message_ids": pl.List(pl.String),
}
_BY = ["speaker", "partner", "period"]
_SAID = {"feature": pl.String, "turn": pl.String}
_NOBODY = pl.DataFrame(schema=TURNS)
SHOWN = {
    "turn": pl.String,
    "partner": pl.String,
    "period": pl.String,
    **dict.fromkeys(COUNTED, pl.Float32),
}


class StyleTally:
    """Sums up a history, sessions by sessions, into the subject's table."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._sums: list[pl.DataFrame] = []
        self._shown = [pl.DataFrame(schema=SHOWN)]
        self._said = [pl.DataFrame(schema=_SAID)]

    def add(self, turns: pl.DataFrame) -> None:
        """Count whole sessions (columns of `cleaned_messages`), each session once."""
        counts = count_turns(turns)
        self._sums.append(add_up(counts, _BY))
        shown, said = own_counts(counts, self.subject)
        self._shown.append(shown)
        self._said.append(said)

    def sums(self) -> pl.DataFrame:
        """`style.add_up` of everything counted, by speaker, partner and period."""
        return add_sums(pl.concat(self._sums or [add_up(count_turns(_NOBODY), _BY)]), _BY)

    def examples(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`examples` of `style_rows`."""
        return examples(rows, pl.concat(self._shown), pl.concat(self._said))


def own_counts(counts: pl.DataFrame, subject: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is kept of the subject's turns (`style.count_turns`) to find examples in.

    First the counts of habits by turn (SHOWN), then a few turns for each function word: `feature`,
    `turn`.
    """
    own = counts.filter(pl.col("speaker") == subject)
    turns = own["turn"].to_numpy()
    oddness = (own["spoken_words"] - TELLING_WORDS).abs().to_numpy()
    found = {}
    for name in WORD_FEATURES:
        places = np.flatnonzero(own[name].to_numpy())
        found[name] = turns[places[np.argsort(oddness[places], kind="stable")[:EXAMPLES]]]
    said = pl.DataFrame(
        {"feature": list(found), "turn": [list(one) for one in found.values()]},
        schema={"feature": pl.String, "turn": pl.List(pl.String)},
    )
    return (
        own.select(pl.col(name).cast(dtype) for name, dtype in SHOWN.items()),
        said.explode("turn").drop_nulls("turn"),
    )


def style_rows(sums: pl.DataFrame, others: pl.DataFrame, subject: str) -> pl.DataFrame:
    """Habits of the subject with everybody, by partner and by month: WRITING_STYLE but examples.

    `sums` are `style.add_up` of all turns of the history by speaker, partner and period; `others`
    the habits of other people (`speaker`, `feature`, `value`), at most one row of each.
    """
    own = sums.filter(pl.col("speaker") == subject)
    partners = _most(own)
    by_partner = add_sums(own.filter(pl.col("partner").is_in(partners)), ["partner"])
    habits = [one.name for one in HABITS]
    measured = pl.concat(
        [
            _rows(add_sums(own, ["speaker"]), partner=pl.lit(""), period=pl.lit("")),
            _rows(by_partner, partner=pl.col("partner"), period=pl.lit("")).filter(
                pl.col("feature").is_in(habits)
            ),
            _rows(add_sums(own, ["period"]), partner=pl.lit(""), period=pl.col("period")).filter(
                pl.col("feature").is_in(habits)
            ),
        ]
    )
    theirs = values(
        add_sums(
            sums.filter(pl.col("speaker") != subject, pl.col("partner") == subject), ["speaker"]
        ),
        ["speaker"],
    ).select(partner="speaker", feature="feature", partner_value="value")
    everybody = theirs.group_by("feature").agg(pl.col("partner_value").mean(), partner=pl.lit(""))
    beside = pl.concat([theirs, everybody.select(theirs.columns)])
    distance = (pl.col("value") - pl.col("background")) / pl.col("spread")
    return (
        measured.join(background(others), on="feature", how="left")
        .join(beside, on=["partner", "feature"], how="left")
        .with_columns(distinction=pl.when(pl.col("spread") > 0).then(distance))
        .with_columns(pl.selectors.float().round(DIGITS))
        .select(name for name in WRITING_STYLE if name not in {"examples", "message_ids"})
        .sort("partner", "period", "feature")
    )


def background(others: pl.DataFrame) -> pl.DataFrame:
    """Mean and standard deviation of each habit over people: `feature`, `background`, `spread`."""
    return (
        others.group_by("feature")
        .agg(background=pl.col("value").mean(), spread=pl.col("value").std(), people=pl.len())
        .filter(pl.col("people") >= FEWEST_PEOPLE)
        .drop("people")
    )


def examples(rows: pl.DataFrame, shown: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Turns that show each row: `partner`, `period`, `feature`, `turn`, at most EXAMPLES each.

    `shown` and `said` are `own_counts` of the whole history. Of a habit the subject has less than
    others, turns that had occasion for it and do not show it.
    """
    less = set(
        rows.filter(pl.col("partner") == "", pl.col("period") == "", pl.col("distinction") < 0)[
            "feature"
        ]
    )
    found = []
    nothing = pl.lit("")
    for habit in HABITS:
        share = pl.col(habit.over) / pl.col(habit.per)
        high = habit.name not in less
        turns = shown.filter(pl.col(habit.per) > 0).sort(
            pl.col("spoken_words") > EXAMPLE_WORDS,
            share,
            pl.col(habit.over if high else habit.per),
            "turn",
            descending=[False, high, True, False],
        )
        for partner, period, by in (
            (nothing, nothing, None),
            (pl.col("partner"), nothing, "partner"),
            (nothing, pl.col("period"), "period"),
        ):
            top = (
                turns.group_by(by, maintain_order=True).head(EXAMPLES)
                if by
                else turns.head(EXAMPLES)
            )
            found.append(
                top.select(
                    partner=partner, period=period, feature=pl.lit(habit.name), turn=pl.col("turn")
                )
            )
    words = said.group_by("feature", maintain_order=True).tail(EXAMPLES)
    found.append(words.select(partner=nothing, period=nothing, feature="feature", turn="turn"))
    return pl.concat(found).join(
        rows.select("partner", "period", "feature"), on=["partner", "period", "feature"], how="semi"
    )


def with_examples(rows: pl.DataFrame, chosen: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """`style_rows` with the texts of `examples`, WRITING_STYLE; `texts` has `id, text, raw_ids`."""
    key = ["partner", "period", "feature"]
    told = (
        chosen.join(texts, left_on="turn", right_on="id", how="inner")
        .group_by(key, maintain_order=True)
        .agg(examples=pl.col("text"), message_ids=pl.col("raw_ids").explode())
    )
    empty = pl.lit([], dtype=pl.List(pl.String))
    return (
        rows.join(told, on=key, how="left")
        .with_columns(pl.col("examples", "message_ids").fill_null(empty))
        .select(pl.col(name).cast(dtype) for name, dtype in WRITING_STYLE.items())
    )


def _rows(sums: pl.DataFrame, **places: pl.Expr) -> pl.DataFrame:
    by = [name for name in ("partner", "period", "speaker") if name in sums.columns]
    measured = values(sums, by)
    return measured.select(**places, feature="feature", value="value", n="n")


def _most(own: pl.DataFrame) -> Sequence[str]:
    turns = own.filter(pl.col("partner") != "").group_by("partner").agg(pl.col("turns").sum())
    return turns.sort("turns", "partner", descending=[True, False])["partner"][
        :MOST_PARTNERS
    ].to_list()
