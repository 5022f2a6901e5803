"""Runs that live in a command: recorded as any run is, and never left running in the records."""

from __future__ import annotations

import os

import dagster as dg

from twin_pipelines.foundation.instance import PROCESS, fail_orphans, open_instance, run_job
from twin_pipelines.settings import TwinSettings


@dg.op
def breaks() -> None:
    raise ValueError("the well is dry\nand more")


@dg.job
def broken() -> None:
    breaks()


def test_a_failed_step_is_told_in_one_sentence(twin_home: TwinSettings) -> None:
    with open_instance(twin_home) as (instance, _):
        outcome = run_job(instance, broken)
        assert not outcome.success
        assert outcome.failures == ("breaks: ValueError: the well is dry",)
        run = instance.get_run_by_id(outcome.run_id)
        assert run is not None and run.status == dg.DagsterRunStatus.FAILURE


def test_a_run_whose_process_was_killed_does_not_stay_running_for_ever(
    twin_home: TwinSettings,
) -> None:
    with open_instance(twin_home) as (instance, _):
        lost = dg.DagsterRun(
            job_name="broken",
            status=dg.DagsterRunStatus.STARTED,
            tags={PROCESS: f"{os.getpid()}-1.00"},
        )
        foreign = dg.DagsterRun(job_name="broken", status=dg.DagsterRunStatus.STARTED)
        for run in (lost, foreign):
            instance.add_run(run)
        storage = instance.event_log_storage
        storage.claim_concurrency_slot("training", lost.run_id, "lora_adapter")
        assert fail_orphans(instance) == 1
        assert storage.get_concurrency_info("training").active_run_ids == set()
        statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[lost.run_id] == dg.DagsterRunStatus.FAILURE
    assert statuses[foreign.run_id] == dg.DagsterRunStatus.STARTED
