"""The gate as blocking checks, and what must be true of what serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import dagster as dg

from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking, alias_version
from twin_pipelines.promotion import store
from twin_pipelines.promotion.gate import CONDITIONS


@dg.multi_asset_check(
    name="gate",
    specs=[
        dg.AssetCheckSpec(
            name=name, asset="registered_model", blocking=True, description=condition.__doc__
        )
        for name, condition in CONDITIONS.items()
    ],
)
def gate(twin: TwinResource) -> Iterator[dg.AssetCheckResult]:
    """Each condition of the gate; one that is not met keeps the champion in force."""
    with twin.connect() as connection:
        judged = store.latest_release(connection)
    conditions = {one["name"]: one for one in judged.verdict["conditions"]} if judged else {}
    for name in CONDITIONS:
        condition = conditions.get(
            name, {"passed": False, "words": "no release was judged", "figure": None, "limit": None}
        )
        known = {key: condition[key] for key in ("figure", "limit") if condition[key] is not None}
        yield dg.AssetCheckResult(
            asset_key="registered_model",
            check_name=name,
            passed=condition["passed"],
            severity=dg.AssetCheckSeverity.ERROR,
            description=condition["words"],
            metadata=known,
        )


@dg.asset_check(asset="promoted_model")
def one_champion_serves(twin: TwinResource, tracking: MlflowTracking) -> dg.AssetCheckResult:
    """Exactly one release is champion, its adapter exists, and MLflow's alias names its version."""
    with twin.connect() as connection:
        history = store.releases(connection)
        present = store.champion(connection)
    champions = history.filter(history["status"] == "champion").height
    with tracking.client() as client:
        alias = alias_version(client, "champion")
    faults = []
    if champions != 1 or present is None:
        faults.append(f"{champions} releases are champion instead of one")
    elif alias != present.model_version:
        faults.append(
            f"MLflow's alias names version {alias} and the database {present.model_version}; "
            "materialise promoted_model again"
        )
    if present and not (twin.settings.home / present.path / "adapter").is_dir():
        faults.append(f"the champion's adapter {present.path} is gone; run `twin rollback`")
    return dg.AssetCheckResult(
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults) or None,
        metadata={"champions": champions, "alias": str(alias)},
    )


@dg.asset_check(asset="core_memories", blocking=True)
def memories_come_from_messages(twin: TwinResource) -> dg.AssetCheckResult:
    """Every message a core memory was drawn from exists."""
    with twin.connect() as connection:
        unknown = store.unknown_messages(connection)
        count = store.core_memory_count(connection)
    return dg.AssetCheckResult(
        passed=unknown.is_empty(),
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{unknown.height} core memories name messages that do not exist; materialise "
        "core_candidates and core_memories again"
        if unknown.height
        else None,
        metadata={"core memories": count, "without their messages": unknown.height},
    )


def _release_suite(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeInSet(
            column="status", value_set=["challenger", "refused", "champion", "retired"]
        ),
        gxe.ExpectColumnValuesToBeBetween(column="model_version", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="conditions", min_value=len(CONDITIONS)),
        gxe.ExpectColumnValuesToBeInSet(column="undated", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="unfit", value_set=[0]),
    ]


def _memory_suite(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(column="title"),
        gxe.ExpectColumnValuesToBeBetween(column="content_length", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="importance", min_value=0, max_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="sessions", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="messages", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="backward", value_set=[0]),
    ]


releases_are_sound = table_checks(
    "registered_model",
    "releases_are_sound",
    store.release_faults,
    _release_suite,
    severity="critical",
    description="Every release has a known status, a version and a whole verdict; what serves or "
    "served has a date.",
)

memories_are_sound = table_checks(
    "core_memories",
    "memories_are_sound",
    store.core_memory_faults,
    _memory_suite,
    severity="critical",
    description="Every core memory says something, has a lineage and a weight between 0 and 1.",
)
