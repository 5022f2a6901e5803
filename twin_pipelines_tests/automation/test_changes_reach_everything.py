"""What is edited or deleted at the source is so in everything that was derived from it, by the next
refresh, with the real graph: features, vectors, pairs, memories, persona, search, dataset, release.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from followed import say
from psycopg import sql
from tiny_model import build_tiny_model

from twin_pipelines.automation.sensors import follow_sources, settle_what_was_followed
from twin_pipelines.commands.runs import open_twin
from twin_pipelines.commands.scoreboard import scoreboard
from twin_pipelines.commands.status import collect
from twin_pipelines.definitions import defs
from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.instance import RANGE_END, RANGE_START, run_job
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct.assets import instruct_dataset
from twin_pipelines.instruct.store import latest_version
from twin_pipelines.settings import TwinSettings, load_settings

DELETED = "I grew up beside the marmalade lighthouse in Trat"
BEFORE, AFTER = "My favourite tea is oolong from Yunnan", "My favourite tea is jasmine from Fuzhou"
THAI = "ฉันทำงานที่โรงพยาบาลสัตว์เชียงใหม่ทุกวันเสาร์"
WORDS = (
    *("river", "copper", "garden", "window", "silver", "autumn"),
    *("bridge", "market", "forest", "yellow", "candle", "harbour"),
)
SOON = timedelta(seconds=20)


@dataclass(frozen=True)
class History:
    """Settings of a followed source, a writer of it, and the messages that will change."""

    settings: TwinSettings
    source: psycopg.Connection
    deleted: Any
    edited: Any
    thai: Any


@pytest.fixture
def history(
    twin_home: TwinSettings,
    source_url: str,
    source: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> History:
    """Three weeks of sessions; three things are said once and nowhere else."""
    monkeypatch.setenv("TWIN_TRAINING__BASE_MODEL", str(build_tiny_model(tmp_path / "tiny")))
    (twin_home.home / "twin.toml").write_text(
        f"""
        sources = [{{ name = "angela", kind = "table", consent = "David, 2026",
                      url = "{source_url}", capture = true }}]
        [subject]
        speaker = "angela"
        """.replace("\n                      ", " ")
    )
    load_settings.cache_clear()
    for session in range(40):
        begin = datetime(2018, 5, 1, 9, tzinfo=UTC) + timedelta(hours=12 * session)
        for turn in range(6):
            number = 6 * session + turn
            told = " ".join(WORDS[(number * step) % 12] + str(number) for step in (1, 5, 7))
            at = begin + timedelta(minutes=number % 6)
            said = {"created_at": at, "session_id": f"s{session}"}
            say(source, f"What about {told}?", speaker="david", **said)
            say(source, f"Well I like {told} today!", **{**said, "created_at": at + SOON})
    said = {"session_id": "s10", "created_at": datetime(2018, 5, 6, 9, 8, tzinfo=UTC)}
    say(source, "Where did you grow up?", speaker="david", **said)
    deleted = say(source, DELETED, **{**said, "created_at": said["created_at"] + SOON})
    said = {"session_id": "s16", "created_at": datetime(2018, 5, 9, 9, 8, tzinfo=UTC)}
    say(source, "Which tea do you want?", speaker="david", **said)
    edited = say(source, BEFORE, **{**said, "created_at": said["created_at"] + SOON})
    said = {"session_id": "s20", "created_at": datetime(2018, 5, 11, 9, 8, tzinfo=UTC)}
    say(source, "วันนี้ทำอะไรคะ", speaker="david", **said)
    thai = say(source, THAI, **{**said, "created_at": said["created_at"] + SOON})
    return History(load_settings(), source, deleted, edited, thai)


@pytest.fixture
def graph(history: History) -> Iterator[tuple[dg.DagsterInstance, Any]]:
    """The Dagster instance and the databases."""
    with open_twin(history.settings) as (instance, databases):
        yield instance, databases


def refresh(instance: dg.DagsterInstance) -> list[tuple[str, str]]:
    """What the sensor asks for, run; then memory and persona. The days that were derived anew."""
    context = dg.build_sensor_context(
        instance=instance, definitions=defs, resources={"twin": TwinResource()}
    )
    asked = follow_sources(context).run_requests or []
    for request in asked:
        days = (request.tags[RANGE_START], request.tags[RANGE_END])
        job = defs.resolve_job_def("daily_refresh")
        outcome = run_job(instance, job, days=days, tags=request.tags)
        assert outcome.success, outcome.failures
        settle(instance, outcome.run_id)
    remembered = run_job(instance, defs.resolve_job_def("remember"))
    assert remembered.success, remembered.failures
    return [(request.tags[RANGE_START], request.tags[RANGE_END]) for request in asked]


def settle(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    assert run
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name
    )
    context = dg.build_run_status_sensor_context(
        "any", dagster_run=run, dagster_instance=instance, dagster_event=event
    )
    settle_what_was_followed(context, twin=TwinResource())


def freeze(instance: dg.DagsterInstance, url: str) -> str:
    made = dg.materialize([instruct_dataset], instance=instance, resources={"twin": TwinResource()})
    assert made.success
    with connect(url) as connection:
        version = latest_version(connection)
    assert version
    return version


def serve(url: str, version: str) -> None:
    """A champion that was trained on the dataset; nothing is trained for it."""
    with connect(url) as connection:
        connection.execute(
            """
            with adapter as (
                insert into adapters (adapter_id, dataset_version, base_model, base_hash, config,
                                      code_version, path, metrics, mlflow_run_id)
                values ('a', %s, 'b', 'b', '{}', '1', 'adapters/a', '{}', 'run')
            ), evaluated as (
                insert into evaluations (evaluation_id, adapter_id, metrics, path)
                values ('e', 'a', '{}', 'evaluations/e')
            )
            insert into releases (adapter_id, evaluation_id, model_version, status, verdict,
                                  promoted_at, in_force_since)
            values ('a', 'e', 1, 'champion',
                    '{"passed": true, "words": "", "conditions": []}', now(), now())
            """,
            (version,),
        )
        connection.commit()


def where_it_stands(connection: psycopg.Connection, words: str) -> set[str]:
    """Every table and column whose text holds the words; of persona pages, the one in use alone."""
    columns = connection.execute(
        """
        select table_name, column_name from information_schema.columns
        join information_schema.tables using (table_schema, table_name)
        where table_schema = 'public' and table_type = 'BASE TABLE'
        """
    ).fetchall()
    found = set()
    for table, column in columns:
        query = sql.SQL("select 1 from {} where strpos({}::text, {}) > 0 {} limit 1").format(
            *(sql.Identifier(table), sql.Identifier(column), sql.Literal(words)),
            sql.SQL(IN_USE if table == "core_identities" else ""),
        )
        if connection.execute(query).fetchone():
            found.add(f"{table}.{column}")
    return found


def rows(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    connection.rollback()
    return connection.execute(query).fetchall()


IN_USE = "and version = (select max(version) from core_identities)"
OF_DAYS = """
    select day, md5(string_agg(t::text, '|' order by t.id)) from instruct_pairs as t
    where day <> all(array['2018-05-06', '2018-05-09', '2018-05-11']::date[]) group by 1 order by 1
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_edit_and_a_deletion_reach_everything_by_the_next_refresh(
    history: History, graph: tuple[dg.DagsterInstance, Any], connection: psycopg.Connection
) -> None:
    instance, databases = graph
    refresh(instance)
    first = freeze(instance, databases.twin)
    serve(databases.twin, first)
    others = rows(connection, OF_DAYS)
    for words in ("marmalade", "oolong", THAI):
        told = where_it_stands(connection, words)
        assert {"raw_messages.text", "cleaned_messages.text", "instruct_pairs.reply"} <= told, words
    assert {"memories.content"} <= where_it_stands(connection, "marmalade")
    assert collect(history.settings, instance, databases)["champion"]["stale"] is None

    gone = [history.deleted, history.thai]
    history.source.execute("delete from conversations where conversation_id = any(%s)", [gone])
    history.source.execute(
        "update conversations set message_text = %s where conversation_id = %s",
        [AFTER, history.edited],
    )
    days = refresh(instance)
    assert days == [(day, day) for day in ("2018-05-06", "2018-05-09", "2018-05-11")]
    for words in ("marmalade", "oolong", "Yunnan", THAI):
        assert where_it_stands(connection, words) == set(), words
    told = where_it_stands(connection, "Fuzhou")
    assert {"cleaned_messages.text", "instruct_pairs.reply"} <= told
    assert rows(connection, OF_DAYS) == others, "the other days were not touched"

    status = collect(history.settings, instance, databases)
    assert "1 erased and 1 edited" in str(status["champion"]["stale"])
    assert "1 erased and 1 edited" in str(status["dataset"]["stale"])
    assert "promoted_model.champion_is_current" in status["checks"]["failing"]
    assert scoreboard(status)
    second = freeze(instance, databases.twin)
    assert second != first
    after = collect(history.settings, instance, databases)
    assert after["dataset"]["stale"] is None
    assert after["champion"]["stale"], "the adapter is that of the dataset before"
