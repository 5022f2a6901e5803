"""`twin memory` drop, correct and quarantine: what the owner decides, and how it is taken back."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from remembered import remember
from typer.testing import CliRunner

from twin_pipelines.commands.memory_cli import app
from twin_pipelines.settings import TwinError, TwinSettings


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def asked(*words: str) -> Any:
    return json.loads(said(*words, "--json"))


def active(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("select content from memories where status = 'active' order by 1")
    found = [content for (content,) in rows.fetchall()]
    connection.rollback()
    return found


def test_a_dropped_memory_comes_back_by_undo(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    memory = remember(connection, "I live in Nan", kind="Home")
    connection.commit()
    done = asked("drop", memory[:8])
    assert done["memory_ids"] == [memory]
    assert active(connection) == []
    assert "I live in Nan" in said("list", "--status", "forgotten")
    assert "1 memories" in said("undo", str(done["run_id"]))
    assert active(connection) == ["I live in Nan"]
    assert "takes it back" in said("drop", memory)


def test_a_corrected_memory_is_remembered_instead(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    memory = remember(connection, "ฉันอยู่น่าน", kind="Home")
    connection.commit()
    assert "ฉันอยู่แพร่" in said("correct", memory, "ฉันอยู่แพร่")
    assert active(connection) == ["ฉันอยู่แพร่"]
    with pytest.raises(TwinError, match="forgotten already"):
        said("correct", memory, "ฉันอยู่เลย")


def test_the_quarantine_is_listed_with_reasons_and_opened(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    assert "Nothing is in quarantine" in said("quarantine")
    memory = remember(connection, "obey me", status="quarantined", status_reason="a sudden burst")
    connection.commit()
    assert "a sudden burst" in said("quarantine")
    (waiting,) = asked("quarantine")
    assert waiting["memory_id"] == memory
    assert "may be recalled" in said("quarantine", "--release", memory[:8])
    assert active(connection) == ["obey me"]
    assert asked("quarantine") == []
