"""Old runs leave Dagster's records, but for those that made what stands.

Ticks are purged by Dagster itself (see dagster.yaml); runs it would keep for ever. With a run go
its events, and with the event of a partition's last materialisation the partition would count as
never made; so a run stays as long as anything it made or checked was not made or checked anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import dagster as dg

MOST = 500  # runs of one look
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION


def purge_runs(
    instance: dg.DagsterInstance,
    before: datetime,
    checks: Iterable[dg.AssetCheckKey],
    cursor: str | None = None,
) -> tuple[int, int, str | None]:
    """Delete the ended runs created before a moment that hold nothing which still stands.

    Looks at MOST of them, from the newest after `cursor` (a run's id) to older ones. Returns how
    many were deleted and how many kept, and where to go on; None at the end.
    """
    asked = dg.RunsFilter(statuses=_ENDED, created_before=before)
    runs = instance.get_runs(asked, cursor=cursor, limit=MOST)
    if not runs:
        return 0, 0, None
    standing = _standing_checks(instance, checks)
    made = _Made(instance)
    kept = [run.run_id for run in runs if run.run_id in standing or made.stands(run.run_id)]
    gone = [run.run_id for run in runs if run.run_id not in set(kept)]
    for run_id in gone:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
    return len(gone), len(kept), kept[-1] if kept and len(runs) == MOST else None


class _Made:
    """Which materialisations are the last of their asset or partition."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._latest: dict[dg.AssetKey, set[int]] = {}

    def stands(self, run_id: str) -> bool:
        """Whether anything the run made was not made anew since."""
        return any(
            record.storage_id in self._of(event.asset_key)
            for record in self._instance.get_records_for_run(run_id, of_type=_MADE).records
            if (event := record.event_log_entry.dagster_event) and event.asset_key
        )

    def _of(self, asset: dg.AssetKey) -> set[int]:
        if asset not in self._latest:
            storage = self._instance.event_log_storage
            whole = storage.get_latest_materialization_storage_ids([asset]).get(asset)
            days = storage.get_latest_storage_id_by_partition(asset, _MADE)
            self._latest[asset] = {*days.values(), *([whole] if whole else [])}
        return self._latest[asset]


def _standing_checks(instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey]) -> set[str]:
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
    return {record.run_id for record in records.values()}
