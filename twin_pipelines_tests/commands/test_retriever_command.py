"""`twin retriever` says what is in force and undoes it; `twin bench typos` makes single slips."""

from __future__ import annotations

import json
import random
import re

import dagster as dg
import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from twin_pipelines.cli import app
from twin_pipelines.commands.bench_typos import FEWEST_LETTERS, with_slip
from twin_pipelines.embeddings.encoder import model_id
from twin_pipelines.evaluation.retriever import assets, learn
from twin_pipelines.evaluation.retriever.checks import retriever_is_sound
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.retrieval.learning import store
from twin_pipelines.retrieval.learning.retriever import Retriever
from twin_pipelines.retrieval.spelling import distance
from twin_pipelines.settings import TwinError, TwinSettings

runner = CliRunner()
FIGURES = {"contexts": 60, "trial": {"gain": {"value": 0.02}, "known": None}}


def keep(connection: psycopg.Connection, name: str, model: str, *, passed: bool = True) -> None:
    weights = np.zeros((1, 8), dtype=np.float32)
    store.save(
        connection,
        Retriever(name, model, weights, weights),
        recipe=name,
        learned_from="d1",
        message_ids=[],
        figures=FIGURES,
        passed=passed,
        verdict=f"The word on {name}.",
    )
    connection.commit()


def run(*words: str) -> str:
    result = runner.invoke(app, ["retriever", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_retriever_is_seen_used_and_undone_from_the_command_line(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    assert "as it is" in run("status") and "twin retriever train" in run("status")
    keep(connection, "c1", "m@00000001")
    keep(connection, "bad", "m@00000001", passed=False)
    assert "c1" in run("use", "c1")
    told = json.loads(run("status", "--json"))
    assert told["in_force"] == "c1"
    assert [one["retriever_id"] for one in told["learned"]] == ["bad", "c1"]
    assert "The word on bad." in " ".join(run("status").split())
    with pytest.raises(TwinError, match="was refused"):
        run("use", "bad")
    assert "as it is" in run("rollback")
    with pytest.raises(TwinError, match="nothing to go back to"):
        run("rollback")


def test_the_asset_tells_the_verdict_and_the_check_what_is_wrong_with_what_is_in_force(
    twin_home: TwinSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(connection, "c1", model_id(twin_home))
    known = store.recorded(connection, "c1")
    connection.rollback()
    monkeypatch.setattr(learn, "learned_retriever", lambda *_: known)
    monkeypatch.setattr(assets, "load_encoder", lambda _: None)
    result = dg.materialize([assets.learned_retriever], resources={"twin": TwinResource()})
    [event] = result.get_asset_materialization_events()
    told = event.materialization.metadata
    assert told["verdict"].value == "The word on c1."
    assert told["gain nats per token"].value == 0.02
    assert "known items recall at 10, change" not in told

    assert _check().passed
    store.put_in_force(connection, "c1")
    connection.commit()
    assert _check().passed
    keep(connection, "c2", "other@00000001")
    store.put_in_force(connection, "c2")
    connection.commit()
    found = _check()
    assert not found.passed and "twin retriever train" in (found.description or "")


def _check() -> dg.AssetCheckResult:
    found = retriever_is_sound(TwinResource())
    assert isinstance(found, dg.AssetCheckResult)
    return found


@given(st.text(alphabet="abc def ghiกขค'1", max_size=40), st.integers(0, 99))
@settings(deadline=None)
def test_a_slip_changes_one_long_word_at_most_by_one_letter(text: str, seed: int) -> None:
    slipped = with_slip(text, random.Random(seed))
    assert distance(text, slipped, 2) <= 1
    if not re.search(rf"[^\W\d_]{{{FEWEST_LETTERS},}}", text):
        assert slipped == text
