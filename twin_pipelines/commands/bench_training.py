"""`twin bench training`: our training beside plain TRL, on the same pairs, base and adapter.

Each system trains in a process of its own. They take turns, one optimizer step each, so that what
else the machine does meets all alike; a process that waits does nothing. A token counts when it is
read and is no padding; seconds are those of stepping (forward, backward, optimizer), without
loading, tokenising and waiting. Tokens per second of processor time stand beside them, because
that depends less on what else the machine does. Every system reads the same number of tokens, and
is then asked for the loss of the same unseen replies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin_pipelines.settings import TwinError, TwinSettings, load_settings

SUBJECT_RANK = 3
LEARNING_RATE = 1e-3
STEPS = 1_000  # never reached: the learning rate hardly falls
WARM_UP = 1  # steps of each system that are not counted
PLAIN, OUR_DTYPE, OURS = "trl", "trl_our_dtype", "ours"
SYSTEMS = {
    PLAIN: "SFTTrainer with its defaults: float32, 8 padded pairs, activations computed twice",
    OUR_DTYPE: "the same in our type",
    OURS: "as twin trains",
}


@dataclass
class Contestant:
    """A system's process, and what it has done so far."""

    name: str
    process: subprocess.Popen[str]
    tokens: int = 0
    targets: int = 0
    pairs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    steps: int = 0
    last: dict[str, Any] = field(default_factory=dict)

    def ask(self, word: str) -> dict[str, Any]:
        """Send one word, wait for the answer. Raises TwinError when the process has ended."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.startswith("{"):
                    return json.loads(line)
        except BrokenPipeError:
            pass
        raise TwinError(
            f"The process of {self.name} ended early (exit code {self.process.wait()}); free some "
            "memory and run twin bench training again."
        )

    def step(self) -> None:
        """One optimizer step, counted."""
        done = self.ask("step")
        self.tokens += done["tokens"]
        self.targets += done["targets"]
        self.pairs += done["pairs"]
        self.seconds += done["seconds"]
        self.cpu_seconds += done["cpu_seconds"]
        self.steps += 1


def training(tokens: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Let all systems read `tokens` tokens in turns; returns figures as in docs/training.md.

    `tokens_per_s` is ours, `baseline_tokens_per_s` that of plain TRL, `ratio` the first over the
    second, `ratio_same_dtype` over the same loop in our type.
    """
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        job = _write_job(settings, Path(folder))
        racing = []
        for name in SYSTEMS:
            progress(f"{name}: loading")
            racing.append(_start(name, job, stack))
            for _ in range(WARM_UP):
                racing[-1].ask("step")
        while waiting := [one for one in racing if one.tokens < tokens]:
            for one in waiting:
                one.step()
                progress(f"{one.name}: {one.tokens} of {tokens} tokens")
        for one in racing:
            progress(f"{one.name}: loss of unseen replies")
            one.last = one.ask("loss")
    found = {one.name: _figures(one) for one in racing}
    ours, plain, same = (found[name]["tokens_per_s"] for name in (OURS, PLAIN, OUR_DTYPE))
    return {
        "tokens_per_s": ours,
        "baseline_tokens_per_s": plain,
        "ratio": round(ours / plain, 2),
        "ratio_same_dtype": round(ours / same, 2),
        "ratio_cpu_time": round(
            found[OURS]["tokens_per_cpu_s"] / found[PLAIN]["tokens_per_cpu_s"], 2
        ),
        "ratio_same_dtype_cpu_time": round(
            found[OURS]["tokens_per_cpu_s"] / found[OUR_DTYPE]["tokens_per_cpu_s"], 2
        ),
        "ratio_reply_tokens": round(
            found[OURS]["reply_tokens_per_s"] / found[PLAIN]["reply_tokens_per_s"], 2
        ),
        "tokens_each": tokens,
        "loss_unseen_at_start": round(racing[-1].last["loss_at_start"], 4),
        "threads": racing[-1].last["threads"],
        "dtype": racing[-1].last["dtype"],
        "systems": found,
    }


def _figures(one: Contestant) -> dict[str, Any]:
    return {
        "what": SYSTEMS[one.name],
        "tokens_per_s": round(one.tokens / one.seconds, 1),
        "tokens_per_cpu_s": round(one.tokens / one.cpu_seconds, 1),
        "reply_tokens_per_s": round(one.targets / one.seconds, 1),
        "pairs_per_s": round(one.pairs / one.seconds, 2),
        "tokens": one.tokens,
        "steps": one.steps,
        "seconds": round(one.seconds, 1),
        "loss_unseen": round(one.last["loss"], 4),
        "peak_memory_mb": one.last["peak_memory_mb"],
    }


def _write_job(settings: TwinSettings, folder: Path) -> Path:
    """Dataset, base and configuration for all systems, as one file."""
    from twin_pipelines.foundation.fingerprints import write_json
    from twin_pipelines.foundation.models import resolve_model
    from twin_pipelines.sources import chitchat
    from twin_pipelines.training.config import train_config
    from twin_pipelines.training.control import chats_of, person_rows, write_rows

    person = chitchat.speaker_of_rank(SUBJECT_RANK)
    write_rows(folder / "dataset", person_rows(settings, person, chats_of(person)))
    base = resolve_model(settings.training.base_model, settings, purpose="causal")
    shaped = settings.training.model_copy(
        update={
            "learning_rate": LEARNING_RATE,
            "warmup_share": 0.0,
            "max_steps": STEPS,
            "max_epochs": 1e9,
            "max_minutes": 1e9,
            "save_steps": 2 * STEPS,
            "backend": "trl",
        }
    )
    config = train_config(
        settings.model_copy(update={"home": folder, "training": shaped}),
        dataset_version="bench",
        dataset=folder / "dataset",
        base=(base.reference, base.sha256, base.path),
    )
    write_json(folder / "job.json", vars(config))
    return folder / "job.json"


def _start(name: str, job: Path, stack: ExitStack) -> Contestant:
    process = subprocess.Popen(
        [sys.executable, "-m", "twin_pipelines.commands.bench_racer", name, str(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return Contestant(name, process)
