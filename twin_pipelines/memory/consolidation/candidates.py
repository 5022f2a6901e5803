"""Which memories may become core memories: what is known of the subject, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from twin_pipelines.memory.importance import PARTS, parts_of
from twin_pipelines.persona.statements.patterns import KINDS
from twin_pipelines.settings import Memory

CANDIDATES: dict[str, Any] = {
    "memory_id": pl.String,
    "title": pl.String,
    "content": pl.String,
    "importance": pl.Float32,
    "parts": pl.Struct(dict.fromkeys(PARTS, pl.Float32)),
    "sessions": pl.Int32,
    "first_said_at": pl.Datetime("us", "UTC"),
    "last_said_at": pl.Datetime("us", "UTC"),
    "message_ids": pl.List(pl.String),
}


def core_candidates_of(
    memories: pl.DataFrame, subject: str, settings: Memory, partner: str | None = None
) -> pl.DataFrame:
    """Candidates (CANDIDATES) among active memories (MEMORIES), weightiest first.

    They are about the subject, or about `partner`, whose name then stands before the content: what
    was said once or is known, what was imported as core, and what the owner pinned. What ceased to
    be true and what is only imagined is none. Somebody chose what is pinned or imported as core, so
    it counts as explicitly asked for: it is as important as `settings.core_threshold` and comes
    from `settings.core_sessions` sessions at least; what is pinned weighs 1.
    """
    chosen = pl.col("pinned") | (pl.col("type") == "core")
    said = (pl.col("type") == "episodic") & pl.col("kind").is_in(KINDS)
    known = (pl.col("type") == "knowledge") & (pl.col("origin") == "consolidated")
    about = [subject, *([partner] if partner else [])]
    rows = parts_of(
        memories.filter(
            pl.col("about").is_in(about) & (pl.col("status") == "active"),
            pl.col("valid_until").is_null(),
            ~pl.col("type").is_in(["dream", "short_term"]),
            chosen | said | known,
        )
    ).with_columns(
        pl.when(chosen).then(1.0).otherwise("explicit").alias("explicit"),
        pl.when(pl.col("about") != subject)
        .then(pl.format("{}: {}", "about", "content"))
        .otherwise("content")
        .alias("content"),
        pl.when("pinned")
        .then(1.0)
        .when(chosen)
        .then(pl.max_horizontal("importance", pl.lit(settings.core_threshold)))
        .otherwise("importance")
        .cast(pl.Float32)
        .alias("importance"),
        pl.when(chosen)
        .then(pl.max_horizontal("sessions", pl.lit(settings.core_sessions)))
        .otherwise(pl.max_horizontal("sessions", pl.lit(1)))
        .cast(pl.Int32)
        .alias("sessions"),
    )
    return rows.select(
        "memory_id",
        "title",
        "content",
        "importance",
        pl.struct(pl.col(name).cast(pl.Float32) for name in PARTS).alias("parts"),
        "sessions",
        pl.col("first_at").alias("first_said_at"),
        pl.col("last_at").alias("last_said_at"),
        "message_ids",
    ).sort(["importance", "memory_id"], descending=[True, False])


def main_partner(sessions: Sequence[tuple[str, int]], total: int) -> str | None:
    """Who the subject mostly talks with: takes part in at least half of all `total` sessions.

    `sessions` are the sessions of each speaker but the subject.
    """
    best = max(sessions, key=lambda pair: pair[1], default=None)
    return best[0] if best and 2 * best[1] >= total else None
