"""The asset of the search index and its checks, on a real database; `twin reindex`."""

from __future__ import annotations

import json

import dagster as dg
import polars as pl
import psycopg
import pytest
from made_turns import turns_of
from remembered import WordEncoder, remember
from typer.testing import CliRunner

from twin_pipelines.commands import reindex as command
from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.retrieval import assets, checks
from twin_pipelines.retrieval.index import check_store, sample
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.settings import TwinSettings

CHECKS = [
    checks.everything_is_indexed,
    checks.vectors_are_of_one_model,
    checks.counts_are_exact,
    checks.index_is_current,
]
TALK = [
    [("bob", "where do you live now?"), ("Sue", "in Provo, with my two cats"), ("bob", "nice")],
    [("Sue", "ฉันชอบแมวมาก"), ("bob", "แมวของเธอชื่ออะไร"), ("Sue", "ชื่อส้ม")],
]


@pytest.fixture
def history(
    twin_home: TwinSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> psycopg.Connection:
    """Six turns and a memory; words are the only meaning there is."""
    for module in (assets, command):
        monkeypatch.setattr(module, "load_encoder", lambda _: WordEncoder())
    monkeypatch.setattr(checks, "model_id", lambda _: WordEncoder.model_id)
    copy_frame(connection, "cleaned_messages", turns_of(TALK))
    remember(connection, "Sue likes tea")
    connection.commit()
    return connection


def test_the_asset_indexes_all_and_passes_its_checks(history: psycopg.Connection) -> None:
    result = dg.materialize([assets.search_index, *CHECKS], resources={"twin": TwinResource()})
    told = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert told == dict.fromkeys([check.check_key.name for check in CHECKS], True)


def test_the_checks_tell_a_damaged_index(history: psycopg.Connection) -> None:
    index_queued(history, WordEncoder())
    history.execute("update search_terms set own = own + 1 where own = 1")
    history.execute(
        "update search_entries set own_vector = own_vector + own_vector where place = 0"
    )
    history.execute("delete from search_entries where place = 1")
    history.execute("update search_entries set content_hash = 'old' where place = 2")
    history.commit()
    result = dg.materialize(
        [assets.search_index, *CHECKS],
        selection=dg.AssetSelection.all_asset_checks(),
        resources={"twin": TwinResource()},
        raise_on_error=False,
    )
    told = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert told == dict.fromkeys([check.check_key.name for check in CHECKS], False)


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        ("update search_state set entries = entries + 1", {"entries"}),
        ("update search_state set around_length = 0", {"around length"}),
        ("insert into search_terms values (7, 1, 0)", {"terms"}),
        ("delete from search_entries where place = 1", set()),
    ],
)
def test_a_recount_finds_what_the_triggers_did_not_write(
    history: psycopg.Connection, damage: str, wrong: set[str]
) -> None:
    index_queued(history, WordEncoder())
    history.execute(damage)
    counts = check_store.recounted(history)
    assert set(counts.filter(pl.col("kept") != pl.col("counted"))["what"]) == wrong


def test_the_sample_is_of_sessions_that_do_not_wait(history: psycopg.Connection) -> None:
    assert sample.outdated(history, 10) == 0, "everything waits"
    index_queued(history, WordEncoder())
    assert sample.outdated(history, 10) == 0
    history.execute("update search_entries set content_hash = 'old'")
    assert sample.outdated(history, 10) == 7
    assert sample.outdated(history, 1) == 4, "of a session and a memory"


def test_reindex_tells_what_it_did_in_words_and_for_machines(history: psycopg.Connection) -> None:
    from twin_pipelines.cli import app

    first = CliRunner().invoke(app, ["reindex"])
    assert "Indexed 6 turns and 1 memories" in first.output
    assert "up to date: 7 turns and memories" in CliRunner().invoke(app, ["reindex"]).output
    report = json.loads(CliRunner().invoke(app, ["reindex", "--json"]).stdout)
    assert (report["turns"], report["entries"]) == (0, 7)
