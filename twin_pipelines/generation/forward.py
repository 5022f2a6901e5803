"""Forward passes that do no work twice.

What all prompts begin with is read once; replies to one prompt are read as branches of one tree,
side by side in a single unpadded sequence; and logits are computed only where they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

MIN_SHARED_TOKENS = 8
PACK_TOKENS = 512
LENGTH_STEP = 64  # for every new length a CPU's kernels are made anew, which takes time and memory


class Score(NamedTuple):
    """How likely a reply is: its natural log-probability, over tokens with the end of turn."""

    log_prob: float
    tokens: int


@contextmanager
def logits_only_at(model: Any, positions: Any) -> Iterator[None]:
    """Within it, the model computes logits for the given positions only.

    `positions` counts through the batch row by row (int64, one dimension); the logits come back as
    (positions, vocabulary). The output layer of a small model with a large vocabulary is a fifth
    of its work, and its activations are most of the memory.
    """
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0].flatten(0, 1)[positions],))
    try:
        yield
    finally:
        hook.remove()


class SharedPrefix:
    """Tokens all prompts begin with, read once."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        import torch

        self.length = _common_prefix(prompts) if len(prompts) > 1 else 0
        self._layers: list[tuple[Any, Any]] = []
        if self.length < MIN_SHARED_TOKENS:
            self.length = 0
            return
        ids = torch.tensor([list(prompts[0][: self.length])], device=model.device)
        cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        self._layers = [(layer.keys, layer.values) for layer in cache.layers]

    def cache(self, rows: int) -> Any:
        """A fresh cache of `rows` sequences that have read the prefix."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for index, (keys, values) in enumerate(self._layers):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
        return cache


def _common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many leading tokens all prompts share; every prompt keeps at least one of its own."""
    longest = min(map(len, prompts)) - 1
    first = prompts[0]
    for position in range(longest):
        if any(prompt[position] != first[position] for prompt in prompts):
            return position
    return longest


class Tree(NamedTuple):
    """A prompt and the replies that may follow it."""

    prompt: list[int]
    replies: list[list[int]]

    def size(self, shared: int) -> int:
        return len(self.prompt) - shared + sum(len(reply) - 1 for reply in self.replies)


def packs(trees: Sequence[Tree], shared: int) -> Iterator[list[Tree]]:
    """Neighbouring trees, as many as fit into one sequence of `PACK_TOKENS`; at least one."""
    pack: list[Tree] = []
    room = PACK_TOKENS
    for tree in trees:
        if pack and tree.size(shared) > room:
            yield pack
            pack, room = [], PACK_TOKENS
        pack.append(tree)
        room -= tree.size(shared)
    if pack:
        yield pack


def score_pack(model: Any, shared: SharedPrefix, pack: Sequence[Tree]) -> list[list[Score]]:
    """Log-probabilities of every reply of the pack, by one forward pass over one sequence."""
    import torch

    laid = _Layout()
    for tree in pack:
        laid.add(tree, shared.length)
    if not laid.replies:
        return [[] for _ in pack]
    laid.pad_to_multiple(LENGTH_STEP)
    device = model.device
    with logits_only_at(model, torch.tensor(laid.asked, device=device)):
        logits = model(
            input_ids=torch.tensor([laid.ids], device=device),
            attention_mask=_tree_mask(laid, shared.length, model.dtype).to(device),
            position_ids=torch.tensor([laid.positions], device=device),
            past_key_values=shared.cache(1),
            use_cache=True,
        ).logits
    wanted = torch.tensor(laid.targets, device=device)[:, None]
    chances = logits.float().log_softmax(dim=-1).gather(1, wanted).squeeze(1).double()
    owners = torch.tensor(laid.owners, device=device)
    sums = iter(chances.new_zeros(laid.replies).index_add_(0, owners, chances).tolist())
    return [[Score(next(sums), len(reply)) for reply in tree.replies] for tree in pack]


@dataclass
class _Layout:
    """Trees laid out in one sequence.

    `branch` numbers the prompts and replies; a token sees earlier tokens of its own branch and of
    the prompt that its branch grows from (`trunk`). The logits at `asked[i]` foretell `targets[i]`,
    a token of reply number `owners[i]`.
    """

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    trunk: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    branches: int = 0
    replies: int = 0

    def add(self, tree: Tree, shared: int) -> None:
        root, depth = self.branches, len(tree.prompt)
        self._grow(tree.prompt[shared:], shared, root)
        end = len(self.ids) - 1
        for reply in tree.replies:
            start = len(self.ids)
            self.asked += [end, *range(start, start + len(reply) - 1)]
            self.targets += reply
            self.owners += [self.replies] * len(reply)
            self._grow(reply[:-1], depth, root)
            self.replies += 1

    def pad_to_multiple(self, step: int) -> None:
        """Make the length a multiple of `step`, by tokens that nobody sees."""
        self._grow([0] * (-len(self.ids) % step), 0, self.branches)

    def _grow(self, ids: list[int], position: int, root: int) -> None:
        self.ids += ids
        self.positions += range(position, position + len(ids))
        self.branch += [self.branches] * len(ids)
        self.trunk += [root] * len(ids)
        self.branches += 1


def _tree_mask(laid: _Layout, shared: int, dtype: torch.dtype) -> torch.Tensor:
    """Additive attention mask (1, 1, tokens, shared + tokens): 0 where a token may look."""
    import torch

    own, root = torch.tensor(laid.branch), torch.tensor(laid.trunk)
    seen = (own[:, None] == own) | (root[:, None] == own)
    allowed = torch.ones((len(own), shared + len(own)), dtype=torch.bool)
    allowed[:, shared:] = seen.tril()
    mask = torch.zeros(allowed.shape, dtype=dtype)
    return mask.masked_fill(~allowed, torch.finfo(dtype).min)[None, None]
