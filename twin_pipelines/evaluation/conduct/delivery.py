"""How the twin answers: as the template says, to an end of its own, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats, mean
from twin_pipelines.evaluation.systems import Written
from twin_pipelines.generation.prompt import Message, render, reply_tokens, stop_tokens

CONVERSATIONS = 40  # rendered by both tokenizers
UNCUT = 1_000_000


def same_template(
    twin: Any, base: Any, prompts: Sequence[Sequence[Message]], replies: Sequence[str]
) -> bool:
    """Whether two tokenizers write conversations, replies and the end of turn with the same ids."""
    if stop_tokens(twin) != stop_tokens(base):
        return False
    shown = zip(prompts[:CONVERSATIONS], replies[:CONVERSATIONS], strict=True)
    return all(
        render(twin, prompt, UNCUT) == render(base, prompt, UNCUT)
        and reply_tokens(twin, reply) == reply_tokens(base, reply)
        for prompt, reply in shown
    )


def fitting(tokenizer: Any, replies: Sequence[str], most: int) -> float:
    """Share of real replies that have at most so many tokens, the end of turn included."""
    return float(np.mean([len(reply_tokens(tokenizer, reply)) <= most for reply in replies]))


def template_figures(
    matches: bool, written: Sequence[Written], counts: Floats, real_ends: float
) -> dict[str, Any]:
    """Whether the template is the base's, and the share of replies that ended by themselves.

    `real_ends` is the share of the person's replies that are as short as the twin's may be.
    """
    ended = np.array([float(reply.ended) for reply in written])
    ends = mean(ended, counts).as_dict()
    ids = (
        "the adapter's tokenizer writes conversations with the ids of its base's"
        if matches
        else "the adapter's tokenizer writes conversations with other ids than its base's"
    )
    return {
        "matches": matches,
        "ends": ends["value"],
        "ends_ci95": ends["ci95"],
        "real_ends": real_ends,
        "n": len(written),
        "words": f"{ids}; {ended.mean():.0%} of the replies end by themselves",
    }


def latency_figures(timings: Sequence[tuple[float, int]]) -> dict[str, Any]:
    """Milliseconds of a reply and tokens a second; `timings` are seconds and tokens, one by one."""
    seconds = np.array([seconds for seconds, _ in timings])
    written = np.array([tokens for _, tokens in timings])
    return {
        "p50_ms": float(np.quantile(seconds, 0.5) * 1_000),
        "p95_ms": float(np.quantile(seconds, 0.95) * 1_000),
        "tokens_per_s": float(written.sum() / seconds.sum()),
        "n": len(timings),
    }
