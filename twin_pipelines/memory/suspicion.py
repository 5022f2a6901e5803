"""Sets aside memories that read like instructions to a model (`persona.statements.suspicion`)."""

from __future__ import annotations

import polars as pl

from twin_pipelines.persona.statements.suspicion import suspicion

__all__ = ["quarantine", "suspicion"]


def quarantine(memories: pl.DataFrame) -> pl.DataFrame:
    """Memories (MEMORIES) with those whose title or content is suspicious `quarantined`.

    Only active ones change; the reason stands in `status_reason`. They stay where they are, with
    their messages, so that the owner can look at them and take them back.
    """
    reasons = pl.Series(
        "reason",
        [
            suspicion(f"{title}\n{content}")
            for title, content in memories.select("title", "content").iter_rows()
        ],
        dtype=pl.String,
    )
    found = reasons.is_not_null() & (memories["status"] == "active")
    return memories.with_columns(
        pl.when(found).then(pl.lit("quarantined")).otherwise(pl.col("status")).alias("status"),
        pl.when(found)
        .then(pl.format("reads like an instruction: {}", reasons))
        .otherwise(pl.col("status_reason"))
        .alias("status_reason"),
    )
