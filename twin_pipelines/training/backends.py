"""Where a base model and its fresh adapter come from: TRL with PEFT anywhere, Unsloth on a GPU.

Unsloth changes transformers and TRL when it is imported, so `prepare` runs before either is. Its
path was written by its documentation and has run on no GPU of ours.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.generation.local import choose_dtype, first_line
from twin_pipelines.settings import TwinError
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.families import family_of, prepare_tokenizer, target_modules

TILED = {"llama", "qwen2", "qwen3", "mistral"}  # causal models whose attention is the plain one
INSTALL = "pip install 'twin-pipelines[unsloth]' && pip install --no-deps unsloth unsloth_zoo"


def prepare(config: TrainConfig) -> str:
    """The backend that trains, `trl` or `unsloth`, imported if it must come first.

    `auto` is Unsloth where there is a GPU and it is installed. Raises TwinError where what is asked
    for cannot be had.
    """
    import torch

    installed, cuda = find_spec("unsloth") is not None, torch.cuda.is_available()
    wanted = config.backend
    if wanted == "auto":
        wanted = "unsloth" if installed and cuda else "trl"
    if wanted == "unsloth":
        if not installed:
            raise TwinError(
                "training.backend is unsloth, which is not installed; run "
                f"{INSTALL}, or set it to auto."
            )
        os.environ.setdefault("UNSLOTH_RETURN_LOGITS", "1")
        import unsloth  # noqa: F401
    elif config.load_in_4bit:
        raise TwinError(
            "training.load_in_4bit needs a GPU and Unsloth (training.backend); "
            "install it, or set training.load_in_4bit to false."
        )
    return wanted


def load(config: TrainConfig, backend: str) -> tuple[Any, Any, bool]:
    """Model with a fresh adapter, tokenizer, and whether it reads packed sequences.

    Raises TwinError when the folder of the base holds no usable model.
    """
    try:
        if backend == "unsloth":
            model, tokenizer = _by_unsloth(config)
            tiled = False
        else:
            model, tokenizer, tiled = _by_peft(config)
    except (OSError, ValueError) as error:
        raise TwinError(
            f"The base model in {config.base} cannot be loaded ({first_line(error)}); "
            "resolve it again."
        ) from error
    prepare_tokenizer(tokenizer, family_of(Path(config.base)))
    return model, tokenizer, tiled


def _by_peft(config: TrainConfig) -> tuple[Any, Any, bool]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from twin_pipelines.training import attention, kernels

    tokenizer = AutoTokenizer.from_pretrained(config.base)
    described = AutoConfig.from_pretrained(config.base)
    tiled = (
        config.packing
        and not torch.cuda.is_available()
        and described.model_type in TILED
        and (getattr(described, "sliding_window", None) or config.max_tokens) >= config.max_tokens
        and not getattr(described, "attention_dropout", 0.0)
    )
    model: Any = AutoModelForCausalLM.from_pretrained(
        config.base,
        dtype=choose_dtype(config.dtype),
        attn_implementation=attention.register() if tiled else "sdpa",
    )
    torch.manual_seed(config.seed)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
        target_modules=_targets(config),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(model, lora)
    _multiply_in_the_bases_type(model)
    if tiled:
        kernels.quicken(model)
    return model, tokenizer, tiled


def _targets(config: TrainConfig) -> list[str] | str:
    base = Path(config.base)
    return target_modules(read_json(base / "config.json"), family_of(base))


def _multiply_in_the_bases_type(model: Any) -> None:
    """Adapters stay in float32 and autocast multiplies in the base's type.

    Otherwise every activation would be copied to float32 for them.
    """
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = False


def _by_unsloth(config: TrainConfig) -> tuple[Any, Any]:
    from unsloth import FastLanguageModel

    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=config.base,
        max_seq_length=config.max_tokens,
        dtype=None if config.dtype == "auto" else choose_dtype(config.dtype),
        load_in_4bit=config.load_in_4bit,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=_targets(config),
        bias="none",
        use_gradient_checkpointing="unsloth",
        random_state=config.seed,
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
    )
    return model, tokenizer
