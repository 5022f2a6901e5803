"""Sets memories aside that should not be believed before the owner has looked at them.

Three signs: text that reads like an instruction to a model (`persona.statements.suspicion`);
statements that pour out of one conversation faster than a person tells of themselves; and what says
the opposite of something the owner pinned. Only active memories change, and not those the owner let
out once (their reason is kept in `status_reason`). They stay where they are, with their messages.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory.consolidation.conflicts import OPEN, Slot, slots_of
from twin_pipelines.persona.statements.find import content_words
from twin_pipelines.persona.statements.suspicion import suspicion

__all__ = ["quarantine", "quarantine_against", "quarantine_bursts", "suspicion"]

BURST = 20  # statements of one person in one conversation
BURST_MINUTES = 10
WORDS = "reads like an instruction: {}"
TELLING_TYPES = ("episodic", "knowledge", "core")
EPISODE = "session"


def quarantine(memories: pl.DataFrame) -> pl.DataFrame:
    """Memories (MEMORIES) with those whose title or content is suspicious `quarantined`."""
    reasons = pl.Series(
        "reason",
        [
            suspicion(f"{title}\n{content}")
            for title, content in memories.select("title", "content").iter_rows()
        ],
        dtype=pl.String,
    )
    return _set_aside(memories, reasons, WORDS)


def quarantine_bursts(memories: pl.DataFrame) -> pl.DataFrame:
    """Memories (MEMORIES) with those of a sudden burst `quarantined`.

    A burst are more than BURST statements of one person in one conversation of which each stands
    within BURST_MINUTES of the one BURST before or after it. Nobody tells so much of themselves so
    fast; a script that plants memories does.
    """
    if memories.is_empty():
        return memories
    told = (
        memories.with_row_index("row")
        .filter(_tells())
        .with_columns(pl.col("details").str.json_path_match("$.conversation").alias("conversation"))
        .filter(pl.col("conversation").is_not_null())
        .sort("conversation", "about", "first_at", "memory_id")
    )
    whose = ["conversation", "about"]
    dense = pl.col("first_at").shift(-BURST).over(whose) - pl.col("first_at")
    begins = told.with_columns(begins=dense <= pl.duration(minutes=BURST_MINUTES))
    within = pl.col("begins").fill_null(False).cast(pl.Int32)
    near = pl.max_horizontal(within.shift(back).over(whose) for back in range(BURST + 1))
    bursts = set(begins.filter(near.fill_null(0) > 0)["row"].to_list())
    why = f"a sudden burst: more than {BURST} statements within {BURST_MINUTES} minutes"
    reasons = pl.Series(
        "reason", [why if row in bursts else None for row in range(memories.height)], pl.String
    )
    return _set_aside(memories, reasons, "{}")


def quarantine_against(memories: pl.DataFrame, pinned: pl.DataFrame) -> pl.DataFrame:
    """Memories (MEMORIES) with those `quarantined` that contradict a pinned one said before.

    Compared is what both say of the same person that can be true in one way only
    (`consolidation.conflicts`): age, home, job, relation, likes, and what is affirmed or denied.
    """
    if memories.is_empty() or pinned.is_empty():
        return memories
    held: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row, slots in _with_slots(pinned):
        for slot in slots:
            held.setdefault((row["about"], slot.name), []).append({**row, "value": slot.value})
    pinned_ids = set(pinned["memory_id"])
    reasons = [
        None if row["memory_id"] in pinned_ids else _against(row, slots, held)
        for row, slots in _with_slots(memories)
    ]
    return _set_aside(memories, pl.Series("reason", reasons, dtype=pl.String), "{}")


def _with_slots(memories: pl.DataFrame) -> list[tuple[dict[str, Any], list[Slot]]]:
    """Each memory with what it answers; episodes and what is no statement answer nothing."""
    plain = memories.select(
        "memory_id",
        "about",
        "kind",
        "content",
        "first_at",
        "last_at",
        pl.coalesce(
            pl.col("details").str.json_path_match("$.bare"), normal_text(pl.col("content"))
        ).alias("bare"),
        _tells().alias("tells"),
    )
    told = []
    for row in plain.iter_rows(named=True):
        bare = row["bare"] if row["tells"] else ""
        told.append((row, slots_of(row["kind"], bare, content_words(bare)) if bare else []))
    return told


def _against(
    row: dict[str, Any],
    slots: list[Slot],
    held: dict[tuple[str, str], list[dict[str, Any]]],
) -> str | None:
    for slot in slots:
        for known in held.get((str(row["about"]), slot.name), ()):
            value = known["value"]
            nested = slot.name in OPEN and (slot.value <= value or value <= slot.value)
            if slot.value != value and not nested and row["first_at"] > known["last_at"]:
                return f"contradicts the pinned memory {str(known['memory_id'])[:8]}"
    return None


def _tells() -> pl.Expr:
    return pl.col("type").is_in(TELLING_TYPES) & (pl.col("kind") != EPISODE)


def _set_aside(memories: pl.DataFrame, reasons: pl.Series, words: str) -> pl.DataFrame:
    found = reasons.is_not_null() & (memories["status"] == "active")
    return memories.with_columns(
        pl.when(found).then(pl.lit("quarantined")).otherwise(pl.col("status")).alias("status"),
        pl.when(found)
        .then(pl.format(words, reasons))
        .otherwise(pl.col("status_reason"))
        .alias("status_reason"),
    )
