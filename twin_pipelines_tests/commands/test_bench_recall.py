"""The recall benchmark: its history, the vectors it keeps, and one small run of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from remembered import WordEncoder
from tiny_model import build_tiny_model

from twin_pipelines.commands import bench_recall
from twin_pipelines.commands.bench_recall_history import BenchHistory, history
from twin_pipelines.commands.bench_vectors import FEWEST_KEPT, KeptVectors
from twin_pipelines.generation.context import standing
from twin_pipelines.settings import TwinError, TwinSettings

TEXTS = [f"text number {number}" for number in range(FEWEST_KEPT)]


@pytest.fixture(scope="module")
def given() -> BenchHistory:
    return history(400, 30, 20)


def test_the_history_is_real_and_what_is_asked_is_not_in_it(given: BenchHistory) -> None:
    assert (given.turns.height, given.memories.height) == (200, 200)
    assert given.turns["id"].n_unique() == 200
    assert given.memories["memory_id"].n_unique() == 200
    first = given.turns.group_by("session_id").agg(place=given.turns["place"].min())
    assert first["place"].to_list() == [0] * first.height
    assert given.turns["sent_at"].is_sorted()
    assert len(set(given.questions)) == 30
    assert all(len(question.split()) >= 3 for question in given.questions)
    assert set(given.turns["conversation_id"]).isdisjoint(given.coming["conversation_id"])
    assert given.coming["sent_at"].min() > given.turns["sent_at"].max()  # type: ignore[operator]
    assert not set(given.coming["id"]) & set(given.turns["id"])
    again = history(400, 30, 20)
    assert again.turns.equals(given.turns)
    assert again.questions == given.questions


def test_more_than_the_package_holds_is_refused_in_a_sentence() -> None:
    with pytest.raises(TwinError, match="holds text for"):
        history(5_000_000, 10, 10)


def test_vectors_are_kept_over_processes_and_a_broken_write_is_cut_off(tmp_path: Path) -> None:
    kept = KeptVectors(WordEncoder(), tmp_path)
    made = kept.encode(TEXTS)
    assert kept.made == len(TEXTS)
    for file in tmp_path.glob("*.vectors"):
        file.write_bytes(file.read_bytes() + b"half a row")
    again = KeptVectors(WordEncoder(), tmp_path)
    known = again.encode([*reversed(TEXTS), "a new one"])
    assert again.made == 1
    assert np.allclose(known[:-1][::-1], made, atol=1e-3)
    assert np.allclose(known[-1], WordEncoder().encode(["a new one"])[0], atol=1e-6)
    few = again.encode(TEXTS[:2])  # a question is run through the model, as its time is measured
    assert np.allclose(few, made[:2], atol=1e-6)


def test_a_small_run_measures_everything(
    given: BenchHistory,
    twin_home: TwinSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(build_tiny_model(tmp_path / "tiny"))
    stands = standing(tokenizer, bench_recall.PROMPT, "", [], 0)
    monkeypatch.setattr(bench_recall, "_teller", lambda settings: (tokenizer, stands))
    monkeypatch.setattr(bench_recall, "history", lambda *asked: given)
    monkeypatch.setattr(bench_recall, "WARMING", 5)
    told: list[str] = []
    first = bench_recall.recall(400, told.append)
    assert first["memories"] == 400
    assert 0 < first["p50_ms"] <= first["p95_ms"] <= first["p99_ms"]
    assert first["recall_at_10_vs_exact"] > 0.8
    assert first["beside"]["ingested"] > 0
    assert first["baselines"]["pgvector_without_index"]["p95_ms"] > 0
    assert first["indexed_per_s"] > 0
    assert any("indexing" in words for words in told)
    second = bench_recall.recall(400, told.append)
    assert second["indexed_per_s"] is None
