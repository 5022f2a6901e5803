"""Cleaning as one step: raw messages of some days in; turns, and what was dropped and why, out.

In order: the text of every message is cleaned; empty and system messages go, and what the twin
itself said in a chat; then the same record twice, double sends, and long texts sent again with an
edit; what stays is merged into turns, none across an answer of the twin. Every message ends either
in exactly one turn or among the dropped. Nothing but the day itself decides
which messages stay; its eve only tells where a session began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import polars as pl

from twin_pipelines.features import duplicates
from twin_pipelines.features.order import changes, in_order
from twin_pipelines.features.sessions import with_sessions
from twin_pipelines.features.text import clean_texts, has_content
from twin_pipelines.features.turns import merge_bursts
from twin_pipelines.settings import Cleaning
from twin_pipelines.sources.messages import TWIN

DROPPED: dict[str, pl.DataType | type[pl.DataType]] = {
    "raw_id": pl.String,
    "day": pl.Date,
    "reason": pl.String,
    "kept_id": pl.String,
}
REASONS = ("empty", "system", "twin", "exact_duplicate", "near_duplicate")
TYPE_KEYS = ("message_type", "type")  # of the metadata

_KEPT = ["id", "source", "conversation_id", "conversation", "session_id", "speaker", "text"]
_RUN = ("conversation", "speaker", "day", "session_id", "answers")  # a turn is within one run


class Days(Protocol):
    """A run of days, both ends included."""

    @property
    def first(self) -> date: ...

    @property
    def last(self) -> date: ...


@dataclass(frozen=True)
class Cleaned:
    """Turns (`turns.TURNS`), dropped messages (`DROPPED`) and counts, one row for each day that has
    messages: `day`, `messages`, `turns`, `dropped`, `sessions`."""

    turns: pl.DataFrame
    dropped: pl.DataFrame
    counts: pl.DataFrame


def clean(raw: pl.DataFrame, days: Days, cleaning: Cleaning) -> Cleaned:
    """Clean the raw messages of `days`.

    `raw` holds every raw message of the days and of the day before them, in any order, with `id`,
    `source`, `source_message_id`, `conversation_id`, `speaker`, `text`, `sent_at`, `day` (in the
    history's time zone) and `metadata` (JSON text). Cleaning a range of days gives for each of them
    what cleaning it alone gives.
    """
    placed = with_sessions(in_order(raw), cleaning.session_pause_minutes).filter(
        pl.col("day").is_between(days.first, days.last)
    )
    messages = placed.with_columns(clean_texts(placed["text"]))
    system = _system_messages(messages, cleaning.system_message_types)
    twins = pl.col("speaker") == TWIN
    empty = has_content(pl.col("text")).not_() & ~twins
    messages = messages.with_columns(answers=twins.cum_sum())
    kept = messages.filter(~system & ~empty & ~twins).select(*_KEPT, "sent_at", "day", "answers")
    dropped = [
        _because("system", messages.filter(system).select(raw_id="id")),
        _because("empty", messages.filter(~system & empty).select(raw_id="id")),
        _because("twin", messages.filter(~system & twins).select(raw_id="id")),
    ]

    same = duplicates.same_record(kept)
    kept = _without(kept, same)
    kept = kept.with_columns(run=changes(*_RUN).cum_sum())
    again = duplicates.double_sends(kept)
    kept = _without(kept, again)
    edited = duplicates.resent_with_edit(kept, cleaning.near_duplicate)
    kept = _without(kept, edited)
    dropped += [
        _because("exact_duplicate", same),
        _because("exact_duplicate", again),
        _because("near_duplicate", edited),
    ]

    turns = merge_bursts(kept, cleaning.burst_seconds)
    left_out = duplicates.resolve(pl.concat(dropped)).join(
        messages.select(raw_id="id", day="day"), on="raw_id", maintain_order="left"
    )
    left_out = left_out.select(pl.col(name).cast(dtype) for name, dtype in DROPPED.items())
    return Cleaned(turns, left_out, _counts(messages, turns, left_out))


def _system_messages(messages: pl.DataFrame, types: Sequence[str]) -> pl.Series:
    """Which messages no person wrote: their metadata's type, or their speaker, is a system type."""
    names = [name.lower() for name in types]
    system = pl.col("speaker").str.to_lowercase().is_in(names)
    if messages["metadata"].null_count() < messages.height:
        for key in TYPE_KEYS:
            said = pl.col("metadata").cast(pl.String).str.json_path_match(f"$.{key}")
            system |= said.str.to_lowercase().is_in(names).fill_null(False)
    return messages.select(system).to_series()


def _because(reason: str, dropped: pl.DataFrame) -> pl.DataFrame:
    kept_id = pl.col("kept_id") if "kept_id" in dropped.columns else pl.lit(None, pl.String)
    return dropped.select("raw_id", pl.lit(reason).alias("reason"), kept_id.alias("kept_id"))


def _without(messages: pl.DataFrame, dropped: pl.DataFrame) -> pl.DataFrame:
    if dropped.is_empty():
        return messages
    return messages.join(
        dropped, left_on="id", right_on="raw_id", how="anti", maintain_order="left"
    )


def _counts(messages: pl.DataFrame, turns: pl.DataFrame, dropped: pl.DataFrame) -> pl.DataFrame:
    return (
        messages.group_by("day")
        .agg(messages=pl.len())
        .join(
            turns.group_by("day").agg(turns=pl.len(), sessions=pl.col("session_id").n_unique()),
            on="day",
            how="left",
        )
        .join(dropped.group_by("day").agg(dropped=pl.len()), on="day", how="left")
        .select("day", pl.col("messages", "turns", "dropped", "sessions").fill_null(0))
        .sort("day")
    )
