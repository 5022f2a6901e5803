"""What a training run leaves behind while it runs: losses, time spent, whole checkpoints."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.fingerprints import hash_file, read_json, write_json
from twin_pipelines.training.config import ADAPTER, REPORT

COMPLETE = "complete.json"
WEIGHTS = "adapter_model.safetensors"
EFFORT = "effort.json"
BEST = ".best.safetensors"


class Effort:
    """What a training has cost: seconds, tokens read and seconds spent reading them.

    Earlier attempts that were killed count, and so does what they did in vain.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EFFORT
        kept = read_json(self._path)
        self.tokens: int = kept.get("tokens", 0)
        self.stepping_seconds: float = kept.get("stepping_seconds", 0.0)
        self._before: float = kept.get("seconds", 0.0)
        self._began = time.monotonic()

    @property
    def this_attempt(self) -> float:
        return time.monotonic() - self._began

    @property
    def seconds(self) -> float:
        return self._before + self.this_attempt

    def keep(self) -> None:
        """Write it down, so that it counts after a kill."""
        names = ("seconds", "tokens", "stepping_seconds")
        write_json(self._path, {name: getattr(self, name) for name in names})


class Losses:
    """The file of losses: one JSON object a line, `step` and `time` in each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, step: int, values: Mapping[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, "time": time.time(), **values}) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Every whole line; a line cut off by a kill is left out."""
        if not self._path.exists():
            return []
        rows = []
        for line in self._path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return rows

    def forget_after(self, step: int) -> None:
        """Drop what a killed attempt wrote beyond the checkpoint that training resumes from."""
        kept = [json.dumps(row) + "\n" for row in self.read() if row["step"] <= step]
        scratch = self._path.with_suffix(".tmp")
        scratch.write_text("".join(kept))
        scratch.replace(self._path)


class Best:
    """The adapter of the evaluation with the lowest validation loss, in one file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / BEST
        self.step, self.loss = 0, math.inf
        if self._path.exists():
            from safetensors import safe_open

            with safe_open(self._path, "pt") as kept:
                told = kept.metadata()
            self.step, self.loss = int(told["step"]), float(told["loss"])

    def offer(self, step: int, loss: float, model: Any) -> None:
        """Keep the trained parameters of `model` if `loss` is the lowest so far."""
        if not loss < self.loss:
            return
        from safetensors.torch import save_file

        scratch = self._path.with_suffix(".tmp")
        weights = {name: value.detach().contiguous() for name, value in _trained(model)}
        save_file(weights, scratch, {"step": str(step), "loss": repr(loss)})
        scratch.replace(self._path)
        self.step, self.loss = step, loss

    def restore(self, model: Any) -> None:
        """Give the model the parameters that were kept."""
        import torch
        from safetensors.torch import load_file

        kept = load_file(self._path)
        with torch.no_grad():
            for name, value in _trained(model):
                value.copy_(kept[name])

    def forget_after(self, step: int) -> None:
        """Drop what a killed attempt kept beyond the step that training resumes from."""
        if self.step > step:
            self._path.unlink()
            self.step, self.loss = 0, math.inf


def _trained(model: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in model.named_parameters() if value.requires_grad]


def finished_report(folder: Path) -> dict[str, Any] | None:
    """The report of a finished training whose adapter is still as it was written, else None."""
    report = read_json(folder / REPORT)
    weights = folder / ADAPTER / WEIGHTS
    if not report or not weights.is_file() or hash_file(weights) != report["adapter_sha256"]:
        return None
    return report


def mark_complete(checkpoint: Path) -> None:
    """Say that a checkpoint is whole: the names and sizes of its files."""
    write_json(checkpoint / COMPLETE, _sizes(checkpoint))


def is_complete(checkpoint: Path) -> bool:
    """Whether the checkpoint was marked and still holds the files it was marked with."""
    marked = read_json(checkpoint / COMPLETE)
    return bool(marked) and marked == _sizes(checkpoint)


def last_complete(folder: Path) -> Path | None:
    """The newest whole checkpoint (`checkpoint-STEP`); what is newer and not whole is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=checkpoint_step, reverse=True)
    for checkpoint in found:
        if is_complete(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def checkpoint_step(checkpoint: Path) -> int:
    """The step a checkpoint was written at."""
    return int(checkpoint.name.rpartition("-")[2])


def _sizes(folder: Path) -> dict[str, int]:
    return {
        path.name: path.stat().st_size
        for path in sorted(folder.iterdir())
        if path.name != COMPLETE and not path.name.startswith(".")
    }
