"""How memories fade: retention R = exp(−t/S), as MemoryBank (Zhong et al., 2023) intends it.

- t  days since the memory was last said, last recalled, or the day a plan is about, whichever is
     latest; never negative.
- S  strength in days: half_life / ln 2 · SPAN^(2 · importance − 1) · (1 + ln(1 + recalls)).

A memory of importance 0.5 that was never recalled is at R = 0.5 after `half_life_days`; importance
0 and 1 make that SPAN times shorter and longer; every recall lengthens it and starts it anew. What
is pinned or core never falls below `FLOOR` and is never archived. A short-term memory is gone once
its time is over.

Time is the history's own: it stands still while nobody writes, so a twin of chats that ended years
ago forgets nothing more. Nothing is deleted, and what is said or recalled again comes back.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import polars as pl

SPAN = 4.0
FLOOR = 0.5
FADED = "faded:"  # how the reason of a memory archived by forgetting begins
_TIME = pl.Datetime("us", "UTC")
FADING: dict[str, Any] = {
    "memory_id": pl.String,
    "type": pl.String,
    "content": pl.String,
    "importance": pl.Float64,
    "last_at": _TIME,
    "happens_on": pl.Date,
    "valid_until": _TIME,
    "status": pl.String,
    "status_reason": pl.String,
    "pinned": pl.Boolean,
    "core": pl.Boolean,
    "recalls": pl.Int64,
    "last_recalled_at": _TIME,
}


def with_retention(memories: pl.DataFrame, now: datetime, half_life_days: float) -> pl.DataFrame:
    """Memories with `days` (t), `strength_days` (S) and `retention` (R, 0 to 1).

    Needed are `importance, last_at, happens_on, recalls, last_recalled_at, pinned, core`; `recalls`
    may be null, which is none.
    """
    planned = pl.col("happens_on").cast(_TIME)
    since = pl.max_horizontal("last_at", "last_recalled_at", planned)
    recalls = pl.col("recalls").fill_null(0).cast(pl.Float64)
    strength = (
        half_life_days
        / math.log(2)
        * pl.lit(SPAN).pow(2 * pl.col("importance").cast(pl.Float64) - 1)
        * (1 + recalls.log1p())
    )
    floor = pl.when(pl.col("pinned") | pl.col("core")).then(FLOOR).otherwise(0.0)
    days = ((pl.lit(now, _TIME) - since).dt.total_seconds() / 86_400).clip(0)
    return memories.with_columns(days.alias("days"), strength.alias("strength_days")).with_columns(
        pl.max_horizontal((-pl.col("days") / pl.col("strength_days")).exp(), floor).alias(
            "retention"
        )
    )


def forgotten(
    memories: pl.DataFrame, now: datetime, half_life_days: float, forget_below: float
) -> pl.DataFrame:
    """The memories (FADING) whose state must change, with `retention`, `days` and the new state.

    `new_status` is 'archived' for an active one whose retention is under `forget_below`, or whose
    short-term time is over; 'active' for one that had faded and no longer does (`FADED` reasons
    only: what the owner archived stays). `new_reason` says why in words and numbers.
    """
    judged = with_retention(memories, now, half_life_days)
    kept = pl.col("pinned") | pl.col("core")
    over = (pl.col("type") == "short_term") & (pl.col("valid_until") <= now)
    fades = ~kept & ((pl.col("retention") < forget_below) | over.fill_null(False))
    had_faded = (pl.col("status") == "archived") & pl.col("status_reason").str.starts_with(FADED)
    archive = (pl.col("status") == "active") & fades
    return (
        judged.with_columns(
            pl.when(archive)
            .then(pl.lit("archived"))
            .when(had_faded & ~fades)
            .then(pl.lit("active"))
            .alias("new_status"),
            pl.when(archive & over.fill_null(False))
            .then(pl.lit(f"{FADED} its session is over"))
            .when(archive)
            .then(_faded_words(forget_below))
            .otherwise(pl.lit(""))
            .alias("new_reason"),
        )
        .filter(pl.col("new_status").is_not_null())
        .sort("retention", "memory_id")
    )


def _faded_words(forget_below: float) -> pl.Expr:
    return pl.format(
        FADED + " retention {} is under {}: {} days since it was last said or recalled, "
        "importance {}, recalled {} times",
        pl.col("retention").round(3),
        pl.lit(forget_below),
        pl.col("days").round(0).cast(pl.Int64),
        pl.col("importance").round(2),
        pl.col("recalls").fill_null(0),
    )
