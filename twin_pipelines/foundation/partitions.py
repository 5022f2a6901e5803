"""Day partitions: the one definition every partitioned asset shares.

Reads the settings when it is imported, so only what defines assets may import it.
"""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import TwinSettings, load_settings


def daily_partitions(settings: TwinSettings) -> dg.DailyPartitionsDefinition:
    """The days of the history, in its time zone; while a live source may add days, up to the one
    that has begun."""
    first, last = settings.history_span()
    return dg.DailyPartitionsDefinition(
        start_date=first.isoformat(),
        end_date=(last + timedelta(days=1)).isoformat() if last else None,
        timezone=settings.history.timezone,
        end_offset=0 if last else 1,
    )


DAILY = daily_partitions(load_settings())

# A session may begin the day before, so a day is derived from itself and its eve.
WITH_EVE = dg.TimeWindowPartitionMapping(
    start_offset=-1, allow_nonexistent_upstream_partitions=True
)


def day_range(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> DayRange:
    """The days a run was asked for, as one range (backfills are single runs)."""
    keys = context.partition_key_range
    return DayRange(date.fromisoformat(keys.start), date.fromisoformat(keys.end))
