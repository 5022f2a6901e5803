"""Forgetting as a whole: what would go, what that does to search, and doing it.

What it does to search is measured by known items: memories drawn at random are asked for with half
of their own words, before and after. What would go counts among them, so the figure says how much
of all that could be asked for is no longer answered; beside it stand those that stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.foundation.words import words_of
from twin_pipelines.memory import ledger
from twin_pipelines.memory.forgetting.retention import forgotten, with_retention
from twin_pipelines.memory.forgetting.store import history_end, load_fading, write_states
from twin_pipelines.memory.ledger_store import load_changes
from twin_pipelines.memory.recall.recalls import record_recalls
from twin_pipelines.memory.recall.search import index, ranked
from twin_pipelines.settings import Memory

KNOWN_ITEMS = 200  # asked for, at most
AT = 10  # recall at
MOST_LOST = 0.05  # recall that forgetting may cost unasked; more needs the owner
_DEPTH = 200  # candidates by each sign, so that ten are left when many go
_AGES = (30, 90, 180, 365)  # days


@dataclass(frozen=True)
class Effect:
    """What archiving does to the search for known items: shares of those found among the first 10.

    None where nothing was asked for. `by_age` has `age, asked, before, after`.
    """

    asked: int
    before: float | None
    after: float | None
    staying: int
    staying_before: float | None
    staying_after: float | None
    by_age: pl.DataFrame

    @property
    def lost(self) -> float:
        """Recall that is lost, 0 to 1."""
        return (self.before or 0.0) - (self.after or 0.0)


@dataclass(frozen=True)
class Plan:
    """What forgetting would do with these settings."""

    now: datetime
    half_life_days: float
    forget_below: float
    judged: pl.DataFrame  # all that was looked at, with `retention`, `days`, `strength_days`
    changes: pl.DataFrame  # of them, with `new_status` and `new_reason`
    effect: Effect

    @property
    def archived(self) -> pl.DataFrame:
        """What would be archived, the most important first."""
        going = self.changes.filter(new_status="archived")
        return going.sort("importance", "memory_id", descending=[True, False])

    @property
    def revived(self) -> pl.DataFrame:
        """What had faded and would be active again."""
        return self.changes.filter(new_status="active")

    @property
    def costs_too_much(self) -> bool:
        """Whether search loses more than forgetting may cost without the owner's word."""
        return self.effect.lost > MOST_LOST

    def as_dict(self) -> dict[str, Any]:
        """Figures for a machine, and the fifty most important memories that would go."""
        effect = self.effect
        columns = ["memory_id", "type", "content", "importance", "days", "retention", "new_reason"]
        return {
            "now": self.now.isoformat(),
            "half_life_days": self.half_life_days,
            "forget_below": self.forget_below,
            "looked_at": self.judged.height,
            "archived": self.archived.height,
            "archived_by_type": dict(self.archived["type"].value_counts(sort=True).rows()),
            "revived": self.revived.height,
            "known_item_recall_at_10": {
                "asked": effect.asked,
                "before": effect.before,
                "after": effect.after,
                "staying": effect.staying,
                "staying_before": effect.staying_before,
                "staying_after": effect.staying_after,
                "by_age": effect.by_age.to_dicts(),
            },
            "most_important_that_go": self.archived.head(50).select(columns).to_dicts(),
        }


def plan(connection: psycopg.Connection, encoder: Encoder, memory: Memory) -> Plan:
    """What forgetting would do now, and what that does to search; indexes what is new, no more."""
    index(connection, encoder)
    now = history_end(connection) or datetime.now(UTC)
    fading = load_fading(connection, memory.core_threshold, memory.core_sessions)
    changes = forgotten(fading, now, memory.half_life_days, memory.forget_below)
    judged = with_retention(fading, now, memory.half_life_days)
    going = changes.filter(new_status="archived")["memory_id"].to_list()
    effect = effect_on_search(connection, encoder, judged, going, memory)
    return Plan(now, memory.half_life_days, memory.forget_below, judged, changes, effect)


def forget(connection: psycopg.Connection, planned: Plan, *, asked_for: bool) -> ledger.Run:
    """Do what was planned, as one run that can be undone; the caller commits.

    Where it costs search too much and nobody asked for it, only sessions that are over are archived
    and only what is remembered again comes back.
    """
    changes = planned.changes
    if planned.costs_too_much and not asked_for:
        changes = changes.filter(
            (pl.col("type") == "short_term") | (pl.col("new_status") == "active")
        )
    settings = {
        "half_life_days": planned.half_life_days,
        "forget_below": planned.forget_below,
        "now": planned.now.isoformat(),
    }
    counts = dict(changes["new_status"].value_counts().rows())
    words = (
        f"archived {counts.get('archived', 0)} faded memories, revived {counts.get('active', 0)}"
    )
    with ledger.run(connection, "forgetting", words, settings) as run:
        write_states(connection, changes)
        run.counts = {"archived": counts.get("archived", 0), "revived": counts.get("active", 0)}
    return run


def take_back(connection: psycopg.Connection, run_id: int) -> ledger.Undone:
    """Undo a run (`ledger.undo`); what forgetting had archived counts as recalled, so that it does
    not fade again the next night. The caller commits."""
    done = ledger.undo(connection, run_id)
    changes = load_changes(connection, run_id=run_id).filter(kind="forgetting")
    record_recalls(connection, changes["memory_id"].to_list(), datetime.now(UTC))
    return done


def known_items(memories: pl.DataFrame, most: int = KNOWN_ITEMS) -> pl.DataFrame:
    """At most so many memories (`memory_id, content`) with a `question`: half of their own words.

    Which memories and which words is drawn by hashes, so it is the same each time.
    """
    drawn = sorted(
        memories.select("memory_id", "content").rows(),
        key=lambda row: hashlib.sha256(row[0].encode()).digest(),
    )[:most]
    return pl.DataFrame(
        [(identity, _half(identity, words_of(content))) for identity, content in drawn],
        schema={"memory_id": pl.String, "question": pl.String},
        orient="row",
    ).filter(pl.col("question") != "")


def _half(seed: str, words: Sequence[str]) -> str:
    """Half of the words, three at least, in their order."""
    wanted = max(3, (len(words) + 1) // 2)
    digests = [hashlib.sha256(f"{seed}/{word}".encode()).digest() for word in words]
    kept = sorted(range(len(words)), key=lambda place: digests[place])[:wanted]
    return " ".join(words[place] for place in sorted(kept))


def effect_on_search(
    connection: psycopg.Connection,
    encoder: Encoder,
    judged: pl.DataFrame,
    going: Sequence[str],
    memory: Memory,
) -> Effect:
    """Known-item recall at 10 over active memories with all of them, and without those `going`."""
    findable = judged.filter(
        pl.col("status") == "active", ~pl.col("type").is_in(["dream", "short_term"])
    )
    items = known_items(findable).with_row_index("query").cast({"query": pl.Int32})
    found = ranked(
        connection, encoder, items["question"].to_list(), most=_DEPTH, settings=memory
    ).select("query", "memory_id", "rank")
    gone = pl.col("memory_id").is_in(list(going))
    left = found.filter(~gone).with_columns(pl.col("rank").rank("ordinal").over("query"))
    told = (
        items.join(_hits(found, "before"), on=["query", "memory_id"], how="left")
        .join(_hits(left, "after"), on=["query", "memory_id"], how="left")
        .with_columns(pl.col("before", "after").fill_null(False), stays=~gone)
        .join(judged.select("memory_id", "days"), on="memory_id")
    )
    staying = told.filter("stays")
    return Effect(
        told.height,
        _mean(told["before"]),
        _mean(told["after"]),
        staying.height,
        _mean(staying["before"]),
        _mean(staying["after"]),
        _by_age(told),
    )


def _hits(ranks: pl.DataFrame, name: str) -> pl.DataFrame:
    return ranks.select("query", "memory_id", (pl.col("rank") <= AT).alias(name))


def _mean(hits: pl.Series) -> float | None:
    return round(float(hits.sum()) / len(hits), 4) if len(hits) else None


def _by_age(told: pl.DataFrame) -> pl.DataFrame:
    labels = [
        f"under {_AGES[0]} days",
        *(f"{low} to {high} days" for low, high in pairwise(_AGES)),
        f"over {_AGES[-1]} days",
    ]
    age = pl.col("days").cut(list(_AGES), labels=labels, left_closed=True)
    return (
        told.group_by(age.alias("age"))
        .agg(pl.len().alias("asked"), pl.col("before", "after").mean().round(3))
        .sort("age")
        .cast({"age": pl.String})
    )
