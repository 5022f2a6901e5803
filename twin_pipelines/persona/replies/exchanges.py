"""Exchanges: what the partner said, what the subject answered, and the situation it was in."""

from __future__ import annotations

from typing import Any

import polars as pl

from twin_pipelines.persona.replies.situations import situation

REPLIES: dict[str, Any] = {
    "session_id": pl.String,
    "day": pl.Date,
    "said_at": pl.Datetime("us", "UTC"),
    "partner": pl.String,
    "reply": pl.String,
    "situation": pl.String,
    "language": pl.String,
    "message_ids": pl.List(pl.String),
}


def replies_of(turns: pl.DataFrame, subject: str) -> pl.DataFrame:
    """The subject's replies (REPLIES) in turns (`features.turns.TURNS`), in the order said.

    `partner` is everything others said since the subject last spoke in the session, `reply` what
    the subject then said before the next answer; `message_ids` are the reply's raw messages,
    `language` is that of its first turn, `day` that of its first turn too. What the subject says
    before anybody else in a session is no reply.
    """
    own = pl.col("speaker") == subject
    begins = (own != own.shift(1)).fill_null(True) | (
        pl.col("session_id") != pl.col("session_id").shift(1)
    ).fill_null(True)
    runs = (
        turns.sort("session_id", "sent_at", "place")
        .with_columns(own=own, run=begins.cum_sum())
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("session_id", "own", "day", "language").first(),
            pl.col("sent_at").first().alias("said_at"),
            pl.col("text").str.join("\n"),
            pl.col("raw_ids")
            .list.explode(keep_nulls=False, empty_as_null=False)
            .alias("message_ids"),
        )
    )
    answered = runs.with_columns(
        pl.col("text").shift(1).over("session_id").alias("partner"),
        pl.col("text").alias("reply"),
    ).filter("own", pl.col("partner").is_not_null())
    situations = [situation(message) for message in answered["partner"]]
    return (
        answered.with_columns(pl.Series("situation", situations, pl.String))
        .select(list(REPLIES))
        .sort("said_at", "session_id", maintain_order=True)
    )
