"""The asset on a real database: journaled, idempotent, archiving what no longer recurs, undone."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.memory import checks, ledger, ledger_store, store
from twin_pipelines.memory.assets import procedural_memories
from twin_pipelines.memory.procedures import store as procedures_store
from twin_pipelines.settings import TwinSettings

PETS = ("dog", "cat", "owl", "fish", "pony", "bird")


@pytest.fixture
def history(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    sessions: Callable[..., pl.DataFrame],
    source_ids: dict[str, str],
) -> psycopg.Connection:
    """Six times Sue comforts bob, and otherwise speaks of boats."""
    comfort = [
        [("bob", f"my {pet} died last week"), ("sue", "Oh no, that is so sad")] for pet in PETS
    ]
    talk = [[("bob", "the lake is frozen"), ("sue", f"the boat is red {n}")] for n in range(12)]
    turns = sessions([*comfort, *talk])
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
        [procedural_memories, checks.procedures_are_sound], resources={"twin": TwinResource()}
    )


def known(connection: psycopg.Connection, state: str = "active") -> list[str]:
    rows = store.load_memories(connection, types=["procedural"], states=[state])
    connection.rollback()
    return rows["kind"].to_list()


def test_procedures_are_stored_checked_and_undone(history: psycopg.Connection) -> None:
    before = ledger_store.store_hash(history)
    history.rollback()
    result = materialise()
    assert all(one.passed for one in result.get_asset_check_evaluations())
    assert known(history) == ["comforting"]
    (run_id,) = ledger_store.load_runs(history)["run_id"]
    ledger.undo(history, run_id)
    history.commit()
    assert ledger_store.store_hash(history) == before


def test_a_second_run_changes_nothing_and_leaves_no_trace(history: psycopg.Connection) -> None:
    materialise()
    before = ledger_store.store_hash(history)
    history.rollback()
    materialise()
    assert ledger_store.store_hash(history) == before
    assert ledger_store.load_runs(history).height == 1


def test_what_no_longer_recurs_is_archived_and_returns(history: psycopg.Connection) -> None:
    materialise()
    history.execute("update cleaned_messages set speaker = 'eve' where speaker = 'sue'")
    history.commit()
    materialise()
    assert (known(history), known(history, "archived")) == ([], ["comforting"])
    history.execute("update cleaned_messages set speaker = 'sue' where speaker = 'eve'")
    history.commit()
    materialise()
    assert (known(history), known(history, "archived")) == (["comforting"], [])


def test_what_is_pinned_or_was_archived_by_hand_stays(history: psycopg.Connection) -> None:
    materialise()
    with ledger.run(history, "owner", "pinned by hand"):
        history.execute("update memories set pinned = true")
    history.execute("update cleaned_messages set speaker = 'eve' where speaker = 'sue'")
    history.commit()
    materialise()
    assert known(history) == ["comforting"]
    history.execute("update cleaned_messages set speaker = 'sue' where speaker = 'eve'")
    with ledger.run(history, "owner", "archived by hand"):
        history.execute(
            "update memories set pinned = false, status = 'archived', status_reason = 'by hand'"
        )
    history.commit()
    materialise()
    assert known(history, "archived") == ["comforting"]


def test_planted_faults_are_caught(history: psycopg.Connection) -> None:
    materialise()
    for change, column, wrong in (
        ("details = '{}'", "steps", 0),
        ("about = 'bob'", "foreign_messages", 6),
        ("message_ids = array[gen_random_uuid()]", "unknown_messages", 1),
    ):
        history.execute(f"update memories set {change}")
        assert procedures_store.procedure_faults(history, None)[column].to_list() == [wrong]
        history.rollback()
