"""TRL's SFTTrainer, taught to be quick on a CPU and to stop in good order.

Imports torch and TRL when it is loaded, so only the training process loads it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch.nn import functional
from transformers import PrinterCallback, TrainerCallback
from trl import SFTTrainer

from twin_pipelines.generation.forward import logits_only_at
from twin_pipelines.training.attention import tiles
from twin_pipelines.training.conversations import IGNORED, Example, pack, pad
from twin_pipelines.training.kernels import quick_loss
from twin_pipelines.training.limits import is_out_of_memory
from twin_pipelines.training.progress import Best, Effort, Losses, mark_complete

REPORT_STEPS = 10
VALIDATION_BATCH = 2
ALREADY_MASKED = torch.zeros(1, 1, 1, 1)  # transformers makes no mask of its own beside this


Row = dict[str, list[int]]  # `input_ids` and `labels` of a sequence
FALL: dict[str, Callable[[float], float]] = {  # share of the learning rate, by what is left to do
    "linear": lambda left: left,
    "cosine": lambda left: (1 - math.cos(math.pi * left)) / 2,
    "constant": lambda left: 1.0,  # noqa: ARG005
}


@dataclass(frozen=True)
class Plan:
    """How a training is run: what TRL's arguments do not hold."""

    packed: bool  # the sequences of a batch lie in one row
    micro: int  # sequences learnt at a time
    schedule: str
    patience: int
    budget_seconds: float


def _as_they_are(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of a step; they become tensors where they are learnt."""
    return {"rows": rows}


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
        plan: Plan,
        effort: Effort,
        best: Best,
        say: Callable[[str], None],
        **kwargs: Any,
    ) -> None:
        self.validation = [{"input_ids": row.input_ids, "labels": row.labels} for row in validation]
        self.plan, self.effort, self.best, self.say = plan, effort, best, say
        self.micro = plan.micro
        kwargs["data_collator"] = _as_they_are
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)

    def training_step(
        self,
        model: Any,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002 - counted here
    ) -> torch.Tensor:
        """Mean negative log-likelihood of the labelled tokens of a step, and its gradients.

        `inputs` holds the `rows` of the step. They are learnt `micro` at a time. Where memory runs
        out, the step is done again with half as many at a time, and so are those that follow: the
        same gradient, more slowly.
        """
        model.train()
        while True:
            try:
                return self._learn(model, inputs["rows"])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.micro == 1:
                    raise
            model.zero_grad()
            self.micro //= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.say(
                f"memory ran out; {self.micro} sequences are learnt at a time from here on, "
                f"{len(inputs['rows'])} a step as before"
            )

    def _learn(self, model: Any, rows: Sequence[Row]) -> torch.Tensor:
        targets = sum(label != IGNORED for row in rows for label in row["labels"])
        mean = torch.zeros((), device=self.args.device)
        for start in range(0, len(rows), self.micro):
            inputs = self.collate(rows[start : start + self.micro])
            with self.compute_loss_context_manager():
                total, _ = reply_loss(model, inputs)
            loss = total / targets
            if not torch.isfinite(loss):
                raise NotANumberError
            self.accelerator.backward(loss)
            mean += loss.detach()
        self.effort.tokens += sum(len(row["input_ids"]) for row in rows)
        return mean

    def collate(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Rows as the tensors of one forward pass."""
        tokenizer: Any = self.processing_class
        filler = tokenizer.pad_token_id
        if self.plan.packed:
            inputs = {name: torch.tensor([line]) for name, line in pack(rows, filler).items()}
        else:
            inputs = {name: torch.tensor(lines) for name, lines in pad(rows, filler).items()}
        return self._prepare_inputs(inputs)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss over all labelled tokens of the validation examples; the best is kept."""
        model: Any = self.model
        model.eval()
        total, tokens = 0.0, 0
        with torch.no_grad(), self.compute_loss_context_manager():
            for start in range(0, len(self.validation), VALIDATION_BATCH):
                inputs = self.collate(self.validation[start : start + VALIDATION_BATCH])
                loss, count = reply_loss(model, inputs)
                total, tokens = total + float(loss), tokens + count
        metrics = {"eval_loss": total / tokens}
        self.log(metrics)
        if self.state.global_step:
            self.best.offer(self.state.global_step, metrics["eval_loss"], model)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Linear warm-up, then `schedule` to the last step or to where time runs out.

        Time has no say before half of its budget is spent, so that a training that needs less is
        the same every time.
        """
        warmup = self.args.get_warmup_steps(num_training_steps)

        def factor(step: int) -> float:
            rising = (step + 1) / (warmup + 1)
            steps_left = (num_training_steps - step) / max(num_training_steps - warmup, 1)
            time_left = 2 * (1 - self.effort.seconds / self.plan.budget_seconds)
            left = max(min(steps_left, time_left, 1.0), 0.0)
            return min(rising, FALL[self.plan.schedule](left))

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
        plan: Plan,
        say: Callable[[str], None],
        parent: int | None,
    ) -> None:
        self.losses = losses
        self.effort = effort
        self.plan = plan
        self.budget_seconds = plan.budget_seconds
        self.say = say
        self.parent = parent
        self.first_step = 0
        self.out_of_time = False
        self.no_progress = False
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

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self.stalled():
            self.no_progress = state.global_step < state.max_steps
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def stalled(self) -> bool:
        """Whether the last `patience` evaluations brought nothing, by the file of losses."""
        rows = [row for row in self.losses.read() if "validation_loss" in row and row["step"]]
        found = [row["validation_loss"] for row in rows]
        if not self.plan.patience or not found:
            return False
        return len(found) - 1 - found.index(min(found)) >= self.plan.patience

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
    targets = following[positions]
    if "position_ids" in inputs:
        return packed_loss(model, inputs, positions, targets), len(positions)
    with logits_only_at(model, positions):
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
        ).logits
    loss = functional.cross_entropy(logits.float(), targets, reduction="sum")
    return loss, len(positions)


def packed_loss(
    model: Any, inputs: dict[str, torch.Tensor], positions: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """The same sum for one row of packed sequences, see `conversations.pack`."""
    causal = model.get_base_model()
    places = inputs["position_ids"]
    hidden = causal.model(
        input_ids=inputs["input_ids"],
        attention_mask=ALREADY_MASKED,
        position_ids=places,
        use_cache=False,
        tiles=tiles(places[0], causal.dtype),
    ).last_hidden_state
    return quick_loss(hidden[0, positions], causal.get_output_embeddings().weight, targets)
