"""Forward and backward passes written by hand, for a frozen base with LoRA on a CPU.

Left to autograd, a LoRA layer writes its output three times, a norm keeps six float32 copies of its
input, attention writes all its weights to memory, and the loss holds several copies of the logits:
on a small model most of the time goes into moving memory. Here every one of them is one autograd
function that writes its result once, keeps what is cheap to keep and recomputes the rest in pieces
that stay in the cache. The figures are in docs/training.md.

`quicken` changes a model in place. What it does not know (dropout, DoRA, biases, other norms, soft
caps) it leaves to PyTorch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

LOSS_ROWS = 64  # tokens whose logits exist at a time


def quicken(model: Any) -> None:
    """Give the LoRA layers, norms and gated units of a PEFT model their own passes, in place."""
    from peft.tuners.lora import Linear

    for one in model.modules():
        module: Any = one
        if isinstance(one, Linear) and _is_plain(module):
            module.forward = _LoraForward(module)
        elif _is_root_mean_square_norm(module):
            module.forward = _NormForward(module)
        elif _is_gated_unit(module):
            module.forward = _GatedForward(module)


def quick_loss(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum of negative log-likelihoods of `targets` (n) under `hidden` (n, width) @ `weight`ᵀ.

    `weight` (vocabulary, width) is frozen. The gradient is made on the way, so that only LOSS_ROWS
    rows of logits exist at a time.
    """
    return _Loss.apply(hidden, weight, targets)


def _is_plain(layer: Any) -> bool:
    """One adapter, no dropout, no bias, no DoRA: what `_Lora` computes."""
    names = layer.active_adapters
    return (
        len(names) == 1
        and names[0] in layer.lora_A
        and isinstance(layer.lora_dropout[names[0]], nn.Identity)
        and not layer.lora_variant
        and type(layer.get_base_layer()) is nn.Linear
        and layer.get_base_layer().bias is None
        and layer.lora_A[names[0]].bias is None
        and layer.lora_B[names[0]].bias is None
    )


def _is_root_mean_square_norm(module: Any) -> bool:
    """Llama's norm (and Qwen's, Mistral's); Gemma's adds one to its weight and has another name."""
    return type(module).__name__ in {"LlamaRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm"} | {
        "MistralRMSNorm",
        "SmolLM3RMSNorm",
    }


def _is_gated_unit(module: Any) -> bool:
    names = ("gate_proj", "up_proj", "down_proj", "act_fn")
    if not all(hasattr(module, name) for name in names):
        return False
    return isinstance(module.act_fn, nn.SiLU) or type(module.act_fn).__name__ == "SiLUActivation"


class _LoraForward:
    """Stands in for `forward` of a LoRA layer; as the layer, it can be switched off."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.name = layer.active_adapters[0]

    def __call__(self, given: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        layer = self.layer
        base = layer.get_base_layer().weight
        if layer.disable_adapters or layer.merged:
            return functional.linear(given.to(base.dtype), base)
        down, up = layer.lora_A[self.name].weight, layer.lora_B[self.name].weight
        return _Lora.apply(given, base, down, up, layer.scaling[self.name])


class _Lora(torch.autograd.Function):
    """x Wᵀ + s (x Aᵀ) Bᵀ with W frozen; x is cast to the type of W, gradients of A and B to theirs.

    Shapes: x (…, in), W (out, in), A (rank, in), B (out, rank).
    """

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any,
        given: torch.Tensor,
        base: torch.Tensor,
        down: torch.Tensor,
        up: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        flat = given.reshape(-1, given.shape[-1]).to(base.dtype)
        low, high = down.to(base.dtype), (up * scaling).to(base.dtype)
        between = flat @ low.t()
        result = (flat @ base.t()).addmm_(between, high.t())
        ctx.save_for_backward(flat, base, low, high, between)
        ctx.scaling, ctx.shape, ctx.kinds = scaling, given.shape, (given.dtype, down.dtype)
        return result.view(*given.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        flat, base, low, high, between = ctx.saved_tensors
        given_kind, adapter_kind = ctx.kinds
        above = gradient.reshape(-1, gradient.shape[-1])
        squeezed = above @ high
        back = None
        if ctx.needs_input_grad[0]:
            back = (above @ base).addmm_(squeezed, low).to(given_kind).view(ctx.shape)
        of_down = (squeezed.t() @ flat).to(adapter_kind)
        of_up = (above.t() @ between).to(adapter_kind).mul_(ctx.scaling)
        return back, None, of_down, of_up, None


class _NormForward:
    """Stands in for `forward` of a root-mean-square norm."""

    def __init__(self, norm: Any) -> None:
        self.norm = norm

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        return _Norm.apply(given, self.norm.weight, self.norm.variance_epsilon)


class _Norm(torch.autograd.Function):
    """x · w / √(mean x² + ε) over the last dimension, w frozen; sums in float32."""

    @staticmethod
    def forward(
        ctx: Any, given: torch.Tensor, weight: torch.Tensor, epsilon: float
    ) -> torch.Tensor:
        length = torch.linalg.vector_norm(given, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = (length.square_().div_(given.shape[-1]).add_(epsilon)).rsqrt_()
        ctx.save_for_backward(given, weight, inverse)
        return (given * inverse.to(given.dtype)).mul_(weight)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        given, weight, inverse = ctx.saved_tensors
        scaled = gradient * weight
        along = (scaled * given).sum(-1, keepdim=True, dtype=torch.float32)
        pull = along.mul_(inverse.pow(3)).div_(-given.shape[-1])
        back = scaled.mul_(inverse.to(given.dtype)).addcmul_(given, pull.to(given.dtype))
        return back, None, None


class _GatedForward:
    """Stands in for `forward` of a gated unit: down(silu(gate(x)) · up(x))."""

    def __init__(self, unit: Any) -> None:
        self.unit = unit

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        unit = self.unit
        return unit.down_proj(_Gate.apply(unit.gate_proj(given), unit.up_proj(given)))


class _Gate(torch.autograd.Function):
    """silu(g) · u; the backward pass recomputes silu instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        gate, up = ctx.saved_tensors
        of_up = functional.silu(gate).mul_(gradient)
        of_gate = torch.ops.aten.silu_backward(gradient * up, gate)
        return of_gate, of_up


class _Loss(torch.autograd.Function):
    """See `quick_loss`."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        wanted = ctx.needs_input_grad[0]
        back = torch.empty_like(hidden) if wanted else None
        for start in range(0, len(targets), LOSS_ROWS):
            rows = slice(start, start + LOSS_ROWS)
            logits = (hidden[rows] @ weight.t()).float()
            chosen = logits.gather(1, targets[rows, None])
            normal = logits.logsumexp(1, keepdim=True)
            total += (normal - chosen).sum()
            if back is not None:
                chances = logits.sub_(normal).exp_()
                places = torch.arange(len(chances), device=hidden.device)
                chances[places, targets[rows]] -= 1
                torch.mm(chances.to(weight.dtype), weight, out=back[rows])
        ctx.save_for_backward(back)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        (back,) = ctx.saved_tensors
        return back * gradient.to(back.dtype), None, None
