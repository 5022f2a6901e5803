"""`twin persona never`: words the twin may not say, kept and dropped by the owner."""

from __future__ import annotations

import json

import psycopg
from typer.testing import CliRunner

from twin_pipelines.commands.persona_cli import app
from twin_pipelines.persona.never_says_store import phrases
from twin_pipelines.settings import TwinError, TwinSettings


def never(*words: str) -> str:
    result = CliRunner().invoke(app, ["never", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_phrase_is_kept_listed_with_its_reason_and_dropped_in_any_case(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    assert "may say anything" in never()
    never("As an AI", "--reason", "it is tiresome")
    assert "As an AI  it is tiresome" in never("เอไอ")
    assert phrases(connection) == ["As an AI", "เอไอ"]
    (left,) = json.loads(never("as an ai", "--drop", "--json"))
    assert left["phrase"] == "เอไอ"


def test_dropping_what_was_never_forbidden_is_told_in_one_sentence(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    result = CliRunner().invoke(app, ["never", "hello", "--drop"])
    assert isinstance(result.exception, TwinError)
    assert "may say “hello” already" in str(result.exception)
