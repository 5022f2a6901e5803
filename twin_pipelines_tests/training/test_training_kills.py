"""A training killed again and again ends as one that was never disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.progress import Losses

KILLS = 10


def start(config: TrainConfig) -> subprocess.Popen[bytes]:
    path = config.save(Path(config.output) / "config.json")
    return subprocess.Popen(
        [sys.executable, "-m", "twin_pipelines.training.sft", "--config", str(path)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_progress(
    config: TrainConfig, process: subprocess.Popen[bytes], dice: random.Random
) -> None:
    """Until a random moment after training goes on, or while a checkpoint is being written."""
    folder = Path(config.output) / "checkpoints"
    before = len(Losses(Path(config.output) / "losses.jsonl").read())
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        writing = any(
            not (found / "complete.json").exists() for found in folder.glob("checkpoint-*")
        )
        if writing and dice.random() < 0.3:
            return
        if len(Losses(Path(config.output) / "losses.jsonl").read()) != before:
            time.sleep(dice.uniform(0, 0.5))
            return
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_kills_at_random_moments_change_nothing(
    config_of: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    given = {"max_steps": 300, "max_minutes": 60.0, "save_steps": 5, "evaluations": 10}
    whole = config_of(output=str(tmp_path / "whole"), **given)
    assert start(whole).wait() == 0
    killed = config_of(output=str(tmp_path / "killed"), **given)
    dice, kills = random.Random(5), 0
    while kills < KILLS:
        process = start(killed)
        wait_for_progress(killed, process, dice)
        assert process.poll() is None, "it ended before it was killed often enough"
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert start(killed).wait() == 0
    found, expected = (
        {row["step"]: row for row in Losses(Path(one.output) / "losses.jsonl").read()}
        for one in (killed, whole)
    )
    assert found.keys() == expected.keys()
    for step, row in expected.items():
        for name in ("loss", "validation_loss"):
            if name in row:
                assert found[step][name] == pytest.approx(row[name], abs=1e-3), (step, name)
    reports = [read_json(Path(one.output) / "training.json") for one in (killed, whole)]
    assert (
        reports[0]["resumed_at_step"]
        and reports[0]["adapter_sha256"] == reports[1]["adapter_sha256"]
    )
