"""What must be true of an adapter before anything is done with it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twin_pipelines.generation.local import first_line
from twin_pipelines.settings import TwinError
from twin_pipelines.training.config import ADAPTER
from twin_pipelines.training.conversations import read_rows
from twin_pipelines.training.progress import WEIGHTS

_PROBE = "Hello! How was your day?"


def logit_change(base: Path, folder: Path) -> float:
    """Mean absolute change that the adapter in `folder` makes to the base's next-token logits.

    Raises TwinError when the adapter does not load on this base.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / ADAPTER)
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        model = PeftModel.from_pretrained(model, folder / ADAPTER).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TwinError(
            f"The adapter in {folder / ADAPTER} does not load on the base in {base} "
            f"({first_line(error)}); "
            "remove its folder and train it again."
        ) from error
    ids = torch.tensor([tokenizer(_PROBE)["input_ids"]])
    with torch.inference_mode():
        changed = model(input_ids=ids).logits
        with model.disable_adapter():
            plain = model(input_ids=ids).logits
    return float((changed - plain).abs().mean())


def weights_are_finite(folder: Path) -> bool:
    """Whether every weight of the adapter is a finite number."""
    import torch
    from safetensors.torch import load_file

    return all(
        bool(torch.isfinite(weight).all())
        for weight in load_file(folder / ADAPTER / WEIGHTS).values()
    )


def infinite_losses(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Steps whose training or validation loss is no finite number."""
    return [
        row["step"]
        for row in rows
        if any(not math.isfinite(row.get(name, 0.0)) for name in ("loss", "validation_loss"))
    ]


def shared_pairs(dataset: Path) -> int:
    """How many pairs of the train file also stand in the validation or the test file."""
    train = {row["pair_id"] for row in read_rows(dataset / "train.jsonl")}
    shared = 0
    for name in ("validation.jsonl", "test.jsonl"):
        with (dataset / name).open() as lines:
            shared += sum(json.loads(line)["pair_id"] in train for line in lines)
    return shared
