"""Turns: what one speaker wrote in one go, however many messages it took."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import polars as pl

from twin_pipelines.features.language import count_words, detect_languages
from twin_pipelines.features.order import changes

TURNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    "source": pl.String,
    "conversation_id": pl.String,
    "session_id": pl.String,
    "speaker": pl.String,
    "text": pl.String,
    "sent_at": pl.Datetime("us", "UTC"),
    "ended_at": pl.Datetime("us", "UTC"),
    "day": pl.Date,
    "place": pl.Int32,
    "language": pl.String,
    "words": pl.Int32,
    "content_hash": pl.String,
    "raw_ids": pl.List(pl.String),
}


def merge_bursts(messages: pl.DataFrame, burst_seconds: int) -> pl.DataFrame:
    """Merge bursts into turns (`TURNS`), in the order of their first messages.

    `messages` is ordered and cleaned, with `run`: one number for each stretch of a speaker's
    messages with nobody between, within one session and day. A burst goes on while the next
    message of the run follows within `burst_seconds` of the last; its texts are joined by line
    breaks. A turn carries the identity of its first message, and its `place` among the
    conversation's turns that began at the same moment: `sent_at` and `place` tell the order, and
    what comes or goes elsewhere in the day does not move it.
    """
    pause = pl.col("sent_at").diff() > timedelta(seconds=burst_seconds)
    bursts = messages.with_columns(burst=(changes("run") | pause).cum_sum())
    first = ["id", "source", "conversation_id", "session_id", "speaker", "sent_at", "day"]
    turns = bursts.group_by("burst", maintain_order=True).agg(
        pl.col(first).first(),
        pl.col("text").str.join("\n"),
        ended_at=pl.col("sent_at").last(),
        raw_ids=pl.col("id"),
    )
    return turns.with_columns(
        pl.int_range(pl.len()).over("source", "conversation_id", "sent_at").alias("place"),
        detect_languages(turns["text"]),
        count_words(turns["text"]),
        _content_hashes(turns["text"]),
    ).select(pl.col(name).cast(dtype) for name, dtype in TURNS.items())


def _content_hashes(texts: pl.Series) -> pl.Series:
    """md5 of each text, as PostgreSQL's md5() gives it."""
    hashes = [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in texts]
    return pl.Series("content_hash", hashes, dtype=pl.String)
