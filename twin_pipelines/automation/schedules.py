"""The daily schedule of the partitioned half."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from twin_pipelines.automation.jobs import daily_refresh
from twin_pipelines.foundation.partitions import DAILY
from twin_pipelines.settings import load_settings

_hour, _minute = (int(part) for part in load_settings().automation.daily_at.split(":"))
_DAY = timedelta(days=1)


@dg.schedule(
    job=daily_refresh,
    cron_schedule=f"{_minute} {_hour} * * *",
    execution_timezone=DAILY.timezone,
    description="Each night, the day that has just ended.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for the day before the tick, in the history's time zone, once."""
    local = context.scheduled_execution_time.astimezone(load_settings().zone)
    day = (local.date() - _DAY).isoformat()
    if not DAILY.has_partition_key(day):
        return dg.SkipReason(f"{day} is no day of the history.")
    return daily_refresh.run_request_for_partition(partition_key=day, run_key=day)
