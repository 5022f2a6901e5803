"""Want of memory or disk, early stopping, other schedules and backends."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from twin_pipelines.settings import TwinError
from twin_pipelines.training import backends, limits, trainer
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.fine_tune import fine_tune
from twin_pipelines.training.progress import Losses, last_complete
from twin_pipelines.training.verify import weights_are_finite

Configure = Callable[..., TrainConfig]


def quiet(_: str) -> None:
    """Progress nobody reads."""


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_want_of_memory_makes_the_step_again_in_smaller_parts(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = fine_tune(config_of(max_steps=5, output=str(tmp_path / "plain")), quiet)
    real = trainer.reply_loss
    errors = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")]

    def hungry(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, int]:
        sequences = int((inputs["position_ids"] * inputs["attention_mask"] == 1).sum())
        if model.training and sequences > 1:
            raise errors.pop()
        return real(model, inputs)

    monkeypatch.setattr(trainer, "reply_loss", hungry)
    said: list[str] = []
    report = fine_tune(config_of(max_steps=5, output=str(tmp_path / "small")), said.append)
    assert not errors
    assert report["sequences_at_a_time"] == 1 and plain["sequences_at_a_time"] == 4
    assert report["loss_last"] == pytest.approx(plain["loss_last"], abs=1e-3)
    assert report["tokens"] == plain["tokens"]
    assert sum("memory ran out" in line and "4 a step as before" in line for line in said) == 2


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    assert not limits.is_out_of_memory(RuntimeError("shapes do not match"))
    assert not limits.is_out_of_memory(ValueError("out of memory"))
    assert not limits.is_disk_full(OSError(errno.EACCES, "denied"))
    assert limits.is_disk_full(RuntimeError("PytorchStreamWriter failed writing file data/3"))


def test_a_disk_too_small_is_said_before_the_start(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 1))
    config = config_of()
    with pytest.raises(TwinError, match=r"needs [\d,]+ bytes there and 1 are free") as caught:
        fine_tune(config, quiet)
    assert config.output in str(caught.value)
    assert not (Path(config.output) / "checkpoints").exists()


def test_a_disk_that_fills_up_leaves_the_checkpoint_before(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trainer.ReplyTrainer._save_optimizer_and_scheduler

    def filling(self: Any, folder: str) -> None:
        if self.state.global_step == 15:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, folder)

    config = config_of(max_steps=20)
    with monkeypatch.context() as full:
        full.setattr(trainer.ReplyTrainer, "_save_optimizer_and_scheduler", filling)
        with pytest.raises(TwinError, match="make room and run it again"):
            fine_tune(config, quiet)
    kept = last_complete(Path(config.output) / "checkpoints")
    assert kept is not None and kept.name == "checkpoint-10"
    report = fine_tune(config, quiet)
    assert report["resumed_at_step"] == 10 and report["steps"] == 20
    assert weights_are_finite(Path(config.output))


def test_training_stops_where_validation_gets_no_better_and_the_best_is_kept(
    config_of: Configure,
) -> None:
    said: list[str] = []
    report = fine_tune(
        config_of(max_steps=60, evaluations=12, patience=2, learning_rate=0.2, schedule="constant"),
        said.append,
    )
    assert report["stopped"] == "no progress" and report["steps"] < 60
    assert report["step_kept"] == report["steps"] - 10
    output = Path(config_of().output)
    measured = [
        row["validation_loss"]
        for row in Losses(output / "losses.jsonl").read()
        if "validation_loss" in row and row["step"]
    ]
    assert report["validation_loss_end"] == min(measured) == measured[-3]
    assert not (output / ".best.safetensors").exists()
    assert any("is the lowest" in line for line in said)


def test_schedules_fall_as_they_are_called(config_of: Configure) -> None:
    left = [1.0, 0.75, 0.5, 0.25, 0.0]
    assert [trainer.FALL["linear"](one) for one in left] == left
    assert [trainer.FALL["constant"](one) for one in left] == [1.0] * 5
    cosine = [(1 - math.cos(math.pi * one)) / 2 for one in left]
    assert [trainer.FALL["cosine"](one) for one in left] == pytest.approx(cosine)
    config = config_of(max_steps=5, schedule="cosine", warmup_share=0.0)
    fine_tune(config, quiet)
    rows = Losses(Path(config.output) / "losses.jsonl").read()
    rates = [row["learning_rate"] for row in rows if "learning_rate" in row]
    assert rates == pytest.approx([config.learning_rate * (1 - math.cos(math.pi / 5)) / 2])


@pytest.mark.parametrize(
    "given", [{"use_rslora": True}, {"use_dora": True}, {"packing": False}, {"lora_dropout": 0.1}]
)
def test_every_variant_learns(config_of: Configure, given: dict[str, Any]) -> None:
    report = fine_tune(config_of(max_steps=10, **given), quiet)
    assert report["packed"] == given.get("packing", True)
    assert report["validation_loss_end"] < report["validation_loss_start"]


def test_a_backend_that_cannot_be_had_is_one_sentence(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    with pytest.raises(TwinError, match=r"not installed; run .*--no-deps unsloth"):
        backends.prepare(config_of(backend="unsloth"))
    with pytest.raises(TwinError, match="load_in_4bit needs a GPU and Unsloth"):
        backends.prepare(config_of(load_in_4bit=True))
    assert backends.prepare(config_of()) == "trl"
