"""Memories and persona follow the days by themselves, and need no training."""

from __future__ import annotations

import dagster as dg

from twin_pipelines.automation.jobs import daily_refresh
from twin_pipelines.automation.sensors import remember_what_is_new
from twin_pipelines.definitions import defs


def test_a_finished_run_of_days_is_remembered_once() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("daily_refresh")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_SUCCESS.value, job_name=daily_refresh.name
        )
        context = dg.build_run_status_sensor_context(
            "remember_what_is_new", dagster_run=run, dagster_instance=instance, dagster_event=event
        )
        asked = remember_what_is_new(context)
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key == run.run_id


def test_remembering_covers_memory_and_persona_and_trains_nothing() -> None:
    keys = defs.resolve_job_def("remember").asset_layer.executable_asset_keys
    names = {key.to_user_string() for key in keys}
    assert {"knowledge_memories", "dream_memories", "core_identity", "core_memories"} <= names
    assert not names & {"episodic_memories", "lora_adapter", "promoted_model"}
