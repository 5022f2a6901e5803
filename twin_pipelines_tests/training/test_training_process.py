"""The training process: what it says and how it ends when all is not well."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_pipelines.training import fine_tune as room
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.fine_tune import fine_tune
from twin_pipelines.training.sft import main
from twin_pipelines.training.trainer import AbandonedError

Configure = Callable[..., TrainConfig]


def test_what_the_user_must_mend_is_said_in_one_sentence_and_left_for_the_asset(
    config_of: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(dataset=str(tmp_path / "gone"))
    assert main(["--config", str(config.save(tmp_path / "config.json"))]) == 2
    sentence = json.loads((tmp_path / "failure.json").read_text())["sentence"]
    assert sentence == (
        f"The dataset file {tmp_path}/gone/train.jsonl does not exist; "
        "materialise instruct_dataset again."
    )
    assert capsys.readouterr().err.strip().endswith(sentence)
    assert main(["--config", str(tmp_path / "nowhere.json")]) == 2


def test_an_interrupted_training_ends_quietly(
    config_of: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "fine_tune", interrupted)
    assert main(["--config", str(config_of().save(tmp_path / "config.json"))]) == 130
    assert capsys.readouterr().err.strip().endswith("to resume from its last checkpoint")


def test_a_training_whose_parent_is_gone_stops(config_of: Configure) -> None:
    with pytest.raises(AbandonedError):
        fine_tune(config_of(), lambda _: None, parent=1 if os.getppid() != 1 else 2)
