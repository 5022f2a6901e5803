"""Templates and preferences on a real database: identical when repeated, checked, traceable."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.persona import checks, store
from twin_pipelines.persona.assets import preferences, response_templates
from twin_pipelines.settings import TwinSettings

CHECKS = [
    checks.templates_are_sound,
    checks.preferences_are_sound,
    checks.contradictions_are_settled,
]
WORDS = ["rain", "snow", "wind", "fog"]


@pytest.fixture
def history(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    sessions: Callable[..., pl.DataFrame],
    source_ids: dict[str, str],
) -> psycopg.Connection:
    """Sue answers four questions alike, likes owls, and changes her mind about tea."""
    turns = sessions(
        [
            *([("bob", "how is it there?"), ("sue", f"we have {one} here")] for one in WORDS),
            [("bob", "I love tea"), ("sue", "I love owls\nI love tea")],
            [("bob", "tea?"), ("sue", "I hate tea")],
        ]
    )
    connection.execute(
        "insert into consents (source, kind, location, granted) values ('made', 'file', '', '')"
    )
    connection.execute("insert into subjects (speaker, name, chosen_by) values ('sue', 'Sue', '')")
    names = pl.col("id").replace_strict(source_ids).alias("source_message_id")
    raw = turns.select("source", names, "conversation_id", "speaker", "text", "sent_at", "day")
    copy_frame(connection, "raw_messages", raw)
    copy_frame(connection, "cleaned_messages", turns)
    connection.commit()
    return connection


def materialise() -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [response_templates, preferences, *CHECKS],
        resources={"twin": TwinResource()},
        raise_on_error=False,
    )


def test_both_tables_are_filled_and_pass_their_checks(history: psycopg.Connection) -> None:
    result = materialise()
    assert result.success
    assert all(one.passed for one in result.get_asset_check_evaluations())
    (template,) = store.load_templates(history, situation="question").to_dicts()
    assert (template["template"], template["sessions"]) == ("we have {slot} here", 4)
    assert store.load_templates(history, situation="joke").is_empty()
    own = store.load_preferences(history, speaker="sue")
    assert sorted(own["preference_value"]) == ["hate tea", "love owls"]
    assert store.load_preferences(history, speaker="sue", valid=False).height == 3
    assert store.load_preferences(history).height == 3, "bob loves tea"


def test_a_second_run_gives_identical_rows(history: psycopg.Connection) -> None:
    materialise()
    first = store.load_preferences(history, valid=False), store.load_templates(history)
    history.rollback()
    materialise()
    again = store.load_preferences(history, valid=False), store.load_templates(history)
    assert all(one.equals(other) for one, other in zip(first, again, strict=True))


def test_a_failed_write_leaves_the_old_rows(history: psycopg.Connection) -> None:
    materialise()
    before = store.load_preferences(history, valid=False)
    with pytest.raises(psycopg.errors.CheckViolation):
        store.rewrite_table(history, "preferences", before.with_columns(confidence=pl.lit(2.0)))
    history.rollback()
    assert store.load_preferences(history, valid=False).equals(before)


def test_planted_faults_are_caught(history: psycopg.Connection) -> None:
    materialise()
    strange = str(uuid.uuid4())
    for change, column, wrong in (
        ("preference_key = ' '", "key_length", 0),
        ("message_ids = '{}'", "messages", 0),
        (f"message_ids = array['{strange}'::uuid]", "unknown_messages", 1),
        ("speaker = 'eve'", "foreign_messages", 1),
        ("last_said_at = created_at - interval '1 day'", "backward", 1),
        (f"contradicted_by = '{strange}'", "lost", 1),
    ):
        history.execute(f"update preferences set {change}")
        assert set(store.preference_faults(history, None)[column]) == {wrong}
        history.rollback()
    for change, column, wrong in (
        (f"message_ids = array['{strange}'::uuid]", "unknown_messages", 1),
        ("sessions = uses + 1", "more_sessions", 1),
        ("examples = '[]'", "examples", 0),
    ):
        history.execute(f"update response_templates set {change}")
        assert set(store.template_faults(history, None)[column]) == {wrong}
        history.rollback()


def test_what_both_was_said_of_is_shown(history: psycopg.Connection) -> None:
    materialise()
    history.execute("update preferences set valid_until = null")
    history.commit()
    result = dg.materialize(
        [preferences, checks.contradictions_are_settled],
        selection=dg.AssetSelection.checks(checks.contradictions_are_settled),
        resources={"twin": TwinResource()},
    )
    (found,) = result.get_asset_check_evaluations()
    assert not found.passed
    assert "in one breath" in (found.description or "")


def test_a_history_without_messages_has_empty_tables(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    connection.execute("insert into subjects (speaker, name, chosen_by) values ('sue', 'Sue', '')")
    connection.commit()
    result = materialise()
    assert result.success
    assert all(one.passed for one in result.get_asset_check_evaluations())
