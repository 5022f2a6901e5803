"""Reply likelihood: how surprised a model is by what the person really answered.

docs/figures.md: reply tokens only, end of turn included, the template of training. Perplexity is
exp(loss over tokens); two models are compared on the same replies, resampled by session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Estimate, Floats, percentile, ratio
from twin_pipelines.generation.local import Score


def perplexity_figures(
    base: Sequence[Score],
    twin: Sequence[Score],
    counts: Floats,
    champion: Sequence[Score] | None = None,
) -> dict[str, Any]:
    """Perplexities, the ratio twin / base, and the loss against the champion in nats per token.

    `counts` are bootstrap resamples of the replies. A positive `champion_delta` means the twin is
    worse than the champion; it is per token of the twin's tokenizer, so that a champion with
    another tokenizer can be compared on whole replies.
    """
    change = loss_difference(twin, base, counts)
    figures: dict[str, Any] = {
        "base": perplexity(base),
        "twin": perplexity(twin),
        "ratio": float(np.exp(change.value)),
        "ratio_ci95": [float(np.exp(change.low)), float(np.exp(change.high))],
        "twin_ci95": _perplexity_interval(twin, counts),
        "base_ci95": _perplexity_interval(base, counts),
        "n": len(twin),
        "tokens": int(sum(score.tokens for score in twin)),
    }
    if champion is not None:
        figures["champion"] = perplexity(champion)
        figures["champion_delta"] = loss_difference(twin, champion, counts).as_dict()
    return figures


def perplexity(scores: Sequence[Score]) -> float:
    """exp of the mean loss over all tokens."""
    return float(np.exp(losses(scores).sum() / sum(score.tokens for score in scores)))


def loss_difference(first: Sequence[Score], second: Sequence[Score], counts: Floats) -> Estimate:
    """Loss of `first` minus loss of `second` on the same replies, nats per token of `first`."""
    tokens = np.array([score.tokens for score in first], dtype=float)
    return ratio(losses(first) - losses(second), tokens, counts)


def losses(scores: Sequence[Score]) -> Floats:
    """Negative log-probability of each reply, in nats."""
    return -np.array([score.log_prob for score in scores], dtype=float)


def _perplexity_interval(scores: Sequence[Score], counts: Floats) -> list[float]:
    tokens = np.array([score.tokens for score in scores], dtype=float)
    value = losses(scores).sum() / tokens.sum()
    loss = percentile(float(value), (counts @ losses(scores)) / (counts @ tokens), len(scores))
    return [float(np.exp(loss.low)), float(np.exp(loss.high))]
