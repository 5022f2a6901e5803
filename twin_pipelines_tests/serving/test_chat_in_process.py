"""`twin chat` where no server runs: the release is loaded, and its memories are recalled."""

from __future__ import annotations

import io
from typing import Any

import psycopg
import pytest
from remembered import WordEncoder, remember
from rich.console import Console

from twin_pipelines.commands.chat import chat
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.serving import recollection
from twin_pipelines.settings import TwinSettings


def test_a_release_answers_and_tells_what_it_remembered(
    served: TwinSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recollection, "load_encoder", lambda _: WordEncoder())
    remember(connection, "I rode a camel in Morocco")
    connection.commit()
    index_queued(connection, WordEncoder())
    lines = iter(["did you ride a camel?", "/memories", "/quit"])

    class Typed(Console):
        def input(self, *given: Any, **named: Any) -> str:
            return next(lines)

    console = Typed(file=io.StringIO(), width=100)
    settings = served.model_copy(
        update={"serving": served.serving.model_copy(update={"port": 0, "max_new_tokens": 6})}
    )
    chat(settings, None, console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "No server runs; the release is loaded here." in shown
    assert "core      I like thing 2" in shown
    assert "I rode a camel in Morocco" in shown
