"""The sensor of a two-way sync: a look each minute, a comparison of both sides each hour."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinError
from twin_pipelines.sources.sync import store, watch
from twin_pipelines.sources.sync.checks import both_sides_agree
from twin_pipelines.sources.sync.pair import sync_name

compare_sides = dg.define_asset_job(
    "compare_sides",
    selection=dg.AssetSelection.checks(both_sides_agree),
    description="Compares both sides of a two-way sync by row counts and hashes of every day.",
)


@dg.sensor(
    job=compare_sides,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks whether both directions of a two-way sync run, collects conflicts, raises "
    "alerts; each hour it asks for a comparison of both sides.",
)
def watch_sync(
    context: dg.SensorEvaluationContext, twin: TwinResource
) -> dg.RunRequest | dg.SkipReason:
    """One look at both sides; one comparison an hour."""
    sync = twin.settings.sync
    if not sync.tables:
        return dg.SkipReason("No sync is configured: see docs/sync.md.")
    with twin.connect() as connection:
        if not any(one["sync"] == sync_name(sync) for one in store.summary(connection)):
            return dg.SkipReason("The sync is not set up: run twin sync setup.")
        try:
            seen = watch.look(connection, sync, compared=False)
        except TwinError as error:
            return dg.SkipReason(str(error))
        last = store.compared_at(connection, seen.sync)
    now = datetime.now(UTC)
    if seen.standing.problems or (last is not None and now - last < watch.COMPARED_EVERY):
        return dg.SkipReason(seen.words)
    context.log.info(seen.words)
    return dg.RunRequest(run_key=f"{seen.sync} {now:%Y-%m-%d %H}")
