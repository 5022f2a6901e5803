"""Preference training (DPO) of the tiny model: what it changes, what it may not, and kills."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dataset_rows import SYSTEM

from twin_pipelines.foundation.fingerprints import hash_file, read_json, write_json
from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.local import load_model, score_replies
from twin_pipelines.generation.prompt import chat_messages, end_of_turn
from twin_pipelines.settings import Training, TwinError, TwinSettings
from twin_pipelines.training import preferences
from twin_pipelines.training.config import TrainConfig, train_config
from twin_pipelines.training.fine_tune import fine_tune
from twin_pipelines.training.preferences import finished, make_choices, prefer, settle
from twin_pipelines.training.progress import finished_report

Configure = Callable[..., TrainConfig]
REJECTED = "i am a helpful assistant"


def quiet(_: str) -> None:
    """Progress nobody reads."""


def _preference(number: int, kind: str = "base") -> dict[str, Any]:
    said = ["how was your day", "tell me more", "what about the sea", "are you tired"][number % 4]
    context = [{"role": "user", "content": f"hello {number}"}, _said("good day")]
    return {
        "prompt": chat_messages(SYSTEM, context, said),
        "chosen": [_said(f"haha {['good', 'lovely', 'tired'][number % 3]} day")],
        "rejected": [_said(REJECTED)],
        "kind": kind,
        "id": str(number),
    }


def _said(words: str) -> dict[str, str]:
    return {"role": "assistant", "content": words}


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "preferences.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def taught(
    tmp_path_factory: pytest.TempPathFactory, tiny_base: Path
) -> tuple[Path, dict[str, Any]]:
    """A folder whose `adapter` has learnt replies, and whose `dataset` has preferences too."""
    from dataset_rows import made_session, write_rows

    folder = tmp_path_factory.mktemp("taught")
    dataset = folder / "dataset"
    dataset.mkdir()
    for split in ("train", "validation"):
        rows = [
            row
            for name in range(6)
            for row in made_session(f"{split}{name}", [f"haha {w} day" for w in ("good", "lovely")])
        ]
        write_rows(dataset / f"{split}.jsonl", rows)
    _write(dataset, [_preference(number) for number in range(48)])
    return folder, {"dataset": str(dataset), "base": str(tiny_base)}


@pytest.fixture
def stage(taught: tuple[Path, dict[str, Any]], tmp_path: Path, config_of: Configure) -> TrainConfig:
    """A configuration whose first stage is done."""
    folder, given = taught
    config = config_of(**given, output=str(folder / "trained"), max_steps=25, dpo_steps=8)
    fine_tune(replace(config, dpo_steps=0), quiet)
    shutil.copytree(folder / "trained", tmp_path / "copy")
    shutil.copytree(folder / "dataset", tmp_path / "data")
    return replace(config, output=str(tmp_path / "copy"), dataset=str(tmp_path / "data"))


def _gap(config: TrainConfig) -> float:
    """How much likelier the real reply is than the rejected one, per token, nats."""
    base = ResolvedModel("tiny", Path(config.base), "")
    twin = load_model(base, Path(config.output) / "adapter", dtype="float32")
    talk = [chat_messages(SYSTEM, [], "how was your day")] * 2
    real, rejected = score_replies(*twin, talk, ["haha good day", REJECTED])
    return real.log_prob / real.tokens - rejected.log_prob / rejected.tokens


def test_the_rejected_reply_becomes_less_likely_and_the_real_ones_no_less(
    stage: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, said = _gap(stage), []
    assert finished(stage) is None
    report = prefer(stage, said.append)
    assert report == finished(stage) == read_json(Path(stage.output) / "training.json")
    told = report["preferences"]
    assert told["kept"] and told["stopped"] == "steps" and told["steps"] == 8
    assert told["held_out_accuracy"] > 0.9 and told["held_out_reward_margin"] > 0
    assert told["validation_loss_after"] <= told["validation_loss_before"] + 0.01
    assert _gap(stage) > before
    assert any("the loss of real replies changed by" in line for line in said)
    kept = {path.name for path in Path(stage.output).iterdir()}
    assert kept == {"adapter", "training.json", "losses.jsonl", ".lock"}
    described = read_json(Path(stage.output) / "adapter" / "adapter_config.json")
    assert described["base_model_name_or_path"] == stage.base_reference
    monkeypatch.setattr(preferences, "_Stage", None)  # what is done is not done again
    assert prefer(stage, quiet) == report == fine_tune(stage, quiet)


def test_the_training_process_runs_both_stages(stage: TrainConfig, tmp_path: Path) -> None:
    from twin_pipelines.training import sft

    path = str(replace(stage, dpo_steps=2).save(tmp_path / "config.json"))
    assert sft.main(["--config", path]) == 0
    report = finished(stage)
    assert report and report["preferences"]["steps"] == 2
    (Path(stage.dataset) / "preferences.jsonl").unlink()
    assert sft.main(["--config", path]) == 0  # what is done needs its pairs no more


@pytest.mark.slow
def test_a_process_killed_amid_the_stage_leaves_the_old_adapter_and_is_run_anew(
    stage: TrainConfig, tmp_path: Path
) -> None:
    output = Path(stage.output)
    before = finished_report(output)
    _write(Path(stage.dataset), [_preference(number) for number in range(800)])
    path = replace(stage, dpo_steps=150).save(tmp_path / "config.json")
    command = [sys.executable, "-m", "twin_pipelines.training.sft", "--config", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "preferences: step 10/" in line:
            process.kill()
            break
    assert process.wait() < 0
    assert finished_report(output) == before and finished(stage) is None
    report = prefer(stage, quiet)
    assert report["preferences"]["kept"] and finished(stage) == report
    assert not (output / ".dpo").exists()


def test_in_bfloat16_the_adapter_stays_in_float32(stage: TrainConfig) -> None:
    from safetensors.torch import load_file

    told = prefer(replace(stage, dtype="bfloat16", dpo_steps=3), quiet)["preferences"]
    assert told["stopped"] == "steps" and told["held_out_accuracy"] > 0.5
    weights = load_file(Path(stage.output) / "adapter" / "adapter_model.safetensors")
    assert {str(weight.dtype) for weight in weights.values()} == {"torch.float32"}


def test_an_adapter_that_makes_real_replies_less_likely_is_dropped(
    stage: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences, "LARGEST_LOSS_RISE", -10.0)
    weights = Path(stage.output) / "adapter" / "adapter_model.safetensors"
    before = hash_file(weights)
    report = prefer(stage, quiet)
    assert not report["preferences"]["kept"]
    assert report["preferences"]["words"].startswith("preferences dropped: the adapter stays")
    assert hash_file(weights) == before == report["adapter_sha256"]
    assert finished(stage) == report


def test_a_loss_that_is_no_number_leaves_the_adapter_as_it_was(
    stage: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from twin_pipelines.training import dpo

    monkeypatch.setattr(dpo, "BETA", float("nan"))
    before = hash_file(Path(stage.output) / "adapter" / "adapter_model.safetensors")
    report = prefer(stage, quiet)
    assert report["preferences"]["stopped"] == "nan" and not report["preferences"]["kept"]
    assert report["adapter_sha256"] == before


def test_time_that_runs_out_ends_the_stage_with_a_whole_adapter(stage: TrainConfig) -> None:
    report = prefer(replace(stage, max_minutes=1e-6), quiet)
    assert report["preferences"]["stopped"] == "time" and report["preferences"]["steps"] == 1
    assert finished_report(Path(stage.output)) == report


@pytest.mark.parametrize("moment", ["report written", "old away", "new in place"])
def test_a_kill_while_the_new_adapter_is_put_into_place_is_made_good(
    stage: TrainConfig, moment: str
) -> None:
    output = Path(stage.output)
    shutil.copytree(output / "adapter", output / ".adapter.preferred")
    report = {**read_json(output / "training.json"), "preferences": {"kept": True}}
    write_json(output / "training.next.json", report)
    if moment != "report written":
        (output / "adapter").rename(output / ".adapter.before")
    if moment == "new in place":
        (output / ".adapter.preferred").rename(output / "adapter")
    settle(output)
    assert finished_report(output) == report == finished(stage)
    assert not [
        path for path in output.iterdir() if path.name.startswith((".adapter", "training.n"))
    ]


def test_a_kill_before_that_leaves_the_old_adapter(stage: TrainConfig) -> None:
    output = Path(stage.output)
    (output / ".adapter.preferred").mkdir()
    settle(output)
    assert finished_report(output) and not (output / ".adapter.preferred").exists()


def test_a_stage_whose_parent_is_gone_stops_and_changes_nothing(stage: TrainConfig) -> None:
    from twin_pipelines.training.trainer import AbandonedError

    before = finished_report(Path(stage.output))
    with pytest.raises(AbandonedError):
        prefer(stage, quiet, parent=-1)
    assert finished_report(Path(stage.output)) == before


def test_what_is_missing_is_one_sentence(stage: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"There is no trained adapter in .*; train it first"):
        prefer(replace(stage, output=str(tmp_path / "new")), quiet)
    with pytest.raises(TwinError, match=r"No preference pair of .* fits into training\.max_tokens"):
        prefer(replace(stage, max_tokens=32), quiet)
    (Path(stage.dataset) / "preferences.jsonl").unlink()
    with pytest.raises(TwinError, match=r"preferences\.jsonl is missing"):
        prefer(stage, quiet)


def test_a_new_correction_makes_another_adapter_and_the_stage_is_off_by_default(
    tmp_path: Path,
) -> None:
    def identity(steps: int) -> str:
        settings = TwinSettings(home=tmp_path, training=Training(dpo_steps=steps))
        base = ("tiny", "0" * 64, tmp_path)
        return train_config(
            settings, dataset_version="feed", dataset=tmp_path, base=base
        ).adapter_id

    off, before = identity(0), identity(8)
    _write(tmp_path, [_preference(1)])
    first = identity(8)
    _write(tmp_path, [_preference(1, "correction")])
    assert len({off, before, first, identity(8)}) == 4
    assert identity(0) == off and Training().dpo_steps == 0


def test_corrections_come_first_and_contexts_are_cut_to_fit() -> None:
    from tiny_model import build_tiny_tokenizer

    tokenizer = build_tiny_tokenizer()
    rows = [_preference(n, "correction" if n > 17 else "style") for n in range(20)]
    same = {**_preference(1), "rejected": _preference(1)["chosen"]}
    choices = make_choices([*rows, same], tokenizer, 60, seed=3)
    assert [one.kind for one in choices[:3]] == ["correction", "correction", "style"]
    assert len(choices) == 20  # a pair whose replies are the same teaches nothing
    ends = tokenizer.convert_tokens_to_ids(end_of_turn(tokenizer))
    for one in choices:
        assert len(one.prompt_ids) + max(len(one.chosen_ids), len(one.rejected_ids)) <= 60
        assert one.chosen_ids[-1] == one.rejected_ids[-1] == ends
    with pytest.raises(TwinError, match="is damaged"):
        make_choices([{"kind": "base"}], tokenizer, 60, seed=3)
