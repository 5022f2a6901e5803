"""The passes written by hand give what PyTorch gives, forwards and backwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM

from twin_pipelines.training import attention, kernels
from twin_pipelines.training.conversations import IGNORED, pack, pad
from twin_pipelines.training.trainer import reply_loss


def adapted(base: Path, implementation: str, **given: Any) -> Any:
    """The tiny model with an adapter that already says something."""
    torch.manual_seed(3)
    model: Any = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, attn_implementation=implementation
    )
    model = get_peft_model(
        model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", **given)
    )
    for name, value in model.named_parameters():
        if "lora_" in name:
            value.data = torch.randn_like(value) * 0.2
    return model


def made_rows(lengths: list[int]) -> list[dict[str, list[int]]]:
    torch.manual_seed(1)
    rows = []
    for length in lengths:
        ids = torch.randint(3, 300, (length,)).tolist()
        rows.append({"input_ids": ids, "labels": [IGNORED] * (length // 2) + ids[length // 2 :]})
    return rows


def gradients(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[float, dict[str, Any]]:
    model.zero_grad()
    total, count = reply_loss(model, inputs)
    (total / count).backward()
    found = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    return float(total) / count, found


def tensors(made: Any, *, row: bool) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([part] if row else part) for name, part in made.items()}


@pytest.mark.parametrize("lengths", [[20], [130, 70], [60, 5, 300, 2, 129]])
def test_packed_sequences_learn_what_padded_ones_learn_without_seeing_each_other(
    tiny_base: Path, lengths: list[int]
) -> None:
    rows = made_rows(lengths)
    plain = adapted(tiny_base, "eager")
    expected, slopes = gradients(plain, tensors(pad(rows, 0), row=False))
    quick = adapted(tiny_base, attention.register())
    kernels.quicken(quick)
    found, ours = gradients(quick, tensors(pack(rows, 0), row=True))
    assert found == pytest.approx(expected, abs=1e-4)
    assert ours.keys() == slopes.keys() and len(ours) == 28
    for name, slope in slopes.items():
        torch.testing.assert_close(ours[name], slope, atol=1e-4, rtol=1e-3)


def test_what_a_sequence_learns_does_not_depend_on_its_neighbours(tiny_base: Path) -> None:
    model = adapted(tiny_base, attention.register())
    kernels.quicken(model)
    first, second, other = made_rows([70, 90, 110])
    alone = float(reply_loss(model, tensors(pack([first], 0), row=True))[0])
    for neighbour in (second, other):
        both = float(reply_loss(model, tensors(pack([neighbour, first], 0), row=True))[0])
        beside = float(reply_loss(model, tensors(pack([neighbour], 0), row=True))[0])
        assert both - beside == pytest.approx(alone, abs=1e-3)


def test_no_query_of_another_sequence_or_of_the_past_is_looked_at() -> None:
    places = torch.tensor([*range(100), *range(27), 0])
    for tile in attention.tiles(places, torch.float32):
        for query in range(tile.begin, tile.end):
            seen = {
                tile.first + key
                for key, value in enumerate(tile.mask[query - tile.begin].tolist())
                if value == 0
            }
            assert seen == set(range(query - int(places[query]), query + 1))


def test_the_loss_made_in_pieces_is_the_loss_made_at_once() -> None:
    torch.manual_seed(0)
    weight, targets = torch.randn(50, 16), torch.randint(0, 50, (150,))
    hidden = torch.randn(150, 16, requires_grad=True)
    ours = kernels.quick_loss(hidden, weight, targets)
    ours.backward()
    slope, hidden.grad = hidden.grad, None
    whole = functional.cross_entropy(hidden @ weight.t(), targets, reduction="sum")
    whole.backward()
    assert float(ours) == pytest.approx(float(whole), rel=1e-5)
    torch.testing.assert_close(slope, hidden.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("given", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_what_the_passes_do_not_know_is_left_to_peft(
    tiny_base: Path, given: dict[str, Any]
) -> None:
    model = adapted(tiny_base, "eager", **given)
    kernels.quicken(model)
    replaced = [module for module in model.modules() if "forward" in vars(module)]
    assert replaced and not any("lora" in type(module).__module__ for module in replaced)


def test_an_adapter_can_still_be_switched_off(tiny_base: Path) -> None:
    model = adapted(tiny_base, "eager")
    kernels.quicken(model)
    ids = torch.tensor([[5, 6, 7]])
    untuned: Any = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    with torch.no_grad(), model.disable_adapter():
        off = model(input_ids=ids).logits
    torch.testing.assert_close(off, untuned(input_ids=ids).logits, atol=1e-4, rtol=1e-3)
