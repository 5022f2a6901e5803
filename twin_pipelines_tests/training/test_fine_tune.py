"""Real trainings of the tiny model: what is learnt, when they stop, what they leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from dataset_rows import SYSTEM, made_session, write_rows

from twin_pipelines.foundation.fingerprints import hash_file
from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.local import generate_replies, load_model, score_replies
from twin_pipelines.generation.prompt import chat_messages
from twin_pipelines.settings import TwinError
from twin_pipelines.training import fine_tune as room
from twin_pipelines.training import sft, trainer
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.fine_tune import fine_tune
from twin_pipelines.training.progress import Losses, finished_report
from twin_pipelines.training.verify import (
    infinite_losses,
    logit_change,
    shared_pairs,
    weights_are_finite,
)

Configure = Callable[..., TrainConfig]


def quiet(_: str) -> None:
    """Progress nobody reads."""


@pytest.fixture(scope="module")
def learnt(
    tmp_path_factory: pytest.TempPathFactory, tiny_base: Path
) -> tuple[TrainConfig, dict[str, Any], list[str]]:
    """A whole training on replies that are always the same."""
    folder = tmp_path_factory.mktemp("learnt")
    for split in ("train", "validation", "test"):
        rows = [
            row for name in range(6) for row in made_session(f"{split}{name}", ["haha lovely"] * 5)
        ]
        write_rows(folder / f"{split}.jsonl", rows)
    config = TrainConfig(
        **{
            **json.loads(_DEFAULTS),
            "dataset": str(folder),
            "base": str(tiny_base),
            "base_reference": "package:tiny",
            "output": str(folder / "adapter"),
        }
    )
    said: list[str] = []
    return config, fine_tune(config, said.append), said


_DEFAULTS = json.dumps(
    {
        "adapter_id": "0123456789ab",
        "dataset_version": "feed",
        "base_sha256": "0" * 64,
        "max_steps": 60,
        "max_epochs": 100.0,
        "max_minutes": 5.0,
        "batch_size": 4,
        "gradient_accumulation": 1,
        "learning_rate": 2e-2,
        "warmup_share": 0.05,
        "lora_rank": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "max_tokens": 128,
        "save_steps": 20,
        "dtype": "float32",
        "seed": 7,
    }
)


def test_the_twin_says_what_the_subject_always_says_and_then_stops(
    learnt: tuple[TrainConfig, dict[str, Any], list[str]],
) -> None:
    config, report, _ = learnt
    base = ResolvedModel("tiny", Path(config.base), "")
    adapter = Path(config.output) / "adapter"
    conversation = chat_messages(SYSTEM, [], "hello how are you")
    twin = load_model(base, adapter, dtype="float32")
    replies = generate_replies(*twin, [conversation], temperature=0, max_new_tokens=30)
    assert replies == ["haha lovely"]
    untuned = load_model(base, dtype="float32")
    gain = [score_replies(*model, [conversation], ["haha lovely"])[0] for model in (untuned, twin)]
    assert gain[1].log_prob > gain[0].log_prob + 5
    assert report["validation_perplexity_ratio"] < 0.2


def test_a_training_leaves_an_adapter_a_report_and_losses_and_nothing_else(
    learnt: tuple[TrainConfig, dict[str, Any], list[str]],
) -> None:
    config, report, said = learnt
    output = Path(config.output)
    kept = {path.name for path in output.iterdir()}
    assert kept == {"adapter", "training.json", "losses.jsonl", ".lock"}
    assert finished_report(output) == json.loads((output / "training.json").read_text())
    assert report["steps"] == 60 and report["stopped"] == "steps"
    assert report["dataset_sha256"] == hash_file(Path(config.dataset) / "train.jsonl")
    assert report["pairs"] == 30 and report["tokens_per_second"] > 0
    assert report["hardware"]["dtype"] == "float32"
    described = json.loads((output / "adapter" / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == "package:tiny"
    adapted = {name.rpartition(".")[2] for name in described["target_modules"]}
    assert adapted == {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    rows = Losses(output / "losses.jsonl").read()
    assert [row["step"] for row in rows if "validation_loss" in row] == [0, 30, 60]
    assert [row["step"] for row in rows if "loss" in row] == list(range(5, 61, 5))
    assert said[0].startswith("training begins: 30 pairs in ")
    assert sum(line.startswith("step ") and "min left" in line for line in said) == 6


def test_a_finished_training_is_not_done_again(
    learnt: tuple[TrainConfig, dict[str, Any], list[str]],
) -> None:
    config, report, _ = learnt
    said: list[str] = []
    again = fine_tune(config, said.append)
    assert again["seconds"] == report["seconds"]
    assert said == ["this adapter is trained already"]


def test_the_adapter_is_verified_against_its_base(
    learnt: tuple[TrainConfig, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    config, _, _ = learnt
    output = Path(config.output)
    assert logit_change(Path(config.base), output) > 0.1
    assert weights_are_finite(output)
    assert shared_pairs(Path(config.dataset)) == 0
    assert infinite_losses(Losses(output / "losses.jsonl").read()) == []
    assert infinite_losses([{"step": 5, "loss": float("nan")}, {"step": 6, "loss": 1.0}]) == [5]
    with pytest.raises(TwinError, match="does not load on the base"):
        logit_change(tmp_path, output)


def test_the_same_seed_gives_the_same_losses(config_of: Configure, tmp_path: Path) -> None:
    reports = [
        fine_tune(config_of(max_steps=6, output=str(tmp_path / name)), quiet) for name in "ab"
    ]
    assert reports[0]["loss_last"] == reports[1]["loss_last"]
    other = fine_tune(config_of(max_steps=6, seed=8, output=str(tmp_path / "c")), quiet)
    assert other["loss_last"] != reports[0]["loss_last"]


def test_a_short_history_is_not_learnt_by_heart(config_of: Configure) -> None:
    report = fine_tune(config_of(max_epochs=1.0, max_steps=1_000), quiet)
    assert report["steps"] == report["steps_planned"] < 10
    assert 1.0 <= report["epochs"] < 1.5


def test_time_runs_out_and_a_usable_adapter_is_left(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(
        max_steps=100_000, max_epochs=1e9, max_minutes=10 / 60, save_steps=1_000, warmup_share=0.0
    )
    monkeypatch.setattr(room, "LOG_STEPS", 1)
    report = fine_tune(config, quiet)
    assert report["stopped"] == "time"
    assert 0 < report["steps"] < 100_000
    rates = [
        row["learning_rate"]
        for row in Losses(Path(config.output) / "losses.jsonl").read()
        if "learning_rate" in row
    ]
    assert rates[-1] < 0.5 * max(rates)  # it cools down towards the end of the time, too
    assert logit_change(Path(config.base), Path(config.output)) > 1e-3


def test_time_spent_before_a_kill_is_time_spent(config_of: Configure) -> None:
    config = config_of(max_minutes=10.0)
    Path(config.output).mkdir(parents=True)
    (Path(config.output) / "effort.json").write_text('{"seconds": 700.0}')
    report = fine_tune(config, quiet)
    assert report["stopped"] == "time" and report["steps"] == 1
    assert report["seconds"] > 700


def _infinite_from(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From that training step on, the loss is not a number."""
    real, calls = trainer.reply_loss, 0

    def broken(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, int]:
        nonlocal calls
        loss, count = real(model, inputs)
        calls += model.training
        return (loss * float("nan") if model.training and calls >= step else loss), count

    monkeypatch.setattr(trainer, "reply_loss", broken)


def test_a_loss_that_is_no_number_stops_training_and_the_last_good_adapter_is_kept(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    _infinite_from(18, monkeypatch)
    config, said = config_of(max_steps=40), []
    report = fine_tune(config, said.append)
    assert report["stopped"] == "nan" and report["steps"] == 15
    assert any("the adapter of step 15 is kept" in line for line in said)
    assert weights_are_finite(Path(config.output))
    rows = Losses(Path(config.output) / "losses.jsonl").read()
    assert max(row["step"] for row in rows) == 15
    assert report["validation_loss_end"] < report["validation_loss_start"]


def test_a_loss_that_is_no_number_before_any_checkpoint_is_one_sentence(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    _infinite_from(3, monkeypatch)
    with pytest.raises(TwinError, match=r"at step 3, before the first checkpoint; lower training"):
        fine_tune(config_of(), quiet)


def test_bfloat16_keeps_the_adapter_in_float32(config_of: Configure) -> None:
    from safetensors.torch import load_file

    config = config_of(dtype="bfloat16", max_steps=10)
    report = fine_tune(config, quiet)
    assert report["hardware"]["dtype"] == "bfloat16"
    assert report["validation_loss_end"] < report["validation_loss_start"]
    weights = load_file(Path(config.output) / "adapter" / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


def test_accumulated_batches_see_the_same_rows_as_one_large_batch(
    config_of: Configure, tmp_path: Path
) -> None:
    whole = fine_tune(config_of(max_steps=6, output=str(tmp_path / "whole")), quiet)
    parts = fine_tune(
        config_of(
            max_steps=6, batch_size=2, gradient_accumulation=2, output=str(tmp_path / "parts")
        ),
        quiet,
    )
    assert parts["epochs"] == whole["epochs"]
    assert parts["loss_last"] == pytest.approx(whole["loss_last"], abs=0.3)


def test_pairs_that_all_exceed_the_limit_are_one_sentence(config_of: Configure) -> None:
    with pytest.raises(TwinError, match=r"None of the 72 pairs fits into training.max_tokens"):
        fine_tune(config_of(max_tokens=10), quiet)


def test_a_base_that_is_not_there_is_one_sentence(config_of: Configure, tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"The base model in .* cannot be loaded"):
        fine_tune(config_of(base=str(tmp_path / "nowhere")), quiet)


def test_two_trainings_of_one_adapter_do_not_meet(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    monkeypatch.setattr(room, "LOCK_SECONDS", 0.1)
    config = config_of()
    Path(config.output).mkdir(parents=True)
    with (
        FileLock(Path(config.output) / ".lock"),
        pytest.raises(TwinError, match="Another process is training"),
    ):
        fine_tune(config, quiet)


def test_want_of_memory_is_one_sentence_and_other_errors_are_not_hidden(
    config_of: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = config_of().save(tmp_path / "config.json")

    def fail_with(words: str) -> None:
        def failing(*_: Any) -> None:
            raise RuntimeError(words)

        monkeypatch.setattr(room, "fine_tune", failing)

    fail_with("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")
    assert sft.main(["--config", str(config)]) == 2
    sentence = json.loads((tmp_path / "failure.json").read_text())["sentence"]
    assert sentence.startswith("Training ran out of memory even with one sequence at a time")
    fail_with("shapes do not match")
    with pytest.raises(RuntimeError, match="shapes"):
        sft.main(["--config", str(config)])
