"""What follows by a condition instead of a job: an export that was made once follows the release.

Everything else runs by job, see docs/operating.md: a condition would have to wait until no day of
the history is missing, and could not derive a range of days as one run.
"""

from __future__ import annotations

import dagster as dg

from twin_pipelines.automation.jobs import HEAVY

EXPORT = dg.AssetSelection.assets("exported_model")

RENEWED = (
    (
        dg.AutomationCondition.asset_matches(
            "promoted_model", dg.AutomationCondition.newly_updated()
        )
        .since(dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated())
        .with_label("a release was promoted since")
    )
    & ~dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.in_progress()
).with_label("renew what was exported before")

renew_exports = dg.AutomationConditionSensorDefinition(
    "renew_exports",
    target=EXPORT,
    run_tags=HEAVY,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Exports again after a promotion, where an export was made before.",
)


def follow_release(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Give the export its condition."""
    if spec.key != dg.AssetKey("exported_model"):
        return spec
    return spec.replace_attributes(automation_condition=RENEWED)
