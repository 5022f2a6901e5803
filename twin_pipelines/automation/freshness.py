"""How old each asset may get: by its rhythm, for the whole graph in one place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import dagster as dg

from twin_pipelines.settings import TwinSettings

NIGHTLY_GROUPS = {"sources", "features", "embeddings", "persona", "memory", "retrieval"}
NIGHTLY = {"instruct_pairs", "core_memories"}  # of groups whose others belong to a release
GRACE_HOURS = 4  # from the nightly run's beginning until its assets count as late
RELEASE = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(days=180), warn_window=timedelta(days=90)
)
CLOSED = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(days=365), warn_window=timedelta(days=180)
)


def keep_fresh(settings: TwinSettings) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """A function that gives an asset its policy.

    Of a history that grows, what the nightly run makes is due each day some hours after it began,
    in the history's time zone; what belongs to a release within half a year, as training waits for
    a reason. A history that is closed derives nothing anew; its assets are due once a year.
    """
    closed = settings.history_span()[1] is not None
    nightly = dg.FreshnessPolicy.cron(
        deadline_cron=deadline(settings.automation.daily_at),
        lower_bound_delta=timedelta(hours=24),
        timezone=settings.history.timezone,
    )

    def policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        if closed:
            return spec.replace_attributes(freshness_policy=CLOSED)
        often = spec.group_name in NIGHTLY_GROUPS or spec.key.to_user_string() in NIGHTLY
        return spec.replace_attributes(freshness_policy=nightly if often else RELEASE)

    return policy


def deadline(daily_at: str) -> str:
    """The cron line of the hour by which the nightly run must be over."""
    hour, minute = (int(part) for part in daily_at.split(":"))
    return f"{minute} {(hour + GRACE_HOURS) % 24} * * *"
