"""Calibration: does the twin write as much, and use emoji as often, as the person?

The distribution over replies is compared by 1 - the Jensen-Shannon distance (base 2, so 0-1). The
person's replies are dealt into random halves, and a system's replies to the contexts of one half
are compared with the person's replies to the other; the ceiling is the person's own one half
against the other. The interval is that over 400 such deals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from twin_pipelines.evaluation.bootstrap import Floats, Indices, percentile
from twin_pipelines.evaluation.style.verifier import word_counts

DEALS = 400
LENGTHS = (0, 1, 2, 3, 4, 6, 9, 13, 21, 41)  # words at which a class begins
EMOJI = (0, 1, 2, 3)
_EMOJI = r"\p{Extended_Pictographic}[\x{FE0F}\x{20E3}\x{1F3FB}-\x{1F3FF}]*"


def calibration(
    human: Sequence[str], systems: Mapping[str, Sequence[str]], seed: int
) -> dict[str, dict[str, Any]]:
    """Agreement in words and in emoji of a reply; `systems` (with `twin`) answer the same contexts.

    The value is the twin's; the person's ceiling and the other systems stand beside it.
    """
    texts = {"human": human, **systems}
    words = {name: word_counts(said) for name, said in texts.items()}
    emoji = {name: emoji_counts(said) for name, said in texts.items()}
    return {
        "length": _agreement(words, LENGTHS, seed),
        "emoji": _agreement(emoji, EMOJI, seed),
    }


def emoji_counts(texts: Sequence[str]) -> Floats:
    """Emoji of each text."""
    return pl.Series("text", list(texts), dtype=pl.String).str.count_matches(_EMOJI).to_numpy()


def _agreement(amounts: Mapping[str, Floats], classes: Sequence[int], seed: int) -> dict[str, Any]:
    n = len(amounts["human"])
    rng = np.random.default_rng([seed, 8])
    orders = np.argsort(rng.random((DEALS, n)), axis=1)
    here, there = orders[:, : n // 2], orders[:, n // 2 :]
    kinds = {
        name: np.searchsorted(classes, held, side="right") - 1 for name, held in amounts.items()
    }
    person = _shares(kinds["human"], there, len(classes))
    draws = {
        name: 1 - _distance(_shares(kind, here, len(classes)), person)
        for name, kind in kinds.items()
    }
    return {
        **percentile(float(draws["twin"].mean()), draws["twin"], n).as_dict(),
        **{name: float(held.mean()) for name, held in draws.items() if name != "twin"},
        "mean": {name: float(held.mean()) for name, held in amounts.items()},
    }


def _shares(kinds: Indices, picks: Indices, classes: int) -> Floats:
    rows = np.arange(len(picks))[:, None] * classes
    counted = np.bincount((kinds[picks] + rows).ravel(), minlength=len(picks) * classes)
    return counted.reshape(len(picks), classes) / picks.shape[1]


def _distance(first: Floats, second: Floats) -> Floats:
    """Jensen-Shannon distance of each pair of rows."""
    middle = (first + second) / 2
    divergence = (_relative_entropy(first, middle) + _relative_entropy(second, middle)) / 2
    return np.sqrt(np.clip(divergence, 0, 1))


def _relative_entropy(first: Floats, second: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = first * np.log2(first / second)
    return np.where(first > 0, bits, 0).sum(axis=1)
