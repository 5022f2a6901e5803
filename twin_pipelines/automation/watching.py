"""What an operator should look at, found anew at each look: runs and checks that failed, sources
that are not followed, a full disk, files that were set aside, a voice that drifts.

Each function returns `{what: words}`. Words name jobs, assets and feeds, never what was said.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from twin_pipelines.automation.drift import Drift
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.instance import RANGE_END, RANGE_START

PARTITION = "dagster/partition"
LOOKED_AT = 50  # runs of a job
CHECK_REFUSED = "DagsterAssetCheckFailedError"
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_GIB = 1024**3


@dataclass(frozen=True)
class Ended:
    """How a run ended, and what it was to make."""

    run_id: str
    job: str
    success: bool
    assets: frozenset[str] | None  # None: all of the job
    days: DayRange | None  # None: it has no days

    def covers(self, other: Ended) -> bool:
        """Whether this made everything the other was to make."""
        assets = self.assets is None or (other.assets is not None and other.assets <= self.assets)
        if self.days is None or other.days is None:
            return assets and self.days == other.days
        within = self.days.first <= other.days.first and other.days.last <= self.days.last
        return assets and within


def failed_runs(instance: dg.DagsterInstance, jobs: Iterable[str], days: int = 7) -> dict[str, str]:
    """Jobs with a failed run of the last days that no later run has made good.

    A run that only a blocking check ended is left to `failed_checks`: the check is the news.
    """
    since = datetime.now(UTC) - timedelta(days=days)
    found = {}
    for job in jobs:
        asked = dg.RunsFilter(job_name=job, statuses=_ENDED, updated_after=since)
        records = instance.get_run_records(asked, limit=LOOKED_AT)
        steps = {
            run.run_id: failed
            for run in unmended([_ended(record.dagster_run) for record in records])
            if (failed := _failed_steps(instance, run.run_id)) is not None
        }
        if steps:
            newest, failed = next(iter(steps.items()))
            where = f" at {', '.join(failed)}" if failed else " before its first step"
            number = "A run" if len(steps) == 1 else f"{len(steps)} runs"
            found[job] = (
                f"{number} of {job} failed{where}; open run {newest[:8]} in the web UI for the "
                "reason, then run it again."
            )
    return found


def unmended(runs: Sequence[Ended]) -> list[Ended]:
    """The failed ones, of runs with the newest first, that no later run made good."""
    made: list[Ended] = []
    failed = []
    for run in runs:
        if run.success:
            made.append(run)
        elif not any(later.covers(run) for later in made):
            failed.append(run)
    return failed


def failed_checks(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey], answers: Iterable[str] = ()
) -> dict[str, str]:
    """Checks whose last evaluation says that what stands is wrong.

    `answers` are those whose no is an answer rather than a fault, as the gate's conditions.
    """
    wanted = [key for key in keys if _name(key) not in set(answers)]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(wanted)
    found = {}
    for key, record in records.items():
        event = record.event.dagster_event if record.event else None
        if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            found[_name(key)] = (
                f"The check {key.name} of {key.asset_key.to_user_string()} fails; `twin status` "
                "says what is wrong."
            )
    return found


def feeds_behind(feeds: pl.DataFrame, minutes: float, now: datetime) -> dict[str, str]:
    """Feeds that were not read for so long; `feeds` as `capture_store.feed_summary` returns it."""
    late = feeds.filter(pl.col("drained_at") < now - timedelta(minutes=minutes))
    return {
        row["feed"]: (
            f"The source {row['feed']} was read last at {row['drained_at']:%Y-%m-%d %H:%M} UTC"
            + (
                " and cannot be followed now; `twin status` says why."
                if row["problem"]
                else "; start `twin follow` or `twin up`."
            )
        )
        for row in late.iter_rows(named=True)
    }


def full_disk(folder: Path, least_gb: float) -> dict[str, str]:
    """The disk of the state folder, when less is free than an evening of training may need."""
    free = shutil.disk_usage(folder).free / _GIB
    if free >= least_gb:
        return {}
    words = f"Less than {least_gb:g} GiB are free for the state folder; make room."
    return {"state_folder": words}


def set_aside(files: Mapping[str, str]) -> dict[str, str]:
    """Files of the drop folder that could not be imported, `{name: reason}`, as one thing."""
    if not files:
        return {}
    number = "A file" if len(files) == 1 else f"{len(files)} files"
    words = f"{number} of the drop folder could not be imported; `twin status` says which and why."
    return {"drop_folder": words}


def drifted(drift: Drift | None, threshold: float) -> dict[str, str]:
    """The subject's voice, when it left what the champion learnt."""
    if drift is None or not drift.over(threshold):
        return {}
    words = (
        f"The subject writes differently from what the champion learnt: more than {threshold:g} "
        "bits beyond chance; a training is asked for when its cool-down is over."
    )
    return {"voice": words}


def _ended(run: dg.DagsterRun) -> Ended:
    first = run.tags.get(RANGE_START) or run.tags.get(PARTITION)
    last = run.tags.get(RANGE_END) or first
    days = DayRange(date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
    chosen = run.asset_selection
    assets = frozenset(key.to_user_string() for key in chosen) if chosen else None
    success = run.status == dg.DagsterRunStatus.SUCCESS
    return Ended(run.run_id, run.job_name, success, assets, days)


def _failed_steps(instance: dg.DagsterInstance, run_id: str) -> list[str] | None:
    """The steps that failed; None when nothing but a blocking check ended the run."""
    steps = []
    refused = False
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is None:
            continue
        error = event.step_failure_data.error
        if error is not None and error.cls_name == CHECK_REFUSED:
            refused = True
        else:
            steps.append(event.step_key or "")
    return None if refused and not steps else steps


def _name(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.to_user_string()}.{key.name}"
