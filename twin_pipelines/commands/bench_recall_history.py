"""A history to search: chitchat's turns in their sessions, and memories made of its utterances.

All chats are told by the same two people, one chat after another, as in the history of a companion.
A memory is a window of one to four utterances of a chat, so that many are nearly alike: a harder
search than one among texts that have nothing in common.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import polars as pl

from twin_pipelines.features.turns import TURNS
from twin_pipelines.settings import TwinError
from twin_pipelines.sources import chitchat

BEGAN = datetime(2022, 1, 1, tzinfo=UTC)
PACE = timedelta(minutes=1)  # between two turns
PAUSE = timedelta(minutes=90)  # between two chats
SUBJECT, PARTNER, SOURCE = "angela", "david", "bench"
WINDOWS = (1, 2, 3, 4)  # utterances of a memory
FEWEST_WORDS = 3  # of a memory, and of a message that is asked about
HELD_OUT = 25  # every so many chats are left out: their messages are the questions
MEMORIES: dict[str, Any] = {
    "memory_id": pl.String,
    "type": pl.String,
    "kind": pl.String,
    "title": pl.String,
    "content": pl.String,
    "about": pl.String,
    "people": pl.List(pl.String),
    "language": pl.String,
    "importance": pl.Float64,
    "confidence": pl.Float64,
    "day": pl.Date,
    "first_at": pl.Datetime("us", "UTC"),
    "last_at": pl.Datetime("us", "UTC"),
    "origin": pl.String,
    "message_ids": pl.List(pl.String),
}


@dataclass(frozen=True)
class BenchHistory:
    """What is searched (`turns`: features TURNS, `memories`: MEMORIES) and what is asked."""

    turns: pl.DataFrame
    memories: pl.DataFrame
    questions: Sequence[str]
    coming: pl.DataFrame  # turns that come in while it is searched, TURNS


def history(entries: int, questions: int, coming: int) -> BenchHistory:
    """So many turns and memories together, half and half while there are turns enough.

    The questions are messages of chats that are left out, as the server asks; `coming` are turns
    of those chats. The same at each call. Raises TwinError when the package holds less text.
    """
    turns, memories = _everything()
    most = turns.height + memories.height
    if entries > most:
        raise TwinError(f"chitchat holds text for {most:,} memories; ask for at most so many.")
    taken = max(min(entries - entries // 2, turns.height), entries - memories.height)
    turns = turns.head(taken)
    step = memories.height / max(entries - taken, 1)
    rows = [int(number * step) for number in range(entries - taken)]
    left_out = _said().filter("held_out")
    return BenchHistory(
        turns=turns,
        memories=memories[rows],
        questions=_questions(left_out, questions),
        coming=_coming(left_out, turns, coming),
    )


@lru_cache(maxsize=1)
def _said() -> pl.DataFrame:
    """Utterances with their `chat` (number), `turn`, `speaker` (one of two), `held_out`."""
    rows = chitchat.messages().with_columns(speaker=pl.col("speaker").cast(pl.String))
    chat = (pl.col("chat") != pl.col("chat").shift()).fill_null(False).cum_sum().cast(pl.Int32)
    first = pl.col("speaker") == pl.col("speaker").first().over("chat")
    text = pl.col("text").str.replace_all("\0", "").str.strip_chars()
    return (
        rows.select(
            chat.alias("chat"),
            pl.col("turn"),
            pl.col("number"),
            pl.when(first).then(pl.lit(SUBJECT)).otherwise(pl.lit(PARTNER)).alias("speaker"),
            text.alias("text"),
        )
        .filter(pl.col("text") != "")
        .with_columns(held_out=pl.col("chat") % HELD_OUT == 0)
    )


@lru_cache(maxsize=1)
def _everything() -> tuple[pl.DataFrame, pl.DataFrame]:
    """All turns and memories there are."""
    said = _said().filter(~pl.col("held_out"))
    return _turns(said), _memories(said)


def _turns(said: pl.DataFrame, after: datetime = BEGAN) -> pl.DataFrame:
    """Turns in the order of their chats, a session a chat, later than `after`."""
    turns = said.group_by("chat", "turn", maintain_order=True).agg(
        pl.col("speaker").first(), pl.col("text").str.join("\n")
    )
    begins = (pl.col("chat") != pl.col("chat").shift()).fill_null(True).cum_sum()
    sent_at = pl.lit(after) + pl.int_range(pl.len()) * PACE + begins * PAUSE
    names = turns.select(pl.concat_str("chat", "turn", separator="/")).to_series()
    sessions = turns["chat"].cast(pl.String)
    return turns.select(
        _identities("turn", names).alias("id"),
        pl.lit(SOURCE).alias("source"),
        sessions.alias("conversation_id"),
        _identities("session", sessions).alias("session_id"),
        "speaker",
        "text",
        sent_at.alias("sent_at"),
        (sent_at + timedelta(seconds=5)).alias("ended_at"),
        sent_at.dt.date().alias("day"),
        pl.int_range(pl.len(), dtype=pl.Int32).over("chat").alias("place"),
        pl.lit("en").alias("language"),
        pl.col("text").str.count_matches(r"\S+").cast(pl.Int32).alias("words"),
        pl.col("text").map_elements(_md5, return_dtype=pl.String).alias("content_hash"),
        pl.concat_list(_identities("turn", names)).alias("raw_ids"),
    ).cast(TURNS)  # type: ignore[arg-type]


def _memories(said: pl.DataFrame) -> pl.DataFrame:
    """Every window of one to four utterances of a chat that has FEWEST_WORDS, in their order."""
    parts = []
    for size in WINDOWS:
        joined = pl.concat_str(
            *(pl.col("text").shift(-step).over("chat") for step in range(size)), separator=" "
        )
        parts.append(said.select("chat", "number", "turn", "speaker", joined.alias("content")))
    windows = (
        pl.concat([part.with_columns(size=size) for size, part in zip(WINDOWS, parts, strict=True)])
        .filter(pl.col("content").str.count_matches(r"\S+") >= FEWEST_WORDS)
        .sort("chat", "number", "size")
    )
    names = windows.select(pl.concat_str("chat", "number", "size", separator="/")).to_series()
    evidence = windows.select(pl.concat_str("chat", "turn", separator="/")).to_series()
    first_at = pl.lit(BEGAN) + pl.col("chat") * PAUSE + pl.col("number") * PACE
    spread = pl.int_range(pl.len()) % 11 / 10
    return windows.select(
        _identities("memory", names).alias("memory_id"),
        pl.lit("episodic").alias("type"),
        pl.lit("session").alias("kind"),
        pl.col("content").str.slice(0, 60).alias("title"),
        "content",
        pl.col("speaker").alias("about"),
        pl.lit([SUBJECT, PARTNER]).alias("people"),
        pl.lit("en").alias("language"),
        spread.alias("importance"),
        pl.lit(0.9).alias("confidence"),
        first_at.dt.date().alias("day"),
        first_at.alias("first_at"),
        first_at.alias("last_at"),
        pl.lit("extracted").alias("origin"),
        pl.concat_list(_identities("turn", evidence)).alias("message_ids"),
    ).cast(MEMORIES)  # type: ignore[arg-type]


def _questions(left_out: pl.DataFrame, count: int) -> list[str]:
    long = pl.col("text").str.count_matches(r"\S+") >= FEWEST_WORDS
    messages = left_out.filter(long)["text"].unique(maintain_order=True).to_list()
    return random.Random(1).sample(messages, min(count, len(messages)))


def _coming(left_out: pl.DataFrame, turns: pl.DataFrame, count: int) -> pl.DataFrame:
    latest: datetime = turns["sent_at"].max() or BEGAN  # type: ignore[assignment]
    return _turns(left_out, latest + timedelta(days=1)).head(count)


def _identities(kind: str, names: pl.Series) -> pl.Series:
    """A uuid for each name, always the same."""
    made = [str(UUID(_md5(f"{kind}/{name}"))) for name in names]
    return pl.Series(kind, made, dtype=pl.String)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
