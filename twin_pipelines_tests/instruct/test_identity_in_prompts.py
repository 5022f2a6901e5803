"""`{identity}` in the system prompt: what train said of the subject, nothing that came after."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import psycopg
import pytest
from test_instruct_assets import BEGIN, chats, make_pairs, materialise

from twin_pipelines.generation.prompt import system_prompt
from twin_pipelines.instruct import store
from twin_pipelines.instruct.assets import instruct_dataset
from twin_pipelines.settings import Dataset, TwinSettings, load_settings

Talk = Callable[..., pl.DataFrame]
Land = Callable[[psycopg.Connection, pl.DataFrame], None]


def prompts(connection: psycopg.Connection, settings: TwinSettings) -> set[str]:
    """The system prompts of the current dataset, of all its splits."""
    connection.rollback()
    current = store.latest_dataset(connection)
    assert current
    files = [
        settings.home / current.path / f"{name}.jsonl" for name in ("train", "validation", "test")
    ]
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {row["prompt"][0]["content"] for row in rows if row["partner"] != "canary"}


def test_a_prompt_tells_what_train_knew_and_never_what_the_test_says(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    talk: Talk,
    land: Land,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    early = talk(
        [("bob", "where are you from?"), ("sue", "I am from Lampang, up in the north")],
        BEGIN + timedelta(hours=3),
    )
    late = talk(
        [("bob", "where were you from again?"), ("sue", "I am from Atlantis and I keep dragons")],
        BEGIN + timedelta(hours=6 * 11 + 3),
    )
    land(connection, pl.concat([chats(talk), early, late]))
    make_pairs()
    assert materialise([instruct_dataset]).success
    assert prompts(connection, twin_home) == {"You are Sue. Reply as Sue would in this chat."}
    plain = store.latest_version(connection)
    monkeypatch.setenv("TWIN_DATASET__SYSTEM_PROMPT", "You are {name}. {identity}")
    load_settings.cache_clear()
    assert materialise([instruct_dataset]).success
    assert prompts(connection, twin_home) == {"You are Sue. I am from Lampang, up in the north."}
    assert store.latest_version(connection) != plain


def test_without_a_place_for_it_a_prompt_is_what_it_always_was() -> None:
    settings = TwinSettings(dataset=Dataset(system_prompt="You are {name}."))
    assert system_prompt(settings, "Sue", "I am from Lampang.") == "You are Sue."
    asked = TwinSettings(dataset=Dataset(system_prompt="You are {name}. {identity}"))
    assert system_prompt(asked, "Sue") == "You are Sue."
    assert system_prompt(asked, "Sue", "ผมมาจากลำปางครับ") == "You are Sue. ผมมาจากลำปางครับ"
