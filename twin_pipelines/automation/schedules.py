"""The daily schedule of the partitioned half."""

from __future__ import annotations

import dagster as dg

from twin_pipelines.automation.jobs import daily_refresh
from twin_pipelines.settings import load_settings

_hour, _minute = (int(part) for part in load_settings().automation.daily_at.split(":"))

daily_schedule = dg.build_schedule_from_partitioned_job(
    daily_refresh,
    name="daily_schedule",
    hour_of_day=_hour,
    minute_of_hour=_minute,
    description="Each night, the day that has just ended.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
