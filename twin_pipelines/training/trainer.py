"""TRL's SFTTrainer, taught to be quick on a CPU and to stop in good order.

Imports torch and TRL when it is loaded, so only the training process loads it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch.nn import functional
from transformers import PrinterCallback, TrainerCallback
from trl import SFTTrainer

from twin_pipelines.generation.forward import logits_only_at
from twin_pipelines.training.conversations import IGNORED, Example
from twin_pipelines.training.progress import Effort, Losses, mark_complete

REPORT_STEPS = 10
VALIDATION_BATCH = 2


class NotANumberError(Exception):
    """The loss is no finite number any more."""


class AbandonedError(Exception):
    """The process that asked for the training is gone."""


class ReplyTrainer(SFTTrainer):
    """Computes logits at the labelled tokens only, and the exact mean loss of the validation.

    The learning rate falls to zero at the last step or where the time budget ends, so that a
    training cut short by time has cooled down too.
    """

    def __init__(
        self,
        *args: Any,
        validation: Sequence[Example],
        effort: Effort,
        budget_seconds: float,
        **kwargs: Any,
    ) -> None:
        self.validation = validation
        self.effort = effort
        self.budget_seconds = budget_seconds
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean negative log-likelihood of the labelled tokens, over the accumulated batch."""
        assert not return_outputs, "nothing here needs logits"
        total, count = reply_loss(model, inputs)
        loss = total / (count if num_items_in_batch is None else num_items_in_batch)
        if not torch.isfinite(loss):
            raise NotANumberError
        self.effort.tokens += int(inputs["attention_mask"].sum())
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss over all labelled tokens of the validation examples."""
        model: Any = self.model
        model.eval()
        total, tokens = 0.0, 0
        with torch.no_grad(), self.compute_loss_context_manager():
            for start in range(0, len(self.validation), VALIDATION_BATCH):
                rows = self.validation[start : start + VALIDATION_BATCH]
                features = [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]
                loss, count = reply_loss(model, self._prepare_inputs(self.data_collator(features)))
                total, tokens = total + float(loss), tokens + count
        metrics = {"eval_loss": total / tokens}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Linear warm-up, then linearly to zero at the last step or where time runs out.

        Time has no say before half of its budget is spent, so that a training that needs less is
        the same every time.
        """
        warmup = self.args.get_warmup_steps(num_training_steps)

        def factor(step: int) -> float:
            rising = (step + 1) / (warmup + 1)
            steps_left = (num_training_steps - step) / max(num_training_steps - warmup, 1)
            time_left = 2 * (1 - self.effort.seconds / self.budget_seconds)
            return max(min(rising, steps_left, time_left, 1.0), 0.0)

        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                cast(torch.optim.Optimizer, optimizer or self.optimizer), factor
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Checkpoints are for resuming; they need no card."""


class Course(TrainerCallback):
    """Keeps the losses and the clock, marks whole checkpoints, and ends a training in time."""

    def __init__(
        self,
        losses: Losses,
        effort: Effort,
        budget_seconds: float,
        say: Callable[[str], None],
        parent: int | None,
    ) -> None:
        self.losses = losses
        self.effort = effort
        self.budget_seconds = budget_seconds
        self.say = say
        self.parent = parent
        self.first_step = 0
        self.out_of_time = False
        self._step_began = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self.first_step = state.global_step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._step_began = time.monotonic()

    def on_log(
        self,
        args: Any,  # noqa: ARG002
        state: Any,
        control: Any,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        known = {"loss": "loss", "eval_loss": "validation_loss", "learning_rate": "learning_rate"}
        values = {known[key]: value for key, value in (logs or {}).items() if key in known}
        if not values:
            return
        self.losses.append(state.global_step, {**values, "seconds": round(self.effort.seconds, 1)})
        self.effort.keep()
        if "validation_loss" in values:
            loss = values["validation_loss"]
            self.say(f"step {state.global_step}/{state.max_steps} · validation loss {loss:.3f}")
        elif state.global_step % REPORT_STEPS == 0:
            self.say(self._line(state, values["loss"]))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self.effort.stepping_seconds += time.monotonic() - self._step_began
        if self.parent is not None and os.getppid() != self.parent:
            raise AbandonedError
        if self.effort.seconds >= self.budget_seconds:
            self.out_of_time = state.global_step < state.max_steps
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def _line(self, state: Any, loss: float) -> str:
        pace = self.effort.this_attempt / max(state.global_step - self.first_step, 1)
        left = min(
            pace * (state.max_steps - state.global_step), self.budget_seconds - self.effort.seconds
        )
        return (
            f"step {state.global_step}/{state.max_steps} · loss {loss:.3f} · "
            f"{pace:.2f} s a step · about {max(left, 0) / 60:.1f} min left"
        )


def reply_loss(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, int]:
    """Sum of the negative log-likelihoods of the labelled tokens, and their number."""
    following = functional.pad(inputs["labels"][:, 1:], (0, 1), value=IGNORED).flatten()
    positions = (following != IGNORED).nonzero().squeeze(1)
    with logits_only_at(model, positions):
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
        ).logits
    loss = functional.cross_entropy(logits.float(), following[positions], reduction="sum")
    return loss, len(positions)
