"""Extraction on a real database: by day, idempotent, across midnight, checked, erasure in mind."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.automation.jobs import daily_refresh
from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.memory import checks, store
from twin_pipelines.memory.assets import episodic_memories
from twin_pipelines.memory.extraction import store as extraction_store
from twin_pipelines.memory.extraction.refresh import extract_days
from twin_pipelines.settings import TwinSettings

CHECKS = [
    checks.extracted_memories_are_sound,
    checks.extracted_memories_are_traceable,
    checks.every_session_is_told,
]
DAYS = DayRange(date(2018, 5, 1), date(2018, 5, 2))


@pytest.fixture
def history(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    sessions: Callable[..., pl.DataFrame],
    source_ids: dict[str, str],
) -> psycopg.Connection:
    """Sue and bob talk on the first of May; on the second bob comes back."""
    turns = sessions(
        [
            [("bob", "I live in Rome"), ("sue", "I love owls"), ("sue", "I fly to Rome tomorrow")],
            [("bob", "ผมชอบแมวมากครับ"), ("sue", "I am so happy today!")],
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


def contents(connection: psycopg.Connection, *kinds: str) -> list[str]:
    loaded = store.load_memories(connection)
    connection.rollback()
    return sorted(loaded.filter(pl.col("kind").is_in(kinds) if kinds else pl.lit(True))["content"])


def test_a_day_is_materialised_with_its_checks(history: psycopg.Connection) -> None:
    result = dg.materialize(
        [episodic_memories, *CHECKS],
        partition_key="2018-05-02",
        resources={"twin": TwinResource()},
    )
    assert result.success
    assert {one.check_name: one.passed for one in result.get_asset_check_evaluations()} == {
        "extracted_memories_are_sound": True,
        "extracted_memories_are_traceable": True,
        "every_session_is_told": True,
    }
    assert contents(history, "Likes", "Home") == ["I live in Rome", "I love owls", "ผมชอบแมวมากครับ"]
    (plan,) = store.load_memories(history).filter(kind="Plans and promises").to_dicts()
    assert plan["happens_on"] == date(2018, 5, 2)


def test_the_daily_job_extracts() -> None:
    assert "episodic_memories" in str(daily_refresh.selection)


def test_days_repeated_in_any_order_write_nothing(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    whole = extract_days(history, twin_home, DAYS)
    assert whole.written == whole.memories.height > 0
    for day in reversed(list(DAYS)):
        assert extract_days(history, twin_home, DayRange(day, day)).written == 0
    assert extract_days(history, twin_home, DAYS).written == 0


def test_a_session_that_ends_after_midnight_is_whole(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    first = DayRange(date(2018, 5, 1), date(2018, 5, 1))
    session = history.execute("select session_id from cleaned_messages order by sent_at").fetchone()
    history.execute("update cleaned_messages set session_id = %s", session)
    history.execute("update cleaned_messages set text = 'x' where day = '2018-05-02'")
    history.commit()
    extract_days(history, twin_home, first)
    history.execute("update cleaned_messages set text = 'I hate rain' where day = '2018-05-02'")
    history.commit()
    extract_days(history, twin_home, DayRange(date(2018, 5, 2), date(2018, 5, 2)))
    rows = store.load_memories(history, types=["episodic"])
    assert "I hate rain" in rows["content"].to_list()
    assert set(rows["day"]) == {date(2018, 5, 1)}


def test_what_was_said_and_is_erased_is_forgotten(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    extract_days(history, twin_home, DAYS)
    history.execute("delete from cleaned_messages where text = 'I love owls'")
    history.commit()
    extract_days(history, twin_home, DAYS)
    assert "I love owls" not in "\n".join(contents(history))


def test_only_the_latest_session_is_in_mind_and_only_for_a_while(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    extract_days(history, twin_home, DAYS)
    (row,) = store.load_memories(history, types=["short_term"]).to_dicts()
    assert row["day"] == date(2018, 5, 2)
    assert extraction_store.drop_faded(history, []) == 1
    history.execute("update cleaned_messages set conversation_id = 'other' where text like '%owls'")
    assert len(extraction_store.in_mind(history, 24)) == 2
    assert len(extraction_store.in_mind(history, 23)) == 1


def test_what_is_newly_suspicious_is_set_aside_unless_somebody_kept_it(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    made = extract_days(history, twin_home, DAYS).memories
    seen = made.with_columns(status=pl.lit("quarantined"), status_reason=pl.lit("odd"))
    history.execute("update memories set pinned = true where content = 'I love owls'")
    assert store.rewrite_days(history, DAYS, seen) == made.height - 1
    assert store.load_memories(history)["content"].to_list() == ["I love owls"]


def test_a_failed_write_leaves_the_day_as_it_was(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    made = extract_days(history, twin_home, DAYS).memories
    before = contents(history)
    with pytest.raises(psycopg.errors.DataError):
        store.rewrite_days(history, DAYS, made.with_columns(memory_id=pl.lit("no id")))
    history.rollback()
    assert contents(history) == before


def test_planted_faults_are_caught(history: psycopg.Connection, twin_home: TwinSettings) -> None:
    extract_days(history, twin_home, DAYS)
    for change, column, wrong in (
        ("happens_on = day - 1", "premature", 1),
        ("day = day + 1", "elsewhere", 1),
        (
            f"message_ids = array['{'1' * 8}-1111-1111-1111-{'1' * 12}'::uuid]",
            "unknown_messages",
            1,
        ),
    ):
        history.execute(f"update memories set {change} where content = 'I love owls'")
        assert wrong in extraction_store.extraction_faults(history, None)[column].to_list()
        history.rollback()
    history.execute("delete from memories where kind = 'session' and day = '2018-05-01'")
    assert extraction_store.sessions_untold(history, DAYS)["untold"].to_list() == [1, 0]


def test_a_history_without_turns_has_no_memories(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    connection.execute("insert into subjects (speaker, name, chosen_by) values ('sue', 'Sue', '')")
    connection.commit()
    assert extract_days(connection, twin_home, DAYS).memories.is_empty()


def test_details_are_json_objects(history: psycopg.Connection, twin_home: TwinSettings) -> None:
    made = extract_days(history, twin_home, DAYS).memories
    assert all("session_id" in json.loads(written) for written in made["details"])
