"""The training itself: a LoRA adapter on every linear projection of the base model.

Loss on the subject's replies only, checkpoints that a killed run resumes from, and a folder that
holds either nothing finished or a whole adapter with its report. Runs in the training process.
"""

from __future__ import annotations

import math
import platform
import random
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from filelock import FileLock, Timeout
from trl import SFTConfig

from twin_pipelines.foundation.fingerprints import hash_file, write_json
from twin_pipelines.generation.local import choose_dtype
from twin_pipelines.settings import TwinError
from twin_pipelines.training import backends
from twin_pipelines.training.config import (
    ADAPTER,
    CHECKPOINTS,
    CODE_VERSION,
    LOSSES,
    REPORT,
    TrainConfig,
)
from twin_pipelines.training.conversations import (
    Example,
    Examples,
    batches,
    make_examples,
    read_rows,
)
from twin_pipelines.training.footprint import LARGE_MODEL
from twin_pipelines.training.limits import bytes_to_write, room_on_disk
from twin_pipelines.training.progress import (
    BEST,
    EFFORT,
    WEIGHTS,
    Best,
    Effort,
    Losses,
    checkpoint_step,
    finished_report,
    last_complete,
)
from twin_pipelines.training.trainer import Course, NotANumberError, Plan, ReplyTrainer

LOCK_SECONDS = 60
LOG_STEPS = 5  # a logged loss is their mean, so checkpoints fall on multiples of them
LONGEST_WARMUP = 100  # steps
VALIDATION_TOKENS = 8_192


def fine_tune(
    config: TrainConfig, say: Callable[[str], None], parent: int | None = None
) -> dict[str, Any]:
    """Train, or resume a killed training, and return the report that `training.json` holds.

    A finished training is returned as it is. `say` is told of progress; when `parent` (a process
    id) ceases to be this process's parent, training ends with AbandonedError. Raises TwinError
    where the user can mend it.
    """
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output / ".lock", timeout=LOCK_SECONDS):
            done = finished_report(output)
            if done:
                say("this adapter is trained already")
                return done
            return Run(config, say, parent).execute()
    except Timeout as error:
        raise TwinError(
            f"Another process is training in {output}; wait for it, or stop it."
        ) from error


class Run:
    """One attempt at a training."""

    def __init__(self, config: TrainConfig, say: Callable[[str], None], parent: int | None) -> None:
        self.config = config
        self.say = say
        self.parent = parent
        self.output = Path(config.output)
        self.effort = Effort(self.output)
        self.losses = Losses(self.output / LOSSES)
        self.best = Best(self.output)
        self.budget = config.max_minutes * 60
        self.cuda = torch.cuda.is_available()
        self.dtype = choose_dtype(config.dtype)
        self.backend = backends.prepare(config)

    def execute(self) -> dict[str, Any]:
        """Train from where the folder stands to its end; see `fine_tune`."""
        config, dataset = self.config, Path(self.config.dataset)
        train_rows = read_rows(dataset / "train.jsonl")
        validation_rows = read_rows(dataset / "validation.jsonl")
        dataset_sha256 = hash_file(dataset / "train.jsonl")
        model = self.load()
        made = make_examples(train_rows, self.tokenizer, config.max_tokens)
        if not made.rows:
            raise TwinError(
                f"None of the {made.too_long} pairs fits into training.max_tokens "
                f"({config.max_tokens}); raise it."
            )
        held_out = make_examples(validation_rows, self.tokenizer, config.max_tokens).rows
        validation = _bounded(held_out or made.rows[:1], config.seed)
        trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
        with room_on_disk(self.output, bytes_to_write(trained)):
            report = self._learn(model, made, validation)
            report |= {
                "dataset_sha256": dataset_sha256,
                "pairs": made.pairs,
                "pairs_too_long": made.too_long,
                "sequences": len(made.rows),
                "validation_tokens": sum(row.targets for row in validation),
            }
            self._finish(model, report)
        return report

    def load(self) -> Any:
        """The base with a fresh adapter; `tokenizer` and `packed` are then known."""
        model, self.tokenizer, self.packed = backends.load(self.config, self.backend)
        return model

    def _learn(self, model: Any, made: Examples, validation: list[Example]) -> dict[str, Any]:
        steps = self._steps(len(made.rows))
        checkpoint = last_complete(self.output / CHECKPOINTS)
        resumed = checkpoint_step(checkpoint) if checkpoint else None
        self.losses.forget_after(-1 if resumed is None else resumed)
        self.best.forget_after(resumed or 0)
        self.say(self._opening(made.pairs, len(made.rows), steps, resumed))
        trainer, course = self.trainer(model, made.rows, validation, steps, resumed)
        stopped = "steps"
        try:
            if resumed and course.stalled():
                trainer.state.global_step, course.no_progress = resumed, resumed < steps
            else:
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            if course.out_of_time or course.no_progress:
                stopped = "time" if course.out_of_time else "no progress"
        except NotANumberError:
            stopped = "nan"
            self._restore_last_good(trainer)
        if not any(
            "validation_loss" in row and row["step"] == trainer.state.global_step
            for row in self.losses.read()
        ):
            trainer.evaluate()
        kept = self._restore_best(trainer)
        report = self._report(trainer, steps, resumed, stopped, kept)
        return report | {"epochs": self._rows_read(trainer) / len(made.rows)}

    def _restore_best(self, trainer: ReplyTrainer) -> int:
        """Go back to the adapter with the lowest validation loss; returns its step."""
        last = trainer.state.global_step
        if not self.best.step or self.best.step == last:
            return last
        self.best.restore(trainer.model)
        self.say(
            f"the adapter of step {self.best.step} is kept: its validation loss of "
            f"{self.best.loss:.3f} is the lowest"
        )
        return self.best.step

    def _steps(self, sequences: int) -> int:
        config = self.config
        per_step = self._batch_size(sequences) * config.gradient_accumulation
        return max(1, min(config.max_steps, math.ceil(config.max_epochs * sequences / per_step)))

    def _batch_size(self, sequences: int) -> int:
        return min(self.config.batch_size, sequences)

    def trainer(  # noqa: PLR0917
        self,
        model: Any,
        rows: list[Example],
        validation: list[Example],
        steps: int,
        resumed: int | None,
        kind: type[ReplyTrainer] = ReplyTrainer,
    ) -> tuple[ReplyTrainer, Course]:
        """A trainer of that many steps over the rows, and the callback that ends it in time."""
        config = self.config
        size = self._batch_size(len(rows))
        order = batches(
            [len(row.input_ids) for row in rows],
            size,
            steps * config.gradient_accumulation,
            config.seed,
        )
        plan = Plan(self.packed, size, config.schedule, config.patience, self.budget)
        course = Course(self.losses, self.effort, plan, self.say, self.parent)
        trainer = kind(
            model=model,
            args=self._arguments(model, size, steps, resumed),
            train_dataset=_as_dataset(rows).select([row for batch in order for row in batch]),
            eval_dataset=_as_dataset(validation),
            processing_class=self.tokenizer,
            callbacks=[course],
            validation=validation,
            plan=plan,
            effort=self.effort,
            best=self.best,
            say=self.say,
        )
        return trainer, course

    def _arguments(self, model: Any, size: int, steps: int, resumed: int | None) -> SFTConfig:
        config = self.config
        return SFTConfig(
            output_dir=str(self.output / CHECKPOINTS),
            max_steps=steps,
            per_device_train_batch_size=size * config.gradient_accumulation,
            train_sampling_strategy="sequential",
            learning_rate=config.learning_rate,
            warmup_steps=min(round(config.warmup_share * steps), LONGEST_WARMUP),
            weight_decay=0.0,
            max_grad_norm=1.0,
            bf16=self.dtype == torch.bfloat16,
            use_cpu=not self.cuda,
            gradient_checkpointing=self.backend == "trl" and model.num_parameters() > LARGE_MODEL,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            logging_steps=LOG_STEPS,
            logging_nan_inf_filter=False,
            save_steps=math.ceil(config.save_steps / LOG_STEPS) * LOG_STEPS,
            save_total_limit=2,
            eval_strategy="steps",
            eval_steps=max(1, steps // config.evaluations),
            eval_on_start=resumed is None,
            seed=config.seed,
            report_to="none",
            disable_tqdm=True,
        )

    def _restore_last_good(self, trainer: ReplyTrainer) -> None:
        from peft import load_peft_weights, set_peft_model_state_dict

        good = last_complete(self.output / CHECKPOINTS)
        if good is None:
            raise TwinError(
                f"The loss became infinite at step {trainer.state.global_step + 1}, before the "
                f"first checkpoint; lower training.learning_rate ({self.config.learning_rate:g}) "
                "or set training.dtype to float32."
            )
        set_peft_model_state_dict(trainer.model, load_peft_weights(str(good), device="cpu"))
        self.say(f"the loss became infinite; the adapter of step {checkpoint_step(good)} is kept")
        trainer.state.global_step = checkpoint_step(good)
        self.losses.forget_after(trainer.state.global_step)
        self.best.forget_after(trainer.state.global_step)

    def _opening(self, pairs: int, sequences: int, steps: int, resumed: int | None) -> str:
        where = f"resumes at step {resumed}" if resumed is not None else "begins"
        kind = str(self.dtype).removeprefix("torch.")
        place = torch.cuda.get_device_name() if self.cuda else f"{torch.get_num_threads()} threads"
        return (
            f"training {where}: {pairs:,} pairs in {sequences:,} sequences, {steps} steps, "
            f"{kind} on {place}"
        )

    def _rows_read(self, trainer: ReplyTrainer) -> int:
        return trainer.state.global_step * trainer.args.per_device_train_batch_size

    def _report(
        self,
        trainer: ReplyTrainer,
        steps: int,
        resumed: int | None,
        stopped: str,
        kept: int,
    ) -> dict[str, Any]:
        rows = self.losses.read()
        training = [row["loss"] for row in rows if "loss" in row]
        validation = [
            row["validation_loss"]
            for row in rows
            if "validation_loss" in row and row["step"] <= kept
        ]
        config, effort = self.config, self.effort
        return {
            "adapter_id": config.adapter_id,
            "dataset_version": config.dataset_version,
            "base_reference": config.base_reference,
            "base_sha256": config.base_sha256,
            "config": vars(config),
            "code_version": CODE_VERSION,
            "stopped": stopped,
            "steps": trainer.state.global_step,
            "steps_planned": steps,
            "step_kept": kept,
            "backend": self.backend,
            "packed": self.packed,
            "sequences_at_a_time": trainer.micro,
            "resumed_at_step": resumed,
            "seconds": round(effort.seconds, 1),
            "tokens": effort.tokens,
            "tokens_per_second": round(effort.tokens / max(effort.stepping_seconds, 1e-9), 1),
            "loss_first": training[0] if training else None,
            "loss_last": training[-1] if training else None,
            "validation_loss_start": validation[0],
            "validation_loss_end": validation[-1],
            "validation_perplexity_ratio": math.exp(validation[-1] - validation[0]),
            "hardware": self._hardware(),
            "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl")},
        }

    def _hardware(self) -> dict[str, Any]:
        return {
            "device": torch.cuda.get_device_name() if self.cuda else "cpu",
            "processor": _processor(),
            "threads": torch.get_num_threads(),
            "dtype": str(self.dtype).removeprefix("torch."),
            "peak_memory_gb": round(_peak_memory() / 1e9, 2),
        }

    def _finish(self, model: Any, report: dict[str, Any]) -> None:
        """Put the adapter and then its report into place, and clear away what training needed."""
        final, partial = self.output / ADAPTER, self.output / f".{ADAPTER}"
        for left_over in (final, partial):
            shutil.rmtree(left_over, ignore_errors=True)
        model.peft_config["default"].base_model_name_or_path = self.config.base_reference
        model.save_pretrained(partial, save_embedding_layers=False)
        self.tokenizer.save_pretrained(partial)
        partial.rename(final)
        write_json(self.output / REPORT, {**report, "adapter_sha256": hash_file(final / WEIGHTS)})
        shutil.rmtree(self.output / CHECKPOINTS, ignore_errors=True)
        for name in (EFFORT, BEST):
            (self.output / name).unlink(missing_ok=True)


def _bounded(rows: list[Example], seed: int) -> list[Example]:
    """Some of the rows, about VALIDATION_TOKENS long together; at least one."""
    chosen: list[Example] = []
    tokens = 0
    for row in random.Random(seed).sample(rows, len(rows)):
        if chosen and tokens + len(row.input_ids) > VALIDATION_TOKENS:
            continue
        chosen.append(row)
        tokens += len(row.input_ids)
    return sorted(chosen, key=lambda row: len(row.input_ids))


def _as_dataset(rows: list[Example]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [row.input_ids for row in rows],
            "labels": [row.labels for row in rows],
        }
    )


def _peak_memory() -> int:
    """Bytes this process has held at most."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        lines = described.read_text().splitlines()
        for line in islice((line for line in lines if line.startswith("model name")), 1):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
