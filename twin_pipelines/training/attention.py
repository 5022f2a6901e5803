"""Attention over a stream of packed sequences, tile by tile, for training on a CPU.

The sequences of a batch lie one after the other in one row, without padding between them. A tile of
queries looks at the keys from the beginning of its first sequence to its own end, so nearly all of
what causality and the borders between sequences forbid is never computed, and a tile's weights stay
in the cache. What is forbidden inside a tile is masked: no sequence sees another. Widths of tiles
are multiples of LENGTH_STEP, because for every new width a CPU's kernels are made anew.

PyTorch's fused attention knows no packed sequences on a CPU and has a slow backward pass there; the
plain one of transformers writes all weights of all heads to memory, several times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from twin_pipelines.generation.forward import LENGTH_STEP

NAME = "twin_tiled"
TILE = 2 * LENGTH_STEP  # queries


@dataclass(frozen=True)
class Tile:
    """Queries `begin` to `end` look at keys `first` to `end`, where `mask` (queries, keys) is 0."""

    begin: int
    end: int
    first: int
    mask: torch.Tensor  # additive, of the model's type


def register() -> str:
    """Make the attention known to transformers; returns its name."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(NAME, tiled_attention)
    AttentionMaskInterface.register(NAME, eager_mask)
    return NAME


def tiles(positions: torch.Tensor, dtype: torch.dtype) -> list[Tile]:
    """The tiles of a stream, from the place of each token in its sequence (one dimension).

    A sequence begins wherever the place is 0. The stream's length is a multiple of LENGTH_STEP.
    """
    length = len(positions)
    place = torch.arange(length)
    sequence = (positions == 0).cumsum(0)
    starts = place - positions
    made = []
    for begin in range(0, length, TILE):
        end = min(begin + TILE, length)
        first = int(starts[begin:end].min()) // LENGTH_STEP * LENGTH_STEP
        forbidden = (sequence[begin:end, None] != sequence[None, first:end]) | (
            place[begin:end, None] < place[None, first:end]
        )
        mask = torch.zeros(forbidden.shape, dtype=dtype)
        made.append(Tile(begin, end, first, mask.masked_fill_(forbidden, torch.finfo(dtype).min)))
    return made


def tiled_attention(  # noqa: PLR0917 - transformers passes them by position
    module: Any,  # noqa: ARG001
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - the tiles know better
    scaling: float,
    dropout: float = 0.0,
    *,
    tiles: list[Tile],
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Softmax attention over (1, heads, time, width), with fewer heads of keys and values.

    Returns (1, time, heads, width), as transformers wants it. Dropout of weights is not offered.
    """
    assert not dropout, "attention dropout is 0 in every base this attention is used for"
    return _Tiled.apply(query, key, value, tiles, scaling), None


class _Tiled(torch.autograd.Function):
    """The query heads that share a head of keys are stacked, so that keys are never copied."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        tiles: list[Tile],
        scaling: float,
    ) -> torch.Tensor:
        _, heads, time, width = query.shape
        groups = key.shape[1]
        grouped = (query[0] * scaling).view(groups, heads // groups, time, width)
        keys, values = key[0].contiguous(), value[0].contiguous()
        result = query.new_empty(1, time, heads, width)
        written = result[0].view(time, groups, heads // groups, width).permute(1, 2, 0, 3)
        kept = []
        for tile in tiles:
            asked = grouped[:, :, tile.begin : tile.end].reshape(groups, -1, width)
            scores = asked @ keys[:, tile.first : tile.end].transpose(1, 2)
            split = scores.view(groups, heads // groups, *tile.mask.shape)
            weights = torch.softmax(split.add_(tile.mask), -1).view(scores.shape)
            mixed = weights @ values[:, tile.first : tile.end]
            written[:, :, tile.begin : tile.end] = mixed.view(groups, heads // groups, -1, width)
            kept.append(weights)
        ctx.save_for_backward(grouped, keys, values, *kept)
        ctx.tiles, ctx.scaling = tiles, scaling
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        grouped, keys, values, *kept = ctx.saved_tensors
        groups, share, time, width = grouped.shape
        above = gradient[0].view(time, groups, share, width).permute(1, 2, 0, 3)
        of_query = torch.empty_like(grouped)
        of_keys, of_values = torch.zeros_like(keys), torch.zeros_like(values)
        for tile, weights in zip(ctx.tiles, kept, strict=True):
            own, seen = slice(tile.begin, tile.end), slice(tile.first, tile.end)
            asked = grouped[:, :, own].reshape(groups, -1, width)
            wanted = above[:, :, own].reshape(groups, -1, width)
            of_values[:, seen] += weights.transpose(1, 2) @ wanted
            pull = wanted @ values[:, seen].transpose(1, 2)
            pull = torch.ops.aten._softmax_backward_data(pull, weights, -1, pull.dtype)
            of_query[:, :, own] = (pull @ keys[:, seen]).view(groups, share, -1, width)
            of_keys[:, seen] += pull.transpose(1, 2) @ asked
        of_query = of_query.mul_(ctx.scaling).view(1, groups * share, time, width)
        return of_query, of_keys[None], of_values[None], None, None
