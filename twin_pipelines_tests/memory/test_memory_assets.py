"""Knowledge and candidates on a real database: the same when repeated, checked, with evidence."""

from __future__ import annotations

import uuid

import dagster as dg
import polars as pl
import psycopg
import pytest
from told import said, write_told

from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.memory import checks, store
from twin_pipelines.memory.assets import core_candidates, knowledge_memories
from twin_pipelines.settings import TwinSettings

CHECKS = [
    checks.knowledge_is_sound,
    checks.knowledge_has_its_evidence,
    checks.candidates_are_sound,
    checks.candidates_are_traceable,
    checks.some_may_become_core,
]
KIND = "Who I am"


@pytest.fixture
def history(twin_home: TwinSettings, connection: psycopg.Connection) -> psycopg.Connection:
    """Sue told three people where she is from, and one of them that she loves owls."""
    connection.execute("insert into subjects (speaker, name, chosen_by) values ('sue', 'Sue', '')")
    write_told(
        connection,
        *(said("I am from Chiang Mai", day, kind=KIND, importance=0.6) for day in range(3)),
        said("I love owls", 1),
    )
    connection.execute(
        """update memories set importance_parts = '{"self_reference": 1, "specificity": 1}'"""
    )
    connection.commit()
    return connection


def materialise() -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [knowledge_memories, core_candidates, *CHECKS],
        resources={"twin": TwinResource()},
        raise_on_error=False,
    )


def test_candidates_are_stored_with_their_evidence_and_pass_their_checks(
    history: psycopg.Connection,
) -> None:
    result = materialise()
    assert result.success
    assert {one.check_name: one.passed for one in result.get_asset_check_evaluations()} == {
        "knowledge_is_sound": True,
        "knowledge_has_its_evidence": True,
        "candidates_are_sound": True,
        "candidates_are_traceable": True,
        "some_may_become_core": True,
    }
    stored = store.load_candidates(history)
    assert stored["content"].to_list() == ["I am from Chiang Mai", "I love owls"]
    assert stored["sessions"].to_list() == [3, 1]
    assert store.load_candidates(history, 0.55, 2).height == 1
    assert len(stored["message_ids"][0]) == 3


def test_a_second_run_gives_identical_rows(history: psycopg.Connection) -> None:
    materialise()
    first = store.load_candidates(history)
    history.rollback()
    materialise()
    assert store.load_candidates(history).equals(first)


def test_a_failed_write_leaves_the_old_candidates(history: psycopg.Connection) -> None:
    materialise()
    before = store.load_candidates(history)
    with pytest.raises(psycopg.errors.DataError):
        store.rewrite_candidates(history, before.with_columns(memory_id=pl.lit("no id")))
    history.rollback()
    assert store.load_candidates(history).equals(before)


def test_lost_evidence_is_reported_and_the_next_run_mends_it(
    history: psycopg.Connection,
) -> None:
    materialise()
    history.execute("delete from memories where status = 'merged' and day = '2018-05-02'")
    history.commit()
    found = checks.knowledge_has_its_evidence(TwinResource())
    assert isinstance(found, dg.AssetCheckResult)
    assert not found.passed
    assert "1 missing sources, 1 other messages" in str(found.description)
    assert materialise().success
    assert store.load_candidates(history)["sessions"].to_list() == [2, 1]


def test_planted_faults_are_caught(history: psycopg.Connection) -> None:
    materialise()
    for change, column, wrong in (
        ("importance = 1.5", "importance", 1.5),
        ("""parts = '{"emotion": -1}'""", "least_part", -1.0),
        ("content = '  '", "content_length", 0),
        (f"message_ids = array['{uuid.uuid4()}'::uuid]", "unknown_messages", 1),
        ("message_ids = '{}'", "messages", 0),
        ("last_said_at = first_said_at - interval '1 day'", "backward", 1),
    ):
        history.execute(f"update core_candidates set {change}")
        assert store.candidate_faults(history, None)[column].to_list() == [wrong, wrong]
        history.rollback()


def test_a_history_without_messages_has_no_candidates(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    connection.execute("insert into subjects (speaker, name, chosen_by) values ('sue', 'Sue', '')")
    connection.commit()
    result = materialise()
    assert result.success
    (poor,) = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert poor.check_name == "some_may_become_core"
    assert poor.severity == dg.AssetCheckSeverity.WARN
    assert "core_threshold" in poor.description
