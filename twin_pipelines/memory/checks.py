"""What must be true of candidates before they may become core memories."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import dagster as dg

from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.memory import store


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
