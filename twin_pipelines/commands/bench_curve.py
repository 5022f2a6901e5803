"""`twin bench curve`: what more data and more steps bring, on the validation split alone.

Every point is a training of its own that cools down at its last step, as the real one does; a point
of fewer pairs has the latest sessions of the train split, as a shorter history would.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.instruct.store import latest_dataset
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training.config import REPORT, TrainConfig, train_config


def curve(
    settings: TwinSettings, steps: Sequence[int], shares: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """One row a training: steps with all pairs, then shares of the pairs with the most steps.

    Rows have `steps, share, pairs, epochs, seconds, validation_loss, perplexity_ratio` (twin / base
    on validation replies). Raises TwinError without a dataset, or when a training fails.
    """
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        dataset = latest_dataset(connection)
    if dataset is None:
        raise TwinError("There is no dataset to learn from; materialise instruct_dataset first.")
    base = resolve_model(settings.training.base_model, settings, purpose="causal")
    whole = train_config(
        settings,
        dataset_version=dataset.version,
        dataset=settings.home / dataset.path,
        base=(settings.training.base_model, base.sha256, base.path),
    )
    points = [(number, 1.0) for number in sorted(steps)]
    points += [(max(steps), share) for share in sorted(shares) if share < 1]
    for number, share in points:
        with tempfile.TemporaryDirectory() as scratch:
            yield _point(replace(whole, max_steps=number), share, Path(scratch))


def _point(config: TrainConfig, share: float, scratch: Path) -> dict[str, Any]:
    folder = scratch / "dataset"
    folder.mkdir()
    original = Path(config.dataset)
    (folder / "validation.jsonl").write_bytes((original / "validation.jsonl").read_bytes())
    lines = (original / "train.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "train.jsonl").write_bytes(b"".join(_latest_sessions(lines, share)))
    file = replace(config, dataset=str(folder), output=str(scratch / "adapter")).save(
        scratch / "config.json"
    )
    command = [sys.executable, "-m", "twin_pipelines.training.sft", "--config", str(file)]
    if subprocess.run(command, check=False).returncode:
        raise TwinError("A training of the curve failed; its words stand above.")
    report = read_json(scratch / "adapter" / REPORT)
    return {
        "steps": report["steps"],
        "share": share,
        "pairs": report["pairs"],
        "epochs": round(report["epochs"], 2),
        "seconds": report["seconds"],
        "validation_loss": round(report["validation_loss_end"], 4),
        "perplexity_ratio": round(
            math.exp(report["validation_loss_end"] - report["validation_loss_start"]), 4
        ),
    }


def _latest_sessions(lines: Sequence[bytes], share: float) -> list[bytes]:
    """The lines of the latest sessions that together hold at least `share` of all pairs."""
    rows = [json.loads(line) for line in lines]
    latest: dict[str, str] = {}
    for row in rows:
        session = row["session_id"]
        latest[session] = max(latest.get(session, ""), row["replied_at"])
    wanted, kept = share * len(rows), set[str]()
    count = 0
    for session in sorted(latest, key=lambda name: latest[name], reverse=True):
        if count >= wanted:
            break
        kept.add(session)
        count += sum(row["session_id"] == session for row in rows)
    return [line for line, row in zip(lines, rows, strict=True) if row["session_id"] in kept]
