"""Sensors: new days are remembered at once, and the twin is trained again when that is due."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import dagster as dg
import psycopg

from twin_pipelines.automation import store
from twin_pipelines.automation.drift import Drift, drift
from twin_pipelines.automation.jobs import daily_refresh, remember, train_and_promote
from twin_pipelines.automation.triggers import Facts, decide
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import store as instruct
from twin_pipelines.promotion import store as promotion
from twin_pipelines.settings import Automation
from twin_pipelines.training.store import adapter

REMEMBERED = 100  # reasons for which a training was asked
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[daily_refresh],
    request_job=remember,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Once days were derived, brings memories and persona up to date.",
)
def remember_what_is_new(context: dg.RunStatusSensorContext) -> dg.RunRequest:
    """One run of `remember` for each run of the daily half, however many days it held."""
    return dg.RunRequest(run_key=context.dagster_run.run_id)


@dg.sensor(
    job=train_and_promote,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Trains again on volume, drift, the owner's corrections or erasure, and says why "
    "or why not.",
)
def retrain_when_due(
    context: dg.SensorEvaluationContext, twin: TwinResource
) -> dg.SensorResult | dg.SkipReason:
    """Ask for one training a reason; a reason that persists is not asked for twice."""
    settings = twin.settings.automation
    begun = _last_begun(context.instance)
    with twin.connect() as connection:
        facts = gather(connection, settings, running=_running(context.instance), begun=begun)
    if facts is None:
        return dg.SkipReason("No champion yet: run the job train_and_promote once.")
    asked = json.loads(context.cursor) if context.cursor else []
    decision = decide(facts, settings, datetime.now(UTC), asked)
    if not decision.train:
        return dg.SkipReason(decision.words)
    context.log.info(decision.words)
    names = ", ".join(reason.name for reason in decision.reasons)
    tags = {"twin/reason": names, "twin/why": decision.words[:200]}
    asked += [reason.key for reason in decision.reasons]
    request = dg.RunRequest(run_key=decision.key, tags=tags)
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(asked[-REMEMBERED:]))


def gather(
    connection: psycopg.Connection, settings: Automation, *, running: bool, begun: datetime | None
) -> Facts | None:
    """The facts about the champion; None while none serves.

    `begun` is when the last training run was begun, however it ended.
    """
    champion = promotion.champion(connection)
    if champion is None:
        return None
    version = champion.dataset_version
    trained = adapter(connection, champion.adapter_id)
    forgotten = store.forgotten_pairs(connection, version)
    since = trained.created_at if trained else champion.created_at
    known = [moment for moment in (store.last_training(connection), begun) if moment]
    return Facts(
        release_id=champion.release_id,
        dataset_version=version,
        new_pairs=instruct.new_pairs_since(connection, version),
        corrections=store.corrections_since(connection, since),
        erased=forgotten.erased,
        dropped=forgotten.dropped,
        drift=_drift(connection, settings, version),
        last_training=max(known, default=None),
        running=running,
    )


def _drift(connection: psycopg.Connection, settings: Automation, version: str) -> Drift | None:
    recent = store.recent_replies(connection, version)
    if len(recent) < settings.drift_pairs:
        return None
    learnt = store.learnt_replies(connection, version)
    return drift(recent, learnt) if learnt else None


def _running(instance: dg.DagsterInstance) -> bool:
    unfinished = dg.RunsFilter(job_name=train_and_promote.name, statuses=UNFINISHED)
    return instance.get_runs_count(unfinished) > 0


def _last_begun(instance: dg.DagsterInstance) -> datetime | None:
    asked = dg.RunsFilter(job_name=train_and_promote.name)
    records = instance.get_run_records(asked, limit=1)
    return records[0].create_timestamp.astimezone(UTC) if records else None
