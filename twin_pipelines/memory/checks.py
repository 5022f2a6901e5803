"""What must be true of candidates before they may become core memories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import model_id
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.memory import store
from twin_pipelines.memory.consolidation import store as consolidation_store
from twin_pipelines.memory.dreams import store as dreams_store
from twin_pipelines.memory.extraction import store as extraction_store
from twin_pipelines.memory.forgetting.retention import forgotten
from twin_pipelines.memory.forgetting.store import history_end, load_fading
from twin_pipelines.memory.imports import store as imports_store
from twin_pipelines.memory.procedures import store as procedures_store
from twin_pipelines.memory.recall import search_store
from twin_pipelines.persona.statements.patterns import KINDS
from twin_pipelines.settings import load_settings


def _sound(gxe: ModuleType) -> Sequence[Any]:
    within = {"min_value": 0, "max_value": 1}
    at_least_one = {"min_value": 1}
    return [
        gxe.ExpectColumnValuesToBeBetween(column="importance", **within),
        gxe.ExpectColumnValuesToBeBetween(column="least_part", **within),
        gxe.ExpectColumnValuesToBeBetween(column="greatest_part", **within),
        gxe.ExpectColumnValuesToBeBetween(column="content_length", **at_least_one),
        gxe.ExpectColumnValuesToBeBetween(column="sessions", **at_least_one),
        gxe.ExpectColumnValuesToBeInSet(column="backward", value_set=[0]),
    ]


def _traceable(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeBetween(column="messages", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="unknown_messages", value_set=[0]),
    ]


candidates_are_sound = table_checks(
    "core_candidates",
    "candidates_are_sound",
    store.candidate_faults,
    _sound,
    severity="critical",
    description="Importance and its parts lie within 0 and 1, and every candidate says something.",
)

candidates_are_traceable = table_checks(
    "core_candidates",
    "candidates_are_traceable",
    store.candidate_faults,
    _traceable,
    severity="critical",
    description="Every candidate names the raw messages it came from, and they exist.",
)


@dg.asset_check(asset="core_candidates")
def some_may_become_core(twin: TwinResource) -> dg.AssetCheckResult:
    """The subject says something important about themselves in more than one session."""
    memory = twin.settings.memory
    with twin.connect() as connection:
        passing = store.load_candidates(connection, memory.core_threshold, memory.core_sessions)
    return dg.AssetCheckResult(
        passed=passing.height > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=None
        if passing.height
        else f"no candidate reaches memory.core_threshold {memory.core_threshold} in "
        f"{memory.core_sessions} sessions; lower one of them or import more history",
        metadata={"above the threshold": passing.height},
    )


def _imported_are_sound(gxe: ModuleType) -> Sequence[Any]:
    within = {"min_value": 0, "max_value": 1}
    return [
        gxe.ExpectColumnValuesToBeBetween(column="importance", **within),
        gxe.ExpectColumnValuesToBeBetween(column="confidence", **within),
        gxe.ExpectColumnValuesToBeBetween(column="content_length", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="without_source", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="unknown_messages", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="fact", value_set=[0]),
    ]


def _dreams_are_imagined(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeInSet(column="imagined", value_set=[1]),
        gxe.ExpectColumnValuesToBeBetween(column="content_length", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="sources", min_value=1),
        *(
            gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[0])
            for column in ("unknown_messages", "unknown_sources", "early", "unsupported")
        ),
    ]


imported_memories_are_sound = table_checks(
    "imported_memories",
    "imported_memories_are_sound",
    imports_store.imported_faults,
    _imported_are_sound,
    severity="critical",
    description="Every imported memory says something, names its row, and its messages exist.",
)

dreams_are_imagined = table_checks(
    "dream_memories",
    "dreams_are_imagined",
    dreams_store.dream_faults,
    _dreams_are_imagined,
    severity="critical",
    description="Every dream is marked as imagined and rests on memories and messages there are.",
)


def _sound_procedures(gxe: ModuleType) -> Sequence[Any]:
    return [
        *(
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=1)
            for name in ("steps", "cases", "messages")
        ),
        gxe.ExpectColumnValuesToBeInSet(column="unknown_messages", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="foreign_messages", value_set=[0]),
    ]


procedures_are_sound = table_checks(
    "procedural_memories",
    "procedures_are_sound",
    procedures_store.procedure_faults,
    _sound_procedures,
    severity="critical",
    description="Every procedure has steps and rests on messages that the subject wrote.",
)


def _index(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    del days
    return search_store.index_summary(connection, model_id(load_settings()))


def _indexed(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnPairValuesToBeEqual(column_A="memories", column_B="embedded"),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="memories", column_B="worded"),
        gxe.ExpectColumnValuesToBeBetween(column="shortest", min_value=0.99, max_value=1.01),
        gxe.ExpectColumnValuesToBeBetween(column="longest", min_value=0.99, max_value=1.01),
        gxe.ExpectColumnValuesToBeBetween(column="dimensions", min_value=1, max_value=1),
    ]


def _faded(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    del days
    memory = load_settings().memory
    judged = load_fading(connection, memory.core_threshold, memory.core_sessions)
    return judged.filter(status="archived").with_columns(pl.col("pinned", "core").cast(pl.Int8))


def _kept(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeInSet(column="pinned", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="core", value_set=[0]),
    ]


memories_are_indexed = table_checks(
    "memory_embeddings",
    "memories_are_indexed",
    _index,
    _indexed,
    severity="critical",
    description="Every active memory has its words and a unit vector of its present content.",
)

what_matters_is_kept = table_checks(
    "archived_memories",
    "what_matters_is_kept",
    _faded,
    _kept,
    severity="critical",
    description="Nothing that is pinned or core has faded.",
)


@dg.asset_check(asset="archived_memories")
def forgetting_is_not_held_back(twin: TwinResource) -> dg.AssetCheckResult:
    """What should fade did: it cost search little enough to go without the owner's word."""
    memory = twin.settings.memory
    with twin.connect() as connection:
        waiting = forgotten(
            load_fading(connection, memory.core_threshold, memory.core_sessions),
            history_end(connection) or datetime.now(UTC),
            memory.half_life_days,
            memory.forget_below,
        )
    return dg.AssetCheckResult(
        passed=waiting.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=None
        if waiting.is_empty()
        else f"{waiting.height} memories would fade, which costs search too much to happen unasked;"
        " look at `twin memory forget --dry-run`, then run `twin memory forget` or raise "
        "memory.half_life_days",
        metadata={"waiting": waiting.height},
    )


def _knowledge_is_sound(gxe: ModuleType) -> Sequence[Any]:
    within = {"min_value": 0, "max_value": 1}
    return [
        gxe.ExpectColumnValuesToBeBetween(column="messages", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="content_length", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="sessions", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="importance", **within),
        gxe.ExpectColumnValuesToBeBetween(column="confidence", **within),
        gxe.ExpectColumnValuesToBeInSet(column="unknown", value_set=[0]),
    ]


knowledge_is_sound = table_checks(
    "knowledge_memories",
    "knowledge_is_sound",
    consolidation_store.unknown_messages,
    _knowledge_is_sound,
    severity="critical",
    description="Every fact says something, weighs 0 to 1, and its messages exist.",
)


@dg.asset_check(asset="knowledge_memories", blocking=True)
def knowledge_has_its_evidence(twin: TwinResource) -> dg.AssetCheckResult:
    """Every fact rests on the statements and messages it names, and no statement was lost."""
    with twin.connect() as connection:
        facts = consolidation_store.knowledge_faults(connection).to_dicts()[0]
        statements = consolidation_store.statement_faults(connection, KINDS).to_dicts()[0]
    counts = {name.replace("_", " "): number for name, number in {**facts, **statements}.items()}
    wrong = [
        f"{number} {name}"
        for name, number in counts.items()
        if number and name not in ("knowledge", "statements")
    ]
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"of {counts['knowledge']} facts and {counts['statements']} statements: "
        f"{', '.join(wrong)}; materialise episodic_memories, then knowledge_memories again"
        if wrong
        else None,
        metadata=counts,
    )


def _extracted_soundly(gxe: ModuleType) -> Sequence[Any]:
    within = {"min_value": 0, "max_value": 1}
    return [
        gxe.ExpectColumnValuesToBeBetween(column="importance", **within),
        gxe.ExpectColumnValuesToBeBetween(column="confidence", **within),
        gxe.ExpectColumnValuesToBeBetween(column="content_length", min_value=1),
        *(
            gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[0])
            for column in ("backward", "premature", "elsewhere")
        ),
    ]


def _every_session_told(gxe: ModuleType) -> Sequence[Any]:
    return [gxe.ExpectColumnValuesToBeInSet(column="untold", value_set=[0])]


extracted_memories_are_sound = table_checks(
    "episodic_memories",
    "extracted_memories_are_sound",
    extraction_store.extraction_faults,
    _extracted_soundly,
    severity="critical",
    partitioned=True,
    description="Each says something, lies on its session's day, and plans nothing for the past.",
)

extracted_memories_are_traceable = table_checks(
    "episodic_memories",
    "extracted_memories_are_traceable",
    extraction_store.extraction_faults,
    _traceable,
    severity="critical",
    partitioned=True,
    description="Every memory of the day names the raw messages it came from, and they exist.",
)

every_session_is_told = table_checks(
    "episodic_memories",
    "every_session_is_told",
    extraction_store.sessions_untold,
    _every_session_told,
    severity="warning",
    partitioned=True,
    description="Every session that began on the day has an episode.",
)
