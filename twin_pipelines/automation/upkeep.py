"""Sensors that keep house: files dropped, failures seen and told, old runs purged."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.automation import alerts_store, drop_store, watching
from twin_pipelines.automation.alerts import deliver, settle
from twin_pipelines.automation.drop_folder import Seen, due, look, take_in
from twin_pipelines.automation.jobs import daily_refresh
from twin_pipelines.automation.retention import purge_runs
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.instance import RANGE_END, RANGE_START
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.promotion.gate import CONDITIONS
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.capture import capture_store

TICK_SECONDS = 20.0  # of importing in one look; what is left waits for the next
GATE = tuple(f"registered_model.{name}" for name in CONDITIONS)
DROPPED = "twin/dropped"


@dg.sensor(
    job=daily_refresh,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Imports each whole new file of the drop folder once, and derives the days it "
    "touched; what cannot be imported is set aside with its reason.",
)
def import_dropped_files(
    context: dg.SensorEvaluationContext, twin: TwinResource
) -> dg.SensorResult | dg.SkipReason:
    """Import what lay there unchanged since the last look; one run for each stretch of days."""
    settings = twin.settings
    folder = settings.automation.drop_folder
    if folder is None:
        return dg.SkipReason("No folder is watched: set automation.drop_folder in twin.toml.")
    before: dict[str, Any] = json.loads(context.cursor or '{"files": {}, "asked": 0}')
    seen = {name: Seen(*kept) for name, kept in before["files"].items()}
    found = look(folder)
    dealt = {}
    with twin.connect() as connection:
        until = time.monotonic() + TICK_SECONDS
        for file in due(found, seen):
            if time.monotonic() > until:
                break
            done = take_in(connection, settings, file)
            dealt[file.name] = done.content
            context.log.info(f"{file.name}: {done.reason or f'{done.messages:,} messages'}")
        now = {
            one.name: Seen(one.mark, dealt.get(one.name) or _content(one.name, one.mark, seen))
            for one in found
        }
        drop_store.forget_absent(connection, [one.content for one in now.values()])
        settle(connection, "file_set_aside", watching.set_aside(drop_store.set_aside(connection)))
        landed = drop_store.landed_since(connection, before["asked"])
        connection.commit()
    after = {
        "files": {name: [one.mark, one.content] for name, one in now.items()},
        "asked": max([before["asked"], *(number for number, *_ in landed)]),
    }
    waiting = sum(not one.content for one in now.values())
    words = f"{len(dealt)} files dealt with, {waiting} wait until they stay as they are."
    return dg.SensorResult(
        run_requests=_runs(landed),
        cursor=json.dumps(after),
        skip_reason=None if landed else words,
    )


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Opens an alert for what failed and stays so, and clears it once it is mended: "
    "runs, blocking checks, sources that are not followed, a disk that is full.",
)
def watch_over_twin(context: dg.SensorEvaluationContext, twin: TwinResource) -> dg.SkipReason:
    """Look at everything anew; what was mended meanwhile clears itself."""
    graph = context.repository_def
    assert graph is not None
    jobs = [job.name for job in graph.get_all_jobs()]
    checks = list(graph.asset_graph.asset_check_keys)
    found = {
        "run_failed": watching.failed_runs(context.instance, jobs),
        "check_failed": watching.failed_checks(context.instance, checks, GATE),
    }
    with twin.connect() as connection:
        found |= _own(connection, twin.settings)
        for topic, words in found.items():
            settle(connection, topic, words)
        connection.commit()
    told = [words for topic in found.values() for words in topic.values()]
    return dg.SkipReason(" ".join(told) or "All is well.")


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells alerts outside, by webhook and e-mail; joined where there are many, again "
    "where one did not arrive.",
)
def tell_alerts(twin: TwinResource) -> dg.SkipReason:
    """Tell what is due by every channel that is set up."""
    with twin.connect() as connection:
        said = deliver(connection, twin.settings.alerts)
    return dg.SkipReason(" ".join(said) or "Nothing to tell.")


@dg.sensor(
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Deletes old runs from Dagster's records, but for those that made what stands.",
)
def purge_old_runs(
    context: dg.SensorEvaluationContext, twin: TwinResource
) -> dg.SensorResult | dg.SkipReason:
    """Purge what is older than `keep_runs_days`, so many runs a look."""
    assert context.repository_def is not None
    before = datetime.now(UTC) - timedelta(days=twin.settings.automation.keep_runs_days)
    checks = list(context.repository_def.asset_graph.asset_check_keys)
    gone, kept, cursor = purge_runs(context.instance, before, checks, context.cursor or None)
    words = f"{gone} runs from before {before:%Y-%m-%d} deleted, {kept} made what stands."
    return dg.SensorResult(skip_reason=words, cursor=cursor or "")


def _own(connection: psycopg.Connection, settings: TwinSettings) -> dict[str, dict[str, str]]:
    """What the twin's own tables and disk tell."""
    limits = settings.alerts
    followed = capture_store.feed_summary(connection).filter(pl.col("stopped_at").is_null())
    channels = {name: why for name, why, _ in alerts_store.undelivered(connection)}
    return {
        "feed_behind": watching.feeds_behind(followed, limits.feed_minutes, datetime.now(UTC)),
        "disk_low": watching.full_disk(settings.home, limits.free_disk_gb),
        "not_told": channels,
    }


def _content(name: str, mark: str, seen: dict[str, Seen]) -> str:
    before = seen.get(name)
    return before.content if before and before.mark == mark else ""


def _runs(landed: Sequence[tuple[int, str, date, date]]) -> list[dg.RunRequest]:
    """One run for each stretch of days, whichever files touched it."""
    stretches: list[tuple[DayRange, list[str]]] = []
    for _, content, first, last in sorted(landed, key=lambda row: row[2]):
        if stretches and first <= stretches[-1][0].last + timedelta(days=1):
            days, contents = stretches[-1]
            stretches[-1] = (DayRange(days.first, max(days.last, last)), [*contents, content])
        else:
            stretches.append((DayRange(first, last), [content]))
    return [_run(days, contents) for days, contents in stretches]


def _run(days: DayRange, contents: list[str]) -> dg.RunRequest:
    key = hashlib.sha256("".join(sorted(contents)).encode()).hexdigest()[:16]
    tags: dict[str, Any] = {
        RANGE_START: days.first.isoformat(),
        RANGE_END: days.last.isoformat(),
        DROPPED: key,
    }
    return dg.RunRequest(run_key=f"dropped-{key}", tags=tags)
