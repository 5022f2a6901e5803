"""The adapter merged into its base, as a folder that transformers loads and llama.cpp converts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.local import load_model
from twin_pipelines.generation.prompt import stop_tokens
from twin_pipelines.training.export.config import ExportConfig


def load_trained(config: ExportConfig) -> tuple[Any, Any]:
    """The trained model, merged in float32, and its tokenizer."""
    base = ResolvedModel(config.base_reference, Path(config.base), config.base_sha256)
    return load_model(base, Path(config.adapter), "float32")


def load_untrained(config: ExportConfig) -> Any:
    """The base as it was before training."""
    base = ResolvedModel(config.base_reference, Path(config.base), config.base_sha256)
    return load_model(base, None, "float32")[0]


def load_merged(config: ExportConfig, folder: Path) -> tuple[Any, Any]:
    """A merged folder as another program would load it."""
    return load_model(ResolvedModel(str(folder), folder, ""), None, config.dtype)


def save_merged(model: Any, tokenizer: Any, folder: Path, dtype: str) -> None:
    """Write weights in `dtype`, configuration, tokenizer, chat template and generation settings.

    The generation settings end a reply where the twin was taught to, besides where the base's do;
    without that, servers that know only the base's end of text let it run on. The model itself is
    brought to `dtype`.
    """
    import torch

    stops = sorted(endings(model) | set(stop_tokens(tokenizer)))
    ends: int | list[int] = stops if len(stops) > 1 else stops[0]
    model = model.to(getattr(torch, dtype))
    settings = copy.deepcopy(model.generation_config)
    settings.eos_token_id = ends
    settings.pad_token_id = tokenizer.pad_token_id
    model.generation_config = settings
    model.config.eos_token_id = ends
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def endings(model: Any) -> set[int]:
    """Ids at which the model's own generation settings end a text."""
    ids = model.generation_config.eos_token_id
    if ids is None:
        return set()
    return set(ids) if isinstance(ids, list) else {ids}
