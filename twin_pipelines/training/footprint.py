"""How much memory a training needs, reckoned from config.json before anything is loaded.

Counted: the frozen weights, the adapter with its gradients and the optimiser's two moments in
float32, what the forward pass keeps for the backward pass, the logits of the labelled tokens, and
what Python, PyTorch and the libraries hold. The bytes kept per token and layer were counted tensor
by tensor (saved-tensor hooks) on Llama layers of several shapes, with an error below 4 %. What a
process holds at most is more than that, because an allocator does not give back what it no longer
needs; the factors for that were fitted to trainings of SmolLM2 on 2 cores: without packing 3.78 GB
(2 × 512 tokens, 120 steps) and 1.70 GB (1 × 256, 128 steps), packed 2.12 GB (2 × 512, the first 23
steps; a process grows for some time yet). Those for GPUs and Apple are not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.settings import TwinError

Device = Literal["cpu", "cuda", "mps"]
GB = 1e9

FRAMEWORK: dict[Device, float] = {"cpu": 0.9 * GB, "cuda": 1.2 * GB, "mps": 1.2 * GB}
SLACK: dict[Device, float] = {"cpu": 2.2, "cuda": 1.2, "mps": 1.5}  # of what steps allocate anew
PACKED_SLACK = 1.4  # on a CPU with the passes of `training.kernels`, which keep less
LABELLED = 0.35  # share of the tokens that carry a label, where context is read along
FOUR_BIT = 0.52  # bytes of a weight, its scales included
ADAPTER_BYTES = 4 + 4 + 8  # weight, gradient, two moments
LOGIT_BYTES = 8  # float32 copy and its gradient, beside the logits themselves
LARGE_MODEL = 1_000_000_000  # parameters from which activations are computed twice
KEEP_FREE = 0.9  # share of the free memory that a training may take


@dataclass(frozen=True)
class Shape:
    """What decides a decoder's size. `experts` is 0 for a dense model."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    tied: bool
    experts: int = 0
    experts_at_once: int = 0

    @property
    def attention_width(self) -> int:
        return self.heads * self.head_width

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_width

    @property
    def projections(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the projections of one layer that carry an adapter."""
        hidden, attention = self.hidden, self.attention_width
        mlp = [(hidden, self.intermediate)] * 2 + [(self.intermediate, hidden)]
        return [
            (hidden, attention),
            *[(hidden, self.kv_width)] * 2,
            (attention, hidden),
            *mlp * max(self.experts, 1),
        ]

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices of all layers; what can be kept in 4 bits."""
        router = self.hidden * self.experts
        return self.layers * (sum(rows * columns for rows, columns in self.projections) + router)

    @property
    def embedding_weights(self) -> int:
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        norms = self.hidden * (2 * self.layers + 1)
        return self.layer_weights + self.embedding_weights + norms

    def adapter_weights(self, rank: int) -> int:
        """Weights of a LoRA adapter of this rank on every projection."""
        return self.layers * rank * sum(rows + columns for rows, columns in self.projections)


@dataclass(frozen=True)
class Footprint:
    """Bytes a training needs at most, by what they hold."""

    weights: float
    adapter: float
    activations: float
    logits: float
    framework: float

    @property
    def total(self) -> float:
        return self.weights + self.adapter + self.activations + self.logits + self.framework

    def words(self) -> str:
        """`3.7 GB: weights 0.3, adapter 0.1, …`."""
        parts = ", ".join(f"{name} {value / GB:.1f}" for name, value in vars(self).items())
        return f"{self.total / GB:.1f} GB: {parts}"


def read_shape(folder: Path) -> Shape:
    """The shape of the model in a folder. Raises TwinError when config.json does not say it."""
    config = read_json(folder / "config.json")
    try:
        return shape_of(config)
    except KeyError as error:
        raise TwinError(
            f"The file {folder / 'config.json'} lacks {error}, so it is not known whether a "
            "training fits into memory; set training.base_model to a decoder language model."
        ) from error


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that a config.json describes. Raises KeyError naming what it lacks."""
    text = {**config, **config.get("text_config", {})}
    hidden, heads = text["hidden_size"], text["num_attention_heads"]
    experts = text.get("num_experts") or text.get("num_local_experts") or 0
    width = text.get("moe_intermediate_size") if experts else None
    return Shape(
        hidden=hidden,
        intermediate=width or text["intermediate_size"],
        layers=text["num_hidden_layers"],
        heads=heads,
        kv_heads=text.get("num_key_value_heads") or heads,
        head_width=text.get("head_dim") or hidden // heads,
        vocabulary=text["vocab_size"],
        tied=bool(text.get("tie_word_embeddings", config.get("model_type", "") in _TIED)),
        experts=experts,
        experts_at_once=text.get("num_experts_per_tok") or 0 if experts else 0,
    )


_TIED = ("gemma", "gemma2", "gemma3", "gemma3_text")  # unless config.json says otherwise


def estimate(
    shape: Shape,
    *,
    device: Device,
    batch_size: int,
    max_tokens: int,
    rank: int,
    float_bytes: int = 2,
    four_bit: bool = False,
    checkpointing: bool = False,
    packed: bool = False,
) -> Footprint:
    """Memory of a training of batches of `batch_size` sequences of `max_tokens` tokens.

    `float_bytes` is 2 for bfloat16 and 4 for float32; with `checkpointing` the activations of one
    layer at a time are kept, and each layer's input; `packed` sequences lie in one row.
    """
    tokens = batch_size * max_tokens
    matrices = shape.layer_weights * (FOUR_BIT if four_bit else float_bytes)
    others = (shape.parameters - shape.layer_weights) * float_bytes
    kept = _kept_per_token(shape, max_tokens, device, float_bytes)
    layers: float = kept * shape.layers
    if checkpointing:
        layers = kept + shape.hidden * float_bytes * shape.layers
    slack = PACKED_SLACK if packed and device == "cpu" else SLACK[device]
    logits = tokens * LABELLED * shape.vocabulary * (float_bytes + LOGIT_BYTES)
    return Footprint(
        weights=matrices + others,
        adapter=shape.adapter_weights(rank) * ADAPTER_BYTES,
        activations=tokens * layers * slack,
        logits=logits * slack,
        framework=FRAMEWORK[device],
    )


def _kept_per_token(shape: Shape, max_tokens: int, device: Device, float_bytes: int) -> float:
    """Bytes that the forward pass of one layer keeps for the backward pass, per token.

    Per element: of the width twice float32 and twice the model's type (norms are computed in
    float32), of the MLP four (gate, its activation, up, their product), of queries, keys and
    values two. On a CPU attention keeps its weights too, one for every head and token seen.
    """
    mlp = shape.intermediate * max(shape.experts_at_once, 1)
    kept = shape.hidden * (8 + 2 * float_bytes) + 4 * mlp * float_bytes
    kept += 2 * (shape.attention_width + shape.kv_width) * float_bytes
    if device == "cpu":
        kept += shape.heads * max_tokens * float_bytes
    return kept


def refuse_what_cannot_fit(
    footprint: Footprint, free: float, *, what: str, batch_size: int, max_tokens: int
) -> None:
    """Raise TwinError, in one sentence with the figures and what to lower, when it does not fit."""
    if footprint.total <= free * KEEP_FREE:
        return
    held = footprint.weights + footprint.framework
    advice = (
        "set training.base_model to a smaller one"
        if held > free * KEEP_FREE
        else f"lower training.batch_size ({batch_size}) or training.max_tokens ({max_tokens})"
    )
    raise TwinError(
        f"Training {what} needs about {footprint.words()}; {free / GB:.1f} GB are free; {advice}, "
        "or free memory."
    )
