"""The gate as blocking checks, and what must be true of what serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import dagster as dg

from twin_pipelines.foundation import alerts_store
from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.registry import alias_version, version_fault
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking
from twin_pipelines.promotion import notes_store, store
from twin_pipelines.promotion.gate import CONDITIONS
from twin_pipelines.promotion.parts import template_hash
from twin_pipelines.promotion.release import REPLACEMENT_REFUSED
from twin_pipelines.promotion.signature import allowance_faults, note_faults
from twin_pipelines.training.blocks_store import allowances
from twin_pipelines.training.staleness import stale_adapter
from twin_pipelines.training.staleness_store import changes_since

FEWEST_CONDITIONS = 5  # a release judged by an earlier gate has fewer than today's
_UNJUDGED: dict[str, Any] = {
    "passed": False,
    "words": "no release was judged by this condition; materialise registered_model",
    "figure": None,
    "limit": None,
    "judged": False,
}


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
        condition = conditions.get(name, _UNJUDGED)
        known = {key: condition[key] for key in ("figure", "limit") if condition[key] is not None}
        yield dg.AssetCheckResult(
            asset_key="registered_model",
            check_name=name,
            passed=condition["passed"],
            severity=dg.AssetCheckSeverity.ERROR,
            description=condition["words"],
            metadata={**known, "judged": condition.get("judged", True)},
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


@dg.asset_check(asset="promoted_model")
def champion_is_as_judged(twin: TwinResource) -> dg.AssetCheckResult:
    """Persona and base are recorded with the champion, and its template is the one it had."""
    with twin.connect() as connection:
        present = store.champion(connection)
    faults = []
    if present:
        parts = present.parts
        found = template_hash(twin.settings.home / present.path / "adapter")
        if parts.template_hash and found != parts.template_hash:
            faults.append(
                f"the champion's chat template is {found or 'gone'} and was {parts.template_hash} "
                "when it was judged; run `twin rollback`, or restore the adapter's folder"
            )
        if not parts.base_sha256 or "system_prompt" not in parts.persona:
            faults.append("the champion's base or persona is not recorded; run `twin train`")
    return dg.AssetCheckResult(
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults) or None,
    )


@dg.asset_check(asset="promoted_model")
def champion_is_current(twin: TwinResource) -> dg.AssetCheckResult:
    """What the champion learnt still stands in the history, and it may answer."""
    with twin.connect() as connection:
        present = store.champion(connection)
        changes = changes_since(connection, present.dataset_version) if present else None
    words = []
    if present and changes:
        words = [stale_adapter(changes), _told_blocked(present)]
    return dg.AssetCheckResult(
        passed=not any(words),
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(part for part in words if part) or None,
        metadata={
            "pairs that changed": changes.learnt if changes else 0,
            "may answer": not (present and present.blocked),
        },
    )


def _told_blocked(present: store.Release) -> str:
    if not present.blocked:
        return ""
    return (
        f"Release {present.release_id} answers nobody: {present.blocked}; run `twin train`, or "
        "`twin rollback`."
    )


@dg.asset_check(asset="promoted_model")
def forced_promotions_are_signed(twin: TwinResource) -> dg.AssetCheckResult:
    """Under every release that was forced, and every adapter that may answer although it learnt
    what was erased, stands a note, unchanged since it was signed."""
    with twin.connect() as connection:
        notes = notes_store.notes(connection)
        unsigned = notes_store.forced_without_note(connection)
        allowed = allowances(connection)
    faults = [f"release {number} was forced and no note stands under it" for number in unsigned]
    faults += [fault for fault in note_faults(twin.settings.home, notes) if fault]
    faults += [fault for fault in allowance_faults(twin.settings.home, allowed) if fault]
    return dg.AssetCheckResult(
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults) or None,
        metadata={"notes": len(notes) + len(allowed)},
    )


@dg.asset_check(asset="registered_model")
def versions_are_whole(twin: TwinResource, tracking: MlflowTracking) -> dg.AssetCheckResult:
    """The registry's own files of the challenger and of the champion are those registered."""
    with twin.connect() as connection:
        asked = (store.latest_release(connection), store.champion(connection))
    versions = sorted({release.model_version for release in asked if release})
    with tracking.client() as client:
        faults = [fault for version in versions if (fault := version_fault(client, version))]
    return dg.AssetCheckResult(
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults) or None,
        metadata={"versions": ", ".join(map(str, versions)) or "none"},
    )


@dg.asset_check(asset="registered_model")
def champion_can_be_replaced(twin: TwinResource) -> dg.AssetCheckResult:
    """Challengers are not refused time after time: a twin that never learns anew needs a look."""
    with twin.connect() as connection:
        alerts = alerts_store.open_alerts(connection)
    words = [alert.words for alert in alerts if alert.kind == REPLACEMENT_REFUSED]
    return dg.AssetCheckResult(
        passed=not words,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(words) or None,
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
        gxe.ExpectColumnValuesToBeBetween(column="conditions", min_value=FEWEST_CONDITIONS),
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
