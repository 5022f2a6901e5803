"""Sensors for facts from outside the graph: enough new pairs to retrain."""

from __future__ import annotations

import dagster as dg

from twin_pipelines.automation.jobs import train_and_promote
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import store as instruct
from twin_pipelines.promotion import store as promotion

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    job=train_and_promote,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Retrains once enough new pairs came in since the champion's dataset.",
)
def retrain_on_volume(
    context: dg.SensorEvaluationContext, twin: TwinResource
) -> dg.SensorResult | dg.SkipReason:
    """Ask for one training per `automation.retrain_after_pairs` new pairs."""
    threshold = twin.settings.automation.retrain_after_pairs
    with twin.connect() as connection:
        champion = promotion.champion(connection)
        if champion is None:
            return dg.SkipReason("No champion yet: run the job train_and_promote once.")
        new_pairs = instruct.new_pairs_since(connection, champion.dataset_version)
    if new_pairs < threshold:
        return dg.SkipReason(
            f"{new_pairs} new pairs since the champion's dataset {champion.dataset_version}; "
            f"retraining begins at {threshold}."
        )
    running = context.instance.get_runs_count(
        dg.RunsFilter(job_name=train_and_promote.name, statuses=UNFINISHED)
    )
    if running:
        return dg.SkipReason(f"{new_pairs} new pairs; a training is already on its way.")
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"{champion.dataset_version}-{new_pairs // threshold}",
                tags={"twin/reason": "volume", "twin/new_pairs": str(new_pairs)},
            )
        ]
    )
