"""One system of `twin bench training`: `python -m twin_pipelines.commands.bench_racer NAME JOB`.

Reads a word a line and answers with one JSON object a line: `step` does one optimizer step, `loss`
tells the loss of unseen replies and ends the process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl
from trl import SFTConfig, SFTTrainer

from twin_pipelines.commands.bench_training import LEARNING_RATE, OURS, PLAIN, STEPS
from twin_pipelines.generation.local import choose_dtype
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.conversations import IGNORED, Example, make_examples, pad, read_rows
from twin_pipelines.training.fine_tune import Run
from twin_pipelines.training.trainer import ReplyTrainer, reply_loss

UNSEEN_TOKENS = 2_000


def main(name: str, job: Path) -> None:
    """Train as the system `name` does, a step at each word, and tell what was done."""
    config = TrainConfig.load(job)
    run = Run(config, lambda _: None, None)
    run.output = job.parent / name
    unseen = _unseen(config)
    trainer = _ours(run, unseen) if name == OURS else _plain(name, config)
    turns = Turns(trainer)
    if name == OURS:
        turns.at_start = _loss(trainer, unseen)  # the same for all: the adapter adds nothing yet
    trainer.add_callback(turns)
    trainer.train()
    told: dict[str, Any] = {
        "loss": _loss(trainer, unseen),
        "threads": torch.get_num_threads(),
        "dtype": str(choose_dtype(config.dtype)).removeprefix("torch."),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if name == OURS:
        told["loss_at_start"] = turns.at_start
    _say(told)


class Turns(TrainerCallback):
    """Waits for a word before each step, and tells what the step took."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.at_start = 0.0
        self._began = self._cpu = 0.0

    def on_step_begin(
        self,
        args: Any,  # noqa: ARG002
        state: Any,  # noqa: ARG002
        control: TrainerControl,
        **_: Any,
    ) -> None:
        word = sys.stdin.readline().strip()
        if not word:
            sys.exit("nobody asks any more")
        control.should_training_stop = word == "loss"
        self.trainer.idle = word == "loss"
        self.trainer.seen = dict.fromkeys(("tokens", "targets", "pairs"), 0)
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def on_step_end(
        self,
        args: Any,  # noqa: ARG002
        state: Any,  # noqa: ARG002
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        if not self.trainer.idle:
            took = {
                "seconds": time.perf_counter() - self._began,
                "cpu_seconds": time.process_time() - self._cpu,
            }
            _say({**self.trainer.seen, **took})


class CountedPlain(SFTTrainer):
    """TRL's trainer as it is; what it reads is counted."""

    seen: dict[str, int]
    idle = False

    def training_step(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> torch.Tensor:
        """A step, or none when the last word was `loss`."""
        if self.idle:
            return torch.zeros(())
        self.seen["tokens"] += int(inputs["attention_mask"].sum())
        self.seen["targets"] += int((inputs["labels"] != IGNORED).sum())
        self.seen["pairs"] += len(inputs["input_ids"])
        return super().training_step(model, inputs, *rest, **named)


class CountedOurs(ReplyTrainer):
    """Our trainer as it is; what it reads is counted."""

    seen: dict[str, int]
    idle = False

    def training_step(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> torch.Tensor:
        """A step, or none when the last word was `loss`."""
        if self.idle:
            return torch.zeros(())
        for row in inputs["rows"]:
            labels = row["labels"]
            self.seen["tokens"] += len(labels)
            self.seen["targets"] += sum(label != IGNORED for label in labels)
            self.seen["pairs"] += sum(
                label != IGNORED and before == IGNORED for before, label in pairwise(labels)
            )
        return super().training_step(model, inputs, *rest, **named)


def _plain(name: str, config: TrainConfig) -> CountedPlain:
    """TRL's SFTTrainer with its defaults, but for the adapter, the learning rate and the type."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.float32 if name == PLAIN else choose_dtype(config.dtype)
    rows = read_rows(Path(config.dataset) / "train.jsonl")
    asked = [{"prompt": row["prompt"], "completion": row["completion"]} for row in rows]
    return CountedPlain(
        model=AutoModelForCausalLM.from_pretrained(config.base, dtype=dtype),
        args=SFTConfig(
            output_dir=str(Path(config.output) / name),
            max_steps=STEPS,
            learning_rate=LEARNING_RATE,
            bf16=dtype == torch.bfloat16,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=config.seed,
        ),
        train_dataset=Dataset.from_list(asked[:1_500]),
        processing_class=AutoTokenizer.from_pretrained(config.base),
        peft_config=LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )


def _ours(run: Run, unseen: list[Example]) -> ReplyTrainer:
    model = run.load()
    rows = read_rows(Path(run.config.dataset) / "train.jsonl")
    made = make_examples(rows, run.tokenizer, run.config.max_tokens)
    trainer, _ = run.trainer(model, made.rows, unseen, STEPS, None, CountedOurs)
    trainer.args.eval_on_start = False
    return trainer


def _unseen(config: TrainConfig) -> list[Example]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(config.base)
    rows = read_rows(Path(config.dataset) / "validation.jsonl")
    chosen: list[Example] = []
    for row in make_examples(rows, tokenizer, config.max_tokens).rows:
        if sum(len(one.input_ids) for one in chosen) < UNSEEN_TOKENS:
            chosen.append(row)
    return chosen


def _loss(trainer: Any, unseen: list[Example]) -> float:
    """Mean loss of the unseen replies, nats per token, each system in its own arithmetic."""
    model, total, tokens = trainer.model, 0.0, 0
    model.eval()
    with torch.no_grad(), trainer.compute_loss_context_manager():
        for row in unseen:
            given = {"input_ids": row.input_ids, "labels": row.labels}
            if isinstance(trainer, ReplyTrainer):
                inputs = trainer.collate([given])
            else:
                inputs = {name: torch.tensor(lines) for name, lines in pad([given], 0).items()}
            loss, count = reply_loss(model, inputs)
            total, tokens = total + float(loss), tokens + count
    return total / tokens


def _say(told: dict[str, Any]) -> None:
    assert sys.__stdout__
    sys.__stdout__.write(json.dumps(told) + "\n")
    sys.__stdout__.flush()


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.stdout = sys.stderr  # what the trainers print is no answer
    main(sys.argv[1], Path(sys.argv[2]))
