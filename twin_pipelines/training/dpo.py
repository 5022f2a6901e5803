"""The optimisation of `preferences`: TRL's DPOTrainer on tokens of our own template.

Imports torch and TRL when it is loaded, so only the training process loads it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
from trl import DPOConfig, DPOTrainer

from twin_pipelines.generation.local import choose_dtype, first_line
from twin_pipelines.settings import TwinError
from twin_pipelines.training.config import ADAPTER, TrainConfig
from twin_pipelines.training.conversations import IGNORED, Example
from twin_pipelines.training.preferences import Choice
from twin_pipelines.training.trainer import AbandonedError

BETA = 0.1  # how strongly the reference is held to; the value of the paper
SLOWER = 20  # the learning rate is that of the first stage, divided by this
PAIRS_PER_STEP = 4
WARMUP_SHARE = 0.1
REPORT_STEPS = 10
SCRATCH = ".dpo"  # nothing of value is in it
REFERENCE = "ref"  # the name TRL gives to the frozen copy of the adapter


def load_adapter(config: TrainConfig) -> tuple[Any, Any]:
    """The trained adapter on its base, ready to be trained further, and its tokenizer.

    Raises TwinError when it does not load.
    """
    folder = Path(config.output) / ADAPTER
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        base: Any = AutoModelForCausalLM.from_pretrained(
            config.base, dtype=choose_dtype(config.dtype), attn_implementation="sdpa"
        )
        model: Any = PeftModel.from_pretrained(base, folder, is_trainable=True)
    except (OSError, ValueError) as error:
        raise TwinError(
            f"The adapter in {folder} does not load on {config.base} ({first_line(error)}); "
            "remove its folder and train it again."
        ) from error
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = False  # autocast multiplies in the base's type
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device), tokenizer


def optimise(
    model: Any,
    tokenizer: Any,
    choices: Sequence[Choice],
    *,
    held_out: Sequence[Choice],
    config: TrainConfig,
    seconds: float,
    say: Callable[[str], None],
    orphaned: Callable[[], bool],
) -> dict[str, Any]:
    """Train `model` in place for `config.dpo_steps` steps, one epoch or `seconds` at most.

    Returns steps, seconds, why it stopped, and of the held-out pairs the share whose order the
    model got more right than its reference, with the mean difference of rewards (nats × β).
    """
    micro = max(1, min(config.batch_size // 2, PAIRS_PER_STEP, len(choices)))
    accumulation = max(1, PAIRS_PER_STEP // micro)
    steps = min(config.dpo_steps, math.ceil(len(choices) / (micro * accumulation)))
    arguments = _arguments(config, micro, accumulation, steps)
    course = _Course(seconds, say, orphaned)
    trainer = _ChoiceTrainer(
        model=model,
        args=arguments,
        train_dataset=_as_dataset(choices),
        eval_dataset=_as_dataset(held_out) if held_out else None,
        processing_class=tokenizer,
        callbacks=[course],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    seen = trainer.evaluate() if held_out and course.stopped != "nan" else {}
    model.delete_adapter(REFERENCE)
    return {
        "stopped": course.stopped,
        "steps": trainer.state.global_step,
        "steps_planned": steps,
        "seconds": round(course.seconds, 1),
        "beta": BETA,
        "learning_rate": config.learning_rate / SLOWER,
        "held_out_accuracy": seen.get("eval_rewards/accuracies"),
        "held_out_reward_margin": seen.get("eval_rewards/margins"),
    }


def _arguments(config: TrainConfig, micro: int, accumulation: int, steps: int) -> DPOConfig:
    bfloat16 = choose_dtype(config.dtype) == torch.bfloat16
    return DPOConfig(
        output_dir=str(Path(config.output) / SCRATCH),
        max_steps=steps,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        train_sampling_strategy="sequential",
        learning_rate=config.learning_rate / SLOWER,
        warmup_steps=max(1, round(WARMUP_SHARE * steps)),
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=1.0,
        beta=BETA,
        loss_type=["sigmoid"],
        max_length=None,
        bf16=bfloat16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        seed=config.seed,
        report_to="none",
        disable_tqdm=True,
    )


def mean_loss(model: Any, examples: Sequence[Example]) -> float:
    """Mean negative log-likelihood of the labelled tokens, in nats."""
    total, tokens = 0.0, 0
    model.eval()
    bfloat16 = next(model.parameters()).dtype == torch.bfloat16
    device = next(model.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        for example in examples:
            ids = torch.tensor([example.input_ids], device=device)
            following = torch.tensor(example.labels[1:], device=device)
            wanted = (following != IGNORED).nonzero().squeeze(1)
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=wanted).logits[0].float()
            loss = torch.nn.functional.cross_entropy(logits, following[wanted], reduction="sum")
            total, tokens = total + float(loss), tokens + len(wanted)
    return total / max(tokens, 1)


def save_adapter(model: Any, tokenizer: Any, folder: Path, base_reference: str) -> None:
    """Write the adapter alone, named after the base as the first stage does."""
    model.peft_config["default"].base_model_name_or_path = base_reference
    model.save_pretrained(folder, selected_adapters=["default"], save_embedding_layers=False)
    tokenizer.save_pretrained(folder)


class _ChoiceTrainer(DPOTrainer):
    """Takes token ids as they are, so that the template is the one replies were learnt with."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """What is published is the adapter of the asset, which has its own card."""


class _Course(TrainerCallback):
    """Ends the stage in time, with its parent, and where the loss is no number."""

    def __init__(
        self, budget: float, say: Callable[[str], None], orphaned: Callable[[], bool]
    ) -> None:
        self.budget, self.say, self.orphaned = budget, say, orphaned
        self.began = time.monotonic()
        self.stopped = "steps"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if self.orphaned():
            raise AbandonedError
        if self.seconds >= self.budget and state.global_step < state.max_steps:
            self.stopped = "time"
            control.should_training_stop = True

    def on_log(
        self,
        args: Any,  # noqa: ARG002
        state: Any,
        control: Any,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            self.stopped = "nan"
            control.should_training_stop = True
        elif state.global_step % REPORT_STEPS == 0:
            self.say(f"preferences: step {state.global_step}/{state.max_steps} · loss {loss:.3f}")


def _as_dataset(choices: Sequence[Choice]) -> Dataset:
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    return Dataset.from_dict({name: [getattr(one, name) for one in choices] for name in names})
