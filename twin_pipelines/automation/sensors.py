"""Sensors: new days are remembered at once, and the twin is trained again when that is due."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime

import dagster as dg
import psycopg

from twin_pipelines.automation import store
from twin_pipelines.automation.alerts import settle
from twin_pipelines.automation.drift import Drift, drift
from twin_pipelines.automation.following import Work, work
from twin_pipelines.automation.jobs import daily_refresh, remember, train_and_promote
from twin_pipelines.automation.triggers import Facts, decide
from twin_pipelines.automation.watching import drifted
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.instance import RANGE_END, RANGE_START
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import store as instruct
from twin_pipelines.promotion import store as promotion
from twin_pipelines.settings import Automation, read_settings
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.looking import Look, Lookout
from twin_pipelines.training.staleness_store import changes_since
from twin_pipelines.training.store import adapter

FOLLOWED, ASKED, POSITIONS = "twin/followed", "twin/asked", "twin/positions"
MOST_ATTEMPTS = 3  # of one run
REMEMBERED = 100  # reasons for which a training was asked
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    jobs=[daily_refresh, remember],
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows the source databases that ask for capture, and derives the days that were "
    "touched there: one run for a burst, of exactly those days.",
)
def follow_sources(
    context: dg.SensorEvaluationContext, twin: TwinResource
) -> dg.SensorResult | dg.SkipReason:
    """Bring over what the sources hold; ask for the days and tables of memories it touched."""
    settings = read_settings()
    with twin.connect() as connection, Lookout(settings) as lookout:
        looks = lookout.look(connection)
        waiting = work(connection, settings)
    if not looks and not waiting.days and not waiting.tables:
        return dg.SkipReason("No source is followed: set capture = true under one in twin.toml.")
    events = [_observed(one) for one in looks if one.drained and one.drained.transactions]
    words = "; ".join(one.words for one in looks)
    if not waiting.stretches and not waiting.tables:
        return dg.SensorResult(skip_reason=f"Nothing waits. {words}", asset_events=events)
    if _on_its_way(context.instance):
        reason = f"{waiting.days} days wait for the run that is on its way. {words}"
        return dg.SensorResult(skip_reason=reason, asset_events=events)
    requests = _requests(context.instance, waiting)
    if not requests:
        reason = f"The run of what waits failed {MOST_ATTEMPTS} times; see its log. {words}"
        return dg.SensorResult(skip_reason=reason, asset_events=events)
    context.log.info(words)
    return dg.SensorResult(run_requests=requests, asset_events=events)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[daily_refresh, remember],
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes days and tables off the queue once what they touched is derived.",
)
def settle_what_was_followed(context: dg.RunStatusSensorContext, twin: TwinResource) -> None:
    """Settle what a run of `follow_sources` was asked for; what came later goes on waiting."""
    tags = context.dagster_run.tags
    if POSITIONS not in tags:
        return
    positions = json.loads(tags[POSITIONS])
    with twin.connect() as connection:
        if RANGE_START in tags:
            first, last = (date.fromisoformat(tags[name]) for name in (RANGE_START, RANGE_END))
            settled = capture_store.settle_days(connection, DayRange(first, last), positions)
        else:
            settled = capture_store.settle_tables(connection, positions)
        connection.commit()
    context.log.info(f"{settled} settled")


def _observed(seen: Look) -> dg.AssetObservation:
    done = seen.drained
    assert done is not None
    return dg.AssetObservation(
        "raw_conversations",
        metadata={
            "feed": done.feed,
            "position": done.position,
            "transactions": done.transactions,
            "days touched": len(done.days),
            "rows set aside": done.letters,
            "lag, seconds": round(done.lag_seconds, 3),
            "lag, bytes": done.lag_bytes,
            **{
                f"{table}, {kind}": number
                for table, kinds in done.rows.items()
                for kind, number in kinds.items()
            },
        },
    )


def _on_its_way(instance: dg.DagsterInstance) -> bool:
    unfinished = dg.RunsFilter(tags={FOLLOWED: "yes"}, statuses=UNFINISHED)
    return instance.get_runs_count(unfinished) > 0


def _requests(instance: dg.DagsterInstance, waiting: Work) -> list[dg.RunRequest]:
    """One run for each stretch of days, else one for tables; none that failed too often."""
    positions = json.dumps(dict(waiting.positions), sort_keys=True)
    found = []
    for stretch in waiting.stretches:
        days = {RANGE_START: stretch.first.isoformat(), RANGE_END: stretch.last.isoformat()}
        name = f"{stretch.first}/{stretch.last} {positions}"
        found.append((daily_refresh.name, name, days))
    if not found:
        found.append((remember.name, f"{', '.join(waiting.tables)} {positions}", {}))
    requests = []
    for job, name, days in found:
        key = hashlib.sha256(name.encode()).hexdigest()[:16]
        failed = instance.get_runs_count(
            dg.RunsFilter(tags={ASKED: key}, statuses=[dg.DagsterRunStatus.FAILURE])
        )
        if failed < MOST_ATTEMPTS:
            tags = {FOLLOWED: "yes", ASKED: key, POSITIONS: positions, **days}
            request = dg.RunRequest(run_key=f"{key}-{failed}", job_name=job, tags=tags)
            requests.append(request)
    return requests


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[daily_refresh],
    request_job=remember,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Once days were derived, brings memories and persona up to date.",
)
def remember_what_is_new(context: dg.RunStatusSensorContext) -> dg.RunRequest:
    """One run of `remember` for each run of the daily half, however many days it held."""
    run = context.dagster_run
    tags = {name: run.tags[name] for name in (FOLLOWED, POSITIONS) if name in run.tags}
    return dg.RunRequest(run_key=run.run_id, tags=tags)


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
        voice = drifted(facts.drift if facts else None, settings.drift_threshold)
        settle(connection, "drift", voice)
        connection.commit()
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
    changes = changes_since(connection, version)
    since = trained.created_at if trained else champion.created_at
    known = [moment for moment in (store.last_training(connection), begun) if moment]
    return Facts(
        release_id=champion.release_id,
        dataset_version=version,
        new_pairs=instruct.new_pairs_since(connection, version),
        corrections=store.corrections_since(connection, since),
        erased=changes.erased,
        dropped=changes.dropped,
        edited=changes.edited,
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
