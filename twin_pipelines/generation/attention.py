"""Attention by plain matrix products, for reading and writing replies on a CPU.

PyTorch's fused attention is slow on CPUs with masks of our own, and the plain one of transformers
copies keys and values for every query head and keeps a float32 copy of the weights. Here the query
heads of a group are stacked instead.
"""

from __future__ import annotations

from typing import Any

import torch

NAME = "twin_grouped"


def register() -> str:
    """Make the attention known to transformers; returns its name."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, eager_mask)
    return NAME


def grouped_attention(  # noqa: PLR0917 - transformers passes them by position
    module: Any,  # noqa: ARG001
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Softmax attention over (batch, heads, time, width); `attention_mask` is additive.

    Returns (batch, time, heads, width), as transformers wants it.
    """
    batch, heads, time, width = query.shape
    groups, slots = key.shape[1], key.shape[2]
    stacked = (query * scaling).reshape(batch, groups, heads // groups * time, width)
    weights = stacked @ key.transpose(2, 3)
    if attention_mask is not None:
        weights = weights.view(batch, groups, heads // groups, time, slots)
        weights = weights + attention_mask[:, :, None, :, :slots]
        weights = weights.view((*stacked.shape[:-1], slots))
    weights = torch.softmax(weights, dim=-1)
    mixed = (weights @ value).view(batch, heads, time, width)
    return mixed.transpose(1, 2).contiguous(), None
