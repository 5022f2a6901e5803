"""A causal language model on this machine: it answers, and it says how likely an answer is.

All functions take batches and are deterministic for a given seed. Three things make them quick on
a CPU: sequences of similar length share a batch, what all prompts have in common (the system
prompt, examples) is read once, and the vocabulary is looked at only where a reply token stands.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from twin_pipelines.foundation.processor import multiplies_bfloat16
from twin_pipelines.generation.forward import Score, SharedPrefix, Tree, packs, score_pack
from twin_pipelines.generation.prompt import Message, render, reply_tokens, stop_tokens
from twin_pipelines.settings import TwinError

if TYPE_CHECKING:
    import torch

    from twin_pipelines.foundation.models import ResolvedModel

Progress = Callable[[int, int], None]
OnToken = Callable[[int, int], None]  # a row's number, and the id of the token it just wrote
NUCLEUS_SEARCH = 512


def choose_dtype(requested: str = "auto") -> torch.dtype:
    """`auto`: bfloat16 where the processor multiplies it natively, else float32."""
    import torch

    if requested != "auto":
        return getattr(torch, requested)
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.get_device_capability()[0] >= 8 else torch.float32
    return torch.bfloat16 if multiplies_bfloat16() else torch.float32


def load_model(
    base: ResolvedModel, adapter: Path | None = None, dtype: str = "auto"
) -> tuple[Any, Any]:
    """Model and tokenizer, ready to answer; an adapter is merged into the weights.

    The merge is done in float32 before the weights are brought to `dtype` (see `choose_dtype`).
    Raises TwinError when the folders hold no model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target = choose_dtype(dtype)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with _quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(adapter or base.path)
            loaded_as = torch.float32 if adapter else target
            model: Any = AutoModelForCausalLM.from_pretrained(base.path, dtype=loaded_as)
            if adapter:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
        except (OSError, ValueError) as error:
            where = f"{base.path} with {adapter}" if adapter else str(base.path)
            raise TwinError(
                f"No usable model in {where} ({first_line(error)}); resolve or train it again."
            ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device=device, dtype=target).eval(), tokenizer


def generate_replies(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Sequence[Message]],
    *,
    max_new_tokens: int = 48,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
    batch_size: int = 32,
    max_tokens: int = 1024,
    progress: Progress | None = None,
    on_token: OnToken | None = None,
) -> list[str]:
    """One sampled reply to each conversation, in the given order.

    Every conversation draws from its own stream of random numbers (from `seed` and its position),
    so its reply depends on its batch by rounding only. `temperature` 0 is greedy. Prompts are cut
    to `max_tokens` as `prompt.render` does. `on_token` is told the conversation's position and each
    token as it is written; what it raises ends the generation.
    """
    import torch

    prompts = [render(tokenizer, messages, max_tokens) for messages in conversations]
    draws = _draws(seed, len(prompts), max_new_tokens)
    stops = set(stop_tokens(tokenizer)) | _endings(model)
    replies = [""] * len(prompts)
    done = 0
    with torch.inference_mode():
        shared = SharedPrefix(model, prompts)
        for rows in _batches([len(prompt) for prompt in prompts], batch_size):
            batch = _prefill(model, tokenizer, shared, [prompts[row] for row in rows])
            written = _sample(
                model,
                stops,
                batch,
                draws[rows],
                temperature=temperature,
                top_p=top_p,
                on_token=_for_rows(on_token, rows),
            )
            for row, ids in zip(rows, written, strict=True):
                replies[row] = tokenizer.decode(ids, skip_special_tokens=True).strip()
            done += len(rows)
            if progress:
                progress(done, len(prompts))
    return replies


def score_replies(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Sequence[Message]],
    replies: Sequence[str],
    *,
    max_tokens: int = 1024,
    progress: Progress | None = None,
) -> list[Score]:
    """How likely each reply is after its conversation, in the given order."""
    choices = [[reply] for reply in replies]
    scored = score_choices(
        model,
        tokenizer,
        conversations,
        choices,
        max_tokens=max_tokens,
        progress=progress,
    )
    return [scores[0] for scores in scored]


def score_choices(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Sequence[Message]],
    candidates: Sequence[Sequence[str | tuple[int, ...]]],
    *,
    max_tokens: int = 1024,
    progress: Progress | None = None,
) -> list[list[Score]]:
    """How likely each of its candidates is after a conversation.

    A candidate is a reply, or token ids such as the first of a long one. A conversation is read
    once however many candidates it has: they follow it in one sequence, in which each sees the
    conversation and itself. Nothing is padded.
    """
    import torch

    prompts = [render(tokenizer, messages, max_tokens) for messages in conversations]
    known: dict[str | tuple[int, ...], list[int]] = {}
    for reply in (reply for group in candidates for reply in group):
        if reply not in known:
            known[reply] = reply_tokens(tokenizer, reply) if isinstance(reply, str) else list(reply)
    trees = [
        Tree(prompt, [known[reply] for reply in group])
        for prompt, group in zip(prompts, candidates, strict=True)
    ]
    scores: list[list[Score]] = []
    with torch.inference_mode():
        shared = SharedPrefix(model, prompts)
        for pack in packs(trees, shared.length):
            scores += score_pack(model, shared, pack)
            if progress:
                progress(len(scores), len(trees))
    return scores


def _endings(model: Any) -> set[int]:
    """Ids that the model's own generation settings end a text at; some families have several."""
    ids = getattr(model.generation_config, "eos_token_id", None)
    return set(ids if isinstance(ids, list) else [] if ids is None else [ids])


class _Batch(NamedTuple):
    """Prompts that were read: their keys and values, mask, lengths, and the next token's logits."""

    cache: Any
    mask: torch.Tensor  # (rows, slots), 1 where a slot holds a token
    lengths: torch.Tensor  # (rows,) tokens of the whole prompt
    logits: torch.Tensor  # (rows, vocabulary), float32


def _prefill(
    model: Any, tokenizer: Any, shared: SharedPrefix, prompts: Sequence[Sequence[int]]
) -> _Batch:
    import torch

    rests = [prompt[shared.length :] for prompt in prompts]
    width = max(len(rest) for rest in rests)
    ids = torch.full((len(rests), width), tokenizer.pad_token_id)
    mask = torch.zeros((len(rests), shared.length + width), dtype=torch.long)
    mask[:, : shared.length] = 1
    for row, rest in enumerate(rests):
        ids[row, width - len(rest) :] = torch.tensor(rest)
        mask[row, shared.length + width - len(rest) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared.length :]
    cache = shared.cache(len(rests))
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return _Batch(output.past_key_values, mask, mask.sum(1), output.logits[:, -1].float())


def _for_rows(on_token: OnToken | None, rows: Sequence[int]) -> OnToken | None:
    """The same listener, told the rows of a batch by their numbers among all conversations."""
    if on_token is None:
        return None
    return lambda place, id: on_token(rows[place], id)


def _sample(
    model: Any,
    stops: set[int],
    batch: _Batch,
    draws: Any,
    *,
    temperature: float,
    top_p: float,
    on_token: OnToken | None = None,
) -> list[list[int]]:
    """Continue every row until it stops; finished rows leave the batch."""
    import torch

    written: list[list[int]] = [[] for _ in range(len(batch.lengths))]
    alive = list(range(len(written)))
    cache, mask, lengths, logits = batch
    for step in range(draws.shape[1]):
        chosen = _choose(logits, draws[alive, step].to(logits.device), temperature, top_p)
        going = [place for place, id in enumerate(chosen.tolist()) if id not in stops]
        for place in going:
            written[alive[place]].append(int(chosen[place]))
            if on_token:
                on_token(alive[place], int(chosen[place]))
        if not going or step + 1 == draws.shape[1]:
            break
        if len(going) < len(alive):
            kept = torch.tensor(going, device=mask.device)
            cache.batch_select_indices(kept)
            mask, lengths, chosen = mask[kept], lengths[kept], chosen[kept]
            alive = [alive[place] for place in going]
        mask = torch.cat([mask, mask.new_ones((len(alive), 1))], dim=1)
        output = model(
            input_ids=chosen[:, None],
            attention_mask=mask,
            position_ids=lengths[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        cache, logits, lengths = output.past_key_values, output.logits[:, -1].float(), lengths + 1
    return written


def _choose(logits: Any, draws: Any, temperature: float, top_p: float) -> Any:
    """Nucleus sampling by inverse transform: one uniform number a row decides the token.

    Only a row whose nucleus is wider than `NUCLEUS_SEARCH` tokens has its whole vocabulary sorted.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    chances = (logits / temperature).softmax(dim=-1)
    best = min(NUCLEUS_SEARCH, chances.shape[-1])
    top, ids = chances.topk(best, dim=-1)
    chosen = _take(top, ids, draws, top_p)
    if best < chances.shape[-1]:
        wide = (top.sum(dim=-1) < top_p).nonzero().squeeze(1)
        if len(wide):
            top, ids = chances[wide].sort(dim=-1, descending=True)
            chosen[wide] = _take(top, ids, draws[wide], top_p)
    return chosen


def _take(top: Any, ids: Any, draws: Any, top_p: float) -> Any:
    """One of `ids` a row; `top` are their chances, falling."""
    total = top.cumsum(dim=-1)
    nucleus = top * (total - top < top_p)
    reached = nucleus.cumsum(dim=-1)
    wanted = draws[:, None] * reached[:, -1:]
    place = (reached <= wanted).sum(dim=-1, keepdim=True)
    last = (nucleus > 0).sum(dim=-1, keepdim=True) - 1
    return ids.gather(1, place.minimum(last)).squeeze(1)


def _batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Row numbers in batches of similar length, longest first (memory shows its peak at once)."""
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _draws(seed: int, rows: int, steps: int) -> Any:
    import numpy as np
    import torch

    streams = np.random.SeedSequence(seed).spawn(rows)
    numbers = [np.random.default_rng(stream).random(steps) for stream in streams]
    return torch.tensor(np.array(numbers).reshape(rows, steps), dtype=torch.float32)


def first_line(error: Exception) -> str:
    """What an error says first, without its full stop: enough for a sentence."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(" .:")


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars while a model loads, and no word of peft asking it by a retired name."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
