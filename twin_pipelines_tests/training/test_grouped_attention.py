"""The trainer's own attention gives what PyTorch's does, forwards and backwards."""

from __future__ import annotations

import pytest
import torch

from twin_pipelines.training.attention import grouped_attention


@pytest.mark.parametrize("heads", [2, 4])
def test_outputs_and_gradients_are_those_of_pytorch(heads: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(3, heads, 7, 8, requires_grad=True)
    key, value = (torch.randn(3, 2, 7, 8, requires_grad=True) for _ in range(2))
    mask = torch.zeros(3, 1, 7, 7).masked_fill(~torch.ones(7, 7).tril().bool(), -1e9)
    ours, _ = grouped_attention(None, query, key, value, mask, scaling=0.3)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=0.3, enable_gqa=True
    ).transpose(1, 2)
    assert torch.allclose(ours, wanted, atol=1e-5)
    weights = torch.randn_like(wanted)
    for mine, theirs in zip(
        torch.autograd.grad((ours * weights).sum(), (query, key, value)),
        torch.autograd.grad((wanted * weights).sum(), (query, key, value)),
        strict=True,
    ):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_dropout_applies_only_while_training() -> None:
    query = torch.ones(1, 2, 4, 8)
    layer = torch.nn.Identity()
    still = grouped_attention(layer.eval(), query, query, query, None, 1.0, dropout=0.5)[0]
    moving = grouped_attention(layer.train(), query, query, query, None, 1.0, dropout=0.5)[0]
    assert torch.equal(still, torch.ones_like(still))
    assert not torch.equal(moving, still)
