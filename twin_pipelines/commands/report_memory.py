"""The page Memory of `twin report`: what is remembered, how surely, what faded, what was dreamt."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.commands.memory import DIGITS, short_name
from twin_pipelines.memory import ledger_store, store
from twin_pipelines.memory.forgetting.retention import with_retention
from twin_pipelines.memory.forgetting.store import history_end, load_fading
from twin_pipelines.memory.records import STATES, TYPES
from twin_pipelines.settings import TwinSettings

KNOWN = 25  # rows of a list
SHOWN = 15


def memory_page(connection: psycopg.Connection, settings: TwinSettings) -> dict[str, Any]:
    """Everything `report_memory.html.j2` shows, as plain values; empty lists without memories."""
    knowledge = store.load_memories(connection, types=["knowledge", "core"])
    now = history_end(connection) or datetime.now(UTC)
    holds = pl.col("valid_until").is_null() | (pl.col("valid_until") > now)
    return {
        "counts": _counts(store.memory_counts(connection)),
        "states": STATES,
        "plot": _plot(store.memories_by_month(connection)),
        "known": _rows(knowledge.filter(holds).head(KNOWN)),
        "replaced": _replaced(knowledge.filter(~holds), knowledge).head(SHOWN).to_dicts(),
        "plans": _rows(
            store.load_memories(connection, types=["episodic", "knowledge"])
            .filter(pl.col("happens_on") >= now.date())
            .sort("happens_on", "memory_id")
            .head(SHOWN)
        ),
        **_feelings(store.load_memories(connection, types=["emotional"])),
        "procedures": _rows(store.load_memories(connection, types=["procedural"]).head(SHOWN)),
        "dreams": _dreams(store.load_memories(connection, types=["dream"])),
        "suspicious": _rows(store.load_memories(connection, states=["quarantined"]).head(SHOWN)),
        "fading": _fading(connection, settings, now),
        "runs": ledger_store.load_runs(connection, limit=SHOWN).to_dicts(),
        "settings": settings.memory,
    }


def _counts(counts: pl.DataFrame) -> list[dict[str, Any]]:
    """One row a type, with its number in each state and of pinned ones."""
    told = {(row["type"], row["status"]): row for row in counts.iter_rows(named=True)}
    rows = []
    for name in TYPES:
        found = [told.get((name, state), {"memories": 0, "pinned": 0}) for state in STATES]
        row = {"type": name.replace("_", " "), "pinned": sum(one["pinned"] for one in found)}
        rows.append(row | {"numbers": [one["memories"] for one in found]})
    return [row for row in rows if any(row["numbers"])]


def _rows(memories: pl.DataFrame) -> list[dict[str, Any]]:
    return memories.with_columns(
        pl.col("memory_id").str.head(DIGITS).alias("id"),
        pl.col("about").map_elements(short_name, pl.String),
        pl.col("message_ids").list.len().alias("messages"),
    ).to_dicts()


def _replaced(former: pl.DataFrame, knowledge: pl.DataFrame) -> pl.DataFrame:
    """Facts that ceased to be true, each with what replaced it (`now`)."""
    present = knowledge.select(pl.col("memory_id").alias("superseded_by"), now=pl.col("content"))
    return (
        former.join(present, on="superseded_by", how="left")
        .sort("valid_until", "memory_id", descending=[True, False])
        .select("content", "now", "kind", "valid_from", "valid_until")
    )


def _feelings(emotional: pl.DataFrame) -> dict[str, Any]:
    strongest = emotional.sort("importance", "last_at", "memory_id", descending=True).head(SHOWN)
    return {
        "feelings": emotional["kind"].value_counts(sort=True).rows(),
        "strongest": _rows(strongest),
    }


def _dreams(dreams: pl.DataFrame) -> list[dict[str, Any]]:
    latest = dreams.sort("first_at", "importance", "memory_id", descending=True).head(SHOWN)
    rows = _rows(latest)
    for row in rows:
        row["fulfilled_at"] = json.loads(row["details"]).get("fulfilled_at")
    return rows


def _fading(
    connection: psycopg.Connection, settings: TwinSettings, now: datetime
) -> dict[str, Any]:
    """Retention of active memories: quartiles by type, and those nearest to being archived."""
    memory = settings.memory
    judged = with_retention(
        load_fading(connection, memory.core_threshold, memory.core_sessions),
        now,
        memory.half_life_days,
    )
    fading = judged.filter(~pl.col("type").is_in(["short_term", "dream"]))
    quartiles = [
        pl.col("retention").quantile(share).alias(name)
        for name, share in (("low", 0.25), ("middle", 0.5), ("high", 0.75))
    ]
    active = fading.filter(status="active")
    next_ones = active.filter(~pl.col("pinned"), ~pl.col("core")).sort("retention", "memory_id")
    return {
        "by_type": active.group_by("type").agg(pl.len(), *quartiles).sort("type").to_dicts(),
        "next": next_ones.head(SHOWN).to_dicts(),
        "gone": fading.filter(status="archived").height,
    }


def _plot(months: pl.DataFrame) -> str:
    """Bars of memories by month and type as a PNG in base64; empty without memories."""
    if months.is_empty():
        return ""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    wide = months.pivot("type", index="month", values="memories").sort("month").fill_null(0)
    figure, axes = pyplot.subplots(figsize=(9, 3.2))
    labels = [f"{month:%Y-%m}" for month in wide["month"]]
    below = [0] * wide.height
    for name in (name for name in TYPES if name in wide.columns):
        heights = wide[name].to_list()
        axes.bar(labels, heights, bottom=below, label=name.replace("_", " "))
        below = [one + other for one, other in zip(below, heights, strict=True)]
    axes.set_ylabel("memories first told")
    axes.set_xticks(range(0, len(labels), max(1, len(labels) // 12)))
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()
