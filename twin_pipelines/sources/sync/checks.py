"""Whether both sides of a two-way sync hold the same rows, as an asset check."""

from __future__ import annotations

import dagster as dg

from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinError
from twin_pipelines.sources.sync.watch import Look, look


@dg.asset_check(asset="raw_conversations", blocking=False)
def both_sides_agree(twin: TwinResource) -> dg.AssetCheckResult:
    """The tables of a two-way sync hold the same rows on both sides, by row count and hash of every
    day, and both directions run. Passes where no sync is configured."""
    sync = twin.settings.sync
    if not sync.tables:
        return dg.AssetCheckResult(passed=True, description="No sync is configured.")
    try:
        with twin.connect() as connection:
            return judged(look(connection, sync, compared=True))
    except TwinError as error:
        return dg.AssetCheckResult(
            passed=False, severity=dg.AssetCheckSeverity.WARN, description=str(error)
        )


def judged(seen: Look) -> dg.AssetCheckResult:
    """A look as the check's result."""
    lag = {f"{one.giver}, bytes behind": one.lag_bytes for one in seen.standing.directions}
    return dg.AssetCheckResult(
        passed=seen.agrees,
        severity=dg.AssetCheckSeverity.WARN,
        description=seen.words,
        metadata={
            "rows that differ": sum(one.rows for one in seen.differing or []),
            "new conflicts": seen.new_conflicts,
            "remote clock ahead, ms": round(seen.standing.skew_ms, 1),
            **lag,
        },
    )
