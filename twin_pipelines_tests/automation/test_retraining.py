"""When retraining starts by itself, and when it must not: the sensor on a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest

from twin_pipelines.automation import sensors, store
from twin_pipelines.automation.drift import Drift
from twin_pipelines.automation.jobs import train_and_promote
from twin_pipelines.automation.schedules import daily_schedule
from twin_pipelines.automation.sensors import gather, retrain_when_due
from twin_pipelines.automation.triggers import Facts
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import Automation, TwinSettings
from twin_pipelines.training.blocks_store import block

FACTS = Facts(
    release_id=1,
    dataset_version="abc123",
    new_pairs=10,
    corrections=0,
    erased=0,
    dropped=0,
    drift=None,
    last_training=None,
    running=False,
)


def _evaluate(
    instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(
        instance=instance, resources={"twin": TwinResource()}, cursor=cursor
    )
    result = retrain_when_due(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_without_a_champion_nothing_is_retrained(twin_home: TwinSettings) -> None:
    result = _evaluate(dg.DagsterInstance.ephemeral())
    assert isinstance(result, dg.SkipReason)
    assert "No champion yet" in str(result.skip_message)


@pytest.mark.parametrize(("new_pairs", "asked"), [(499, False), (500, True), (1_203, True)])
def test_retraining_is_asked_for_once_a_threshold_of_new_pairs(
    twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch, new_pairs: int, asked: bool
) -> None:
    facts = Facts(**{**vars(FACTS), "new_pairs": new_pairs})
    monkeypatch.setattr(sensors, "gather", lambda *_, **__: facts)
    result = _evaluate(dg.DagsterInstance.ephemeral())
    assert isinstance(result, dg.SensorResult) == asked
    if asked:
        assert isinstance(result, dg.SensorResult) and result.run_requests
        (request,) = result.run_requests
        assert request.run_key == f"abc123-{new_pairs // 500}"
        assert request.tags["twin/reason"] == "volume"
        again = _evaluate(dg.DagsterInstance.ephemeral(), result.cursor)
        assert isinstance(again, dg.SkipReason)
        assert "asked for already" in str(again.skip_message)
    else:
        assert "retraining begins at 500" in str(result.skip_message)


def test_a_training_on_its_way_or_just_begun_is_known_from_dagster(
    twin_home: TwinSettings, champion: int
) -> None:
    instance = dg.DagsterInstance.ephemeral()
    assert sensors._last_begun(instance) is None
    run = dg.DagsterRun(job_name=train_and_promote.name, status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    assert sensors._running(instance)
    begun = sensors._last_begun(instance)
    assert begun and datetime.now(UTC) - begun < timedelta(minutes=1)
    result = _evaluate(instance)
    assert isinstance(result, dg.SkipReason)
    assert "No training" in str(result.skip_message)


@pytest.fixture
def champion(connection: psycopg.Connection) -> int:
    """A champion trained on 60 pairs of April; 20 more are of May. Returns its release."""
    connection.execute(
        """
        insert into consents (source, kind, location, granted) values ('s', 'file', 'f', 'ann');
        insert into raw_messages
            (source, source_message_id, conversation_id, speaker, text, sent_at, day)
        select 's', n::text, 'c', 'ann', 'x', moment, moment::date
        from generate_series(1, 80) as n,
             lateral (select '2018-04-01 00:00Z'::timestamptz + n * interval '12 hours' as moment);
        insert into instruct_pairs
            (id, day, source, conversation_id, session_id, partner, replied_at, context, input,
             reply, language, quality, quality_parts, message_ids)
        select id, day, 's', 'c', md5((source_message_id::int / 4)::text)::uuid, 'p', sent_at, '[]',
               'hi', 'we played cards by the sea in the rain all week ' || source_message_id, 'en',
               5, '{}', array[id]
        from raw_messages;
        insert into datasets (version, subject, settings, train, validation, test, purged,
                              train_until, test_from, path)
        values ('d', 'ann', '{}', 40, 10, 10, '{}', now(), now(), 'datasets/d');
        insert into dataset_pairs (version, pair_id, split)
        select 'd', id, case when source_message_id::int <= 40 then 'train'
                             when source_message_id::int <= 50 then 'validation'
                             else 'test' end
        from raw_messages where source_message_id::int <= 60;
        insert into adapters (adapter_id, dataset_version, base_model, base_hash, config,
                              code_version, path, metrics, mlflow_run_id, created_at)
        values ('a', 'd', 'b', 'b', '{}', '1', 'adapters/a', '{}', 'run', '2018-05-01');
        insert into evaluations (evaluation_id, adapter_id, metrics, path)
        values ('e', 'a', '{}', 'evaluations/e');
        insert into releases (adapter_id, evaluation_id, model_version, status, verdict,
                              promoted_at, in_force_since)
        values ('a', 'e', 1, 'champion', '{}', now(), now());
        """
    )
    connection.commit()
    return 1


def test_facts_are_counted_against_what_the_champion_learnt(
    connection: psycopg.Connection, champion: int
) -> None:
    facts = gather(connection, Automation(), running=False, begun=None)
    assert facts
    assert (facts.new_pairs, facts.erased, facts.dropped, facts.corrections) == (20, 0, 0, 0)
    assert facts.drift is None, "twenty new pairs are too few"
    assert facts.last_training == datetime(2018, 5, 1, tzinfo=UTC)
    connection.execute(
        """
        delete from instruct_pairs where id in
            (select id from raw_messages where source_message_id in ('1', '2', '45', '55'));
        delete from raw_messages where source_message_id in ('1', '2', '55');
        insert into corrections (prompt, rejected, chosen, made_by)
        select '[{"role": "user", "content": "hi"}]', 'no', 'yes' || n, 'page'
        from generate_series(1, 3) as n;
        """
    )
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    facts = gather(connection, Automation(drift_pairs=20), running=True, begun=begun)
    assert facts
    assert (facts.erased, facts.dropped) == (2, 1), "what only tests the champion is not learnt"
    assert facts.corrections == 3
    assert facts.last_training == begun
    assert isinstance(facts.drift, Drift)
    assert not facts.drift.over(0.02)


def test_a_new_voice_in_the_history_is_seen(connection: psycopg.Connection, champion: int) -> None:
    connection.execute(
        "update instruct_pairs set reply = 'QUARTERLY REVENUE!!! ' || id, language = 'other' "
        "where replied_at > '2018-05-01 12:00Z'"
    )
    assert len(store.recent_replies(connection, "d")) == 20
    assert len(store.learnt_replies(connection, "d")) == 40
    facts = gather(connection, Automation(drift_pairs=20), running=False, begun=None)
    assert facts and facts.drift
    assert facts.drift.over(0.02)


def test_an_erasure_asks_for_training_at_once(
    twin_home: TwinSettings, connection: psycopg.Connection, champion: int
) -> None:
    connection.execute(
        "delete from instruct_pairs where id = (select id from raw_messages where "
        "source_message_id = '7'); delete from raw_messages where source_message_id = '7'"
    )
    connection.commit()
    result = _evaluate(dg.DagsterInstance.ephemeral())
    assert isinstance(result, dg.SensorResult) and result.run_requests
    assert result.run_requests[0].run_key == "erasure-1-1"
    assert json.loads(str(result.cursor)) == ["erasure-1-1"]


def test_an_erasure_that_left_no_lineage_asks_for_training_at_once(
    twin_home: TwinSettings, connection: psycopg.Connection, champion: int
) -> None:
    gone = "array(select id from raw_messages where source_message_id in ('7', '45', '55'))"
    (messages,) = connection.execute(f"select {gone}::text[]").fetchone() or ([],)
    connection.execute(
        "update dataset_pairs set message_ids = array[pair_id]; "
        "update instruct_pairs set excluded = 'too short' where id = "
        "(select id from raw_messages where source_message_id = '8')"
    )
    block(connection, "an erasure", messages)
    connection.execute(
        f"delete from instruct_pairs where id = any({gone}); "
        f"delete from raw_messages where id = any({gone})"
    )
    facts = gather(connection, Automation(), running=False, begun=None)
    assert facts and (facts.erased, facts.dropped, facts.edited) == (2, 1, 0)
    connection.commit()
    result = _evaluate(dg.DagsterInstance.ephemeral())
    assert isinstance(result, dg.SensorResult) and result.run_requests
    (request,) = result.run_requests
    assert request.run_key == "erasure-1-2"
    assert "1 more are no longer usable" in request.tags["twin/why"]


def test_the_daily_schedule_asks_for_the_day_that_has_just_ended() -> None:
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2018, 6, 2, 3, tzinfo=UTC)
    )
    data = daily_schedule.evaluate_tick(context)
    assert data.run_requests
    assert [request.partition_key for request in data.run_requests] == ["2018-06-01"]
