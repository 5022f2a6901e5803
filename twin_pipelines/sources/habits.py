"""Signs that several people write under one name, which no single text shows."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

QUICK_SECONDS = 5
FEWEST_QUICK = 100  # quick steps, before their share says anything
FEWEST_STARTS = 10  # messages of a conversation that begin with a cased letter
FEWEST_CONVERSATIONS = 10


@dataclass(frozen=True)
class Habits:
    """How one name behaves across conversations; None where there is too little to tell.

    `switching`: of successive messages at most 5 s apart, the share that stand in different
    conversations; one person seldom changes windows that fast. `capitals_sd`: standard deviation
    between conversations of the share of messages begun with a capital, beyond what chance makes of
    so few messages; one keyboard and one habit give a small one.
    """

    switching: float | None
    capitals_sd: float | None


def habits(own: pl.DataFrame) -> Habits:
    """Measure one speaker's messages: `conversation_id`, `sent_at`, `text`, in time order."""
    return Habits(_switching(own), _capitals_sd(own))


def _switching(own: pl.DataFrame) -> float | None:
    steps = own.select(
        quick=pl.col("sent_at").diff() <= pl.duration(seconds=QUICK_SECONDS),
        moved=pl.col("conversation_id") != pl.col("conversation_id").shift(1),
    ).filter("quick")
    if steps.height < FEWEST_QUICK or own["conversation_id"].n_unique() < 2:
        return None
    return float(steps["moved"].mean())  # type: ignore[arg-type]


def _capitals_sd(own: pl.DataFrame) -> float | None:
    """√(variance of the shares − mean sampling variance p(1 − p)/(n − 1)), at least 0."""
    first = pl.col("text").str.extract(r"^\W*(\w)")
    starts = own.select("conversation_id", letter=first).filter(
        pl.col("letter").str.to_lowercase() != pl.col("letter").str.to_uppercase()
    )
    shares = (
        starts.group_by("conversation_id")
        .agg(
            share=(pl.col("letter") == pl.col("letter").str.to_uppercase()).mean(),
            messages=pl.len(),
        )
        .filter(pl.col("messages") >= FEWEST_STARTS)
    )
    if shares.height < FEWEST_CONVERSATIONS:
        return None
    share = pl.col("share")
    by_chance = (share * (1 - share) / (pl.col("messages") - 1)).mean()
    beyond = shares.select((share.var() - by_chance).clip(lower_bound=0).sqrt()).item()
    return float(beyond)
