"""From statements to knowledge: what somebody said several times is one fact, with evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Any

import polars as pl

from twin_pipelines.memory.consolidation.conflicts import (
    CONFLICTS,
    DENIED,
    PAST,
    TELLING,
    WISHED,
    Slot,
    Told,
    conflicts_of,
    root,
    slots_of,
)
from twin_pipelines.memory.importance import OF_ONE, combine, novelty, parts_of, weigh
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.settings import ImportanceWeights

ALIKE, PART = 0.6, 0.75  # share of all words, and of the shorter one's where it has several
_STANCE = (
    pl.when(pl.col("bare").str.contains(DENIED))
    .then(pl.lit("denied"))
    .when(pl.col("bare").str.contains(WISHED))
    .then(pl.lit("wished"))
    .when(pl.col("bare").str.contains(PAST))
    .then(pl.lit("past"))
    .otherwise(pl.lit(""))
    .alias("stance")
)
# Alone these name somebody or something of whom anything could be said.
_NAMES = (
    "mom mum mother dad father parents brother sister family wife husband son daughter kid cousin "
    "uncle aunt friend boyfriend girlfriend dog cat pet live moved work study serve school job "
    "house apartment"
)
_NAMING = frozenset(root(word) for word in _NAMES.split())
_TIME = pl.Datetime("us", "UTC")
STATEMENTS: dict[str, Any] = {
    "memory_id": pl.String,
    "kind": pl.String,
    "content": pl.String,
    "about": pl.String,
    "people": pl.List(pl.String),
    "language": pl.String,
    "importance_parts": pl.String,
    "confidence": pl.Float32,
    "first_at": _TIME,
    "last_at": _TIME,
    "happens_on": pl.Date,
    "message_ids": pl.List(pl.String),
    "gist": pl.List(pl.String),
    "bare": pl.String,
    "session_id": pl.String,
}
STATES: dict[str, Any] = {
    "memory_id": pl.String,
    "status": pl.String,
    "status_reason": pl.String,
    "valid_from": _TIME,
    "valid_until": _TIME,
    "superseded_by": pl.String,
}


@dataclass(frozen=True)
class TakenBack:
    """What the owner undid, so that it is not done again from the same evidence.

    `groups` are the sources of knowledge that was undone, `supersessions` pairs of a memory and
    what had superseded it.
    """

    groups: Set[frozenset[str]] = frozenset()
    supersessions: Set[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Knowledge:
    """What consolidation makes of statements.

    `memories` (MEMORIES, status active) is the knowledge, `states` (STATES) what each statement is
    to be: 'merged' into it or 'active'.
    """

    memories: pl.DataFrame
    states: pl.DataFrame


def knowledge_of(
    statements: pl.DataFrame,
    weights: ImportanceWeights,
    present: Mapping[str, frozenset[str]] | None = None,
    taken_back: TakenBack | None = None,
) -> Knowledge:
    """Knowledge made of all statements (STATEMENTS) of some speakers.

    Two statements or more that say the same (`with_groups`) become one memory, whose content is the
    most typical wording. It keeps the identity of the memory in `present` (sources by memory) that
    it shares most sources with; a new one has its identity from its earliest statement. Of its
    importance, repetition counts distinct sessions and every other part is the best of all
    statements; its doubt is that of the surest statement and shrinks with every further session, to
    half of it at most. Contradictions: see `conflicts`.
    """
    taken_back = taken_back or TakenBack()
    if statements.is_empty():
        return Knowledge(pl.DataFrame(schema=MEMORIES), pl.DataFrame(schema=STATES))
    ordered = statements.sort("first_at", "memory_id")
    slots = [slots_of(*row) for row in ordered.select("kind", "bare", "gist").iter_rows()]
    facts = _with_facts(with_groups(ordered, slots), present or {}, taken_back.groups)
    merged = facts.filter(pl.len().over("fact") > 1)
    validity = conflicts_of(
        _sayings(facts, slots), lambda fact, by: (fact, by) in taken_back.supersessions
    )
    new = novelty(
        facts.group_by("fact", maintain_order=True)
        .agg(pl.col("about", "gist").first(), pl.col("first_at").first().alias("said_at"))
        .rename({"fact": "group"})
    ).rename({"group": "fact"})
    return Knowledge(_memories(merged, new, validity, weights), _states(facts, validity))


def with_groups(statements: pl.DataFrame, slots: Sequence[Sequence[Slot]]) -> pl.DataFrame:
    """Statements, in order of time, with `group`, a number shared by those that say the same.

    Compared are statements of one speaker, kind and stance (denied, wished for, past). Where both
    tell the same of `conflicts.TELLING`, such as home or age (`slots`), one must name what the
    other names. Else the roots of their content words must be equal, or share two or more and
    `ALIKE` of all, or three or more and `PART` of the shorter's. A statement joins the earliest
    group whose first statement it resembles; resemblance is not passed on, so a chain of small
    changes does not become one group.
    """
    leaders: list[tuple[frozenset[str], Slot | None]] = []
    known: dict[tuple[str, str, str, str], list[int]] = {}
    groups = []
    columns = statements.select("about", "kind", _STANCE, "bare", "gist")
    for (about, kind, stance, bare, gist), filled in zip(columns.iter_rows(), slots, strict=True):
        words = frozenset(root(word) for word in gist)
        if len(words) == 1 and words <= _NAMING:
            words |= {bare}
        slot = next((one for one in filled if one.name in TELLING), None)
        told = [f"{slot.name}/{word}" for word in slot.value] if slot else []
        keys = [(about, kind, stance, one) for one in (*words, *told)]
        shared = Counter(chain.from_iterable(known.get(key, ()) for key in keys))
        near = sorted(group for group, n in shared.items() if n > 1 or told or len(words) == 1)
        found = next((group for group in near if _same((words, slot), leaders[group])), None)
        if found is None:
            found = len(leaders)
            leaders.append((words, slot))
            for key in keys:
                known.setdefault(key, []).append(found)
        groups.append(found)
    return statements.with_columns(pl.Series("group", groups, pl.Int64))


def _same(
    one: tuple[frozenset[str], Slot | None], other: tuple[frozenset[str], Slot | None]
) -> bool:
    (words, slot), (others, filled) = one, other
    if slot and filled and slot.name == filled.name:
        return slot.value <= filled.value or filled.value <= slot.value
    shared = len(words & others)
    if shared < 2:
        return words == others
    return shared >= ALIKE * len(words | others) or (
        shared >= 3 and shared >= PART * min(len(words), len(others))
    )


def _with_facts(
    grouped: pl.DataFrame, present: Mapping[str, frozenset[str]], undone: Set[frozenset[str]]
) -> pl.DataFrame:
    """The statements with `fact`: the memory that tells it, knowledge or the statement itself."""
    holder = {source: memory for memory, sources in present.items() for source in sources}
    facts: dict[str, str] = {}
    taken: set[str] = set()
    fresh: list[tuple[str, str, list[str]]] = []
    whole = grouped.group_by("group", maintain_order=True).agg(
        pl.col("about", "kind").first(), pl.col("memory_id").alias("sources")
    )
    for _, about, kind, members in whole.filter(pl.col("sources").list.len() > 1).iter_rows():
        held = Counter(holder[source] for source in members if source in holder)
        heirs = sorted((-held[memory], memory) for memory in held if memory not in taken)
        heir = heirs[0][1] if heirs else None
        spared = frozenset(members) in undone
        sources = [one for one in members if not spared or (heir and one in present[heir])]
        if heir and len(sources) > 1:
            taken.add(heir)
            facts |= dict.fromkeys(sources, heir)
        elif len(sources) > 1:
            fresh.append((about, kind, sources))
    for about, kind, sources in fresh:
        key, fact = sources[0], memory_identity("knowledge", about, kind, sources[0])
        while fact in taken:
            key += "/"
            fact = memory_identity("knowledge", about, kind, key)
        taken.add(fact)
        facts |= dict.fromkeys(sources, fact)
    own = pl.col("memory_id")
    return grouped.with_columns(own.replace_strict(facts, default=own).alias("fact"))


def _sayings(facts: pl.DataFrame, slots: Sequence[Sequence[Slot]]) -> list[tuple[str, Told]]:
    columns = facts.select("about", "fact", "first_at", "session_id").iter_rows()
    return [
        (about, Told(fact, slot, said_at, session_id))
        for (about, fact, said_at, session_id), filled in zip(columns, slots, strict=True)
        for slot in filled
    ]


def _memories(
    merged: pl.DataFrame, new: pl.DataFrame, validity: pl.DataFrame, weights: ImportanceWeights
) -> pl.DataFrame:
    evidence = parts_of(merged).select(pl.col("fact").alias("group"), "session_id", *OF_ONE)
    weighed = weigh(
        combine(evidence)
        .rename({"group": "fact"})
        .join(new, on="fact", how="left", maintain_order="left"),
        weights,
    )
    together = merged.group_by("fact", maintain_order=True).agg(
        pl.col("kind", "about").first(),
        pl.struct("content", "bare", "gist", "language").alias("said"),
        pl.col("people").list.explode(keep_nulls=False, empty_as_null=False).unique().sort(),
        pl.col("confidence").max(),
        pl.col("first_at").min(),
        pl.col("last_at").max(),
        pl.col("happens_on").drop_nulls().last(),
        pl.col("message_ids")
        .list.explode(keep_nulls=False, empty_as_null=False)
        .unique(maintain_order=True),
        pl.col("memory_id").alias("source_ids"),
    )
    typical = [_typical(said) for said in together["said"].to_list()]
    rows = (
        together.with_columns(
            pl.DataFrame(
                typical,
                schema={
                    "content": pl.String,
                    "language": pl.String,
                    "bare": pl.String,
                    "gist": pl.List(pl.String),
                },
            )
        )
        .join(weighed, on="fact", how="left", maintain_order="left")
        .join(validity, left_on="fact", right_on="memory_id", how="left", maintain_order="left")
    )
    doubt = (1 - pl.col("confidence")) * (
        0.5 + pl.lit(0.5).pow(pl.col("sessions").cast(pl.Float64))
    )
    return rows.select(
        pl.col("fact").alias("memory_id"),
        pl.lit("knowledge").alias("type"),
        "kind",
        pl.col("kind").alias("title"),
        "content",
        "about",
        "people",
        "language",
        "importance",
        "importance_parts",
        (1 - doubt).clip(0, 1).cast(pl.Float32).alias("confidence"),
        "sessions",
        pl.lit(None, pl.Date).alias("day"),
        "first_at",
        "last_at",
        "valid_from",
        "valid_until",
        "superseded_by",
        "happens_on",
        pl.lit("active").alias("status"),
        pl.lit("").alias("status_reason"),
        pl.lit(False).alias("pinned"),
        pl.lit("consolidated").alias("origin"),
        pl.lit(None, pl.String).alias("source_ref"),
        "message_ids",
        "source_ids",
        pl.struct(
            "gist",
            "bare",
            pl.col("slot").fill_null("").alias("conflict"),
            pl.col("source_ids").list.len().alias("statements"),
        )
        .struct.json_encode()
        .alias("details"),
    )


def _states(facts: pl.DataFrame, validity: pl.DataFrame) -> pl.DataFrame:
    merged = pl.col("fact") != pl.col("memory_id")
    return facts.join(validity, on="memory_id", how="left", maintain_order="left").select(
        "memory_id",
        pl.when(merged).then(pl.lit("merged")).otherwise(pl.lit("active")).alias("status"),
        pl.when(merged)
        .then(pl.format("part of knowledge {}", "fact"))
        .otherwise(pl.lit(""))
        .alias("status_reason"),
        *list(CONFLICTS)[1:4],
    )


def _typical(said: list[dict[str, Any]]) -> dict[str, Any]:
    """The wording most frequent word for word, then one without fillers, then the one that others
    share most of."""
    wordings = Counter(one["content"] for one in said)
    shared = Counter(root(word) for one in said for word in set(one["gist"]))

    def typicality(one: dict[str, Any]) -> tuple[int, bool, float, int, str]:
        words = {root(word) for word in one["gist"]}
        common = sum(shared[word] - 1 for word in words) / (len(words) + 1)
        plain = len(one["bare"].split()) >= len(one["content"].split())
        return wordings[one["content"]], plain, common, -len(one["content"]), one["content"]

    return max(said, key=typicality)
