"""Diversity: does the twin say different things, or the same again and again?

Distinct-1 and distinct-2 (Li et al. 2016): different words, and different pairs of neighbouring
words, per word. Both fall with the length of a text, so every system is cut to the same number of
words, drawn without replacement. Repeated: share of replies whose words another reply has too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats, Indices, half_orders, mean, percentile
from twin_pipelines.evaluation.style.distance import tokens

DRAWS = 200


def diversity(
    systems: Mapping[str, Sequence[str]], items: Indices, counts: Floats, seed: int
) -> dict[str, dict[str, Any]]:
    """Figures of `twin`, with those of the other systems (`human` among them) beside.

    `items` and `counts` are the same bootstrap resamples of the replies, as numbers and as counts.
    """
    said = {name: [tokens(text) for text in texts] for name, texts in systems.items()}
    n = len(said["twin"])
    length = max(1, int(min(sum(map(len, texts)) for texts in said.values()) / 2))
    orders = half_orders(items[:DRAWS], seed)
    figures = {}
    for size in (1, 2):
        draws = {
            name: np.array([_distinct(texts, order, length, size) for order in orders])
            for name, texts in said.items()
        }
        figures[f"distinct{size}"] = {
            **percentile(float(np.nanmean(draws["twin"])), draws["twin"], n).as_dict(),
            **{name: float(np.nanmean(held)) for name, held in draws.items() if name != "twin"},
            "words": length,
        }
    repeated = {name: _repeated(texts) for name, texts in said.items()}
    figures["repeated"] = {
        **mean(repeated["twin"], counts).as_dict(),
        **{name: float(held.mean()) for name, held in repeated.items() if name != "twin"},
    }
    return figures


def _distinct(texts: Sequence[Sequence[str]], order: Sequence[int], words: int, size: int) -> float:
    runs: set[tuple[str, ...]] = set()
    taken = total = 0
    for place in order:
        text = texts[place][: words - taken]
        taken += len(text)
        found = [tuple(text[start : start + size]) for start in range(len(text) - size + 1)]
        runs.update(found)
        total += len(found)
        if taken >= words:
            break
    return len(runs) / total if total else float("nan")


def _repeated(texts: Sequence[Sequence[str]]) -> Floats:
    """1 for a reply of the same words as another; nothing said is no repetition."""
    times = Counter(map(tuple, texts))
    return np.array([float(bool(text) and times[tuple(text)] > 1) for text in texts])
