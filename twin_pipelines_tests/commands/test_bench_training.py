"""`twin bench training`: every system reads as much, in turns, and is told apart in the figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import build_tiny_model

from twin_pipelines.commands.bench_training import OURS, SYSTEMS, training
from twin_pipelines.settings import load_settings


@pytest.mark.slow
def test_all_systems_read_the_same_number_of_tokens_and_end_at_a_like_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TWIN_TRAINING__BASE_MODEL", str(build_tiny_model(tmp_path / "base")))
    load_settings.cache_clear()
    said: list[str] = []
    figures = training(3_000, said.append)
    load_settings.cache_clear()
    assert figures["systems"].keys() == SYSTEMS.keys()
    assert figures["tokens_per_s"] == figures["systems"][OURS]["tokens_per_s"] > 0
    assert figures["ratio"] > 0 and figures["tokens_each"] == 3_000
    for found in figures["systems"].values():
        assert found["tokens"] >= 3_000 and found["steps"] and found["pairs_per_s"] > 0
        assert found["loss_unseen"] < figures["loss_unseen_at_start"]
    assert any(line.startswith("ours: loss") for line in said)
