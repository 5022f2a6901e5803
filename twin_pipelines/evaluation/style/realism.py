"""Style realism: the mean of style consistency, style distance and indistinguishability.

docs/figures.md. Style consistency saturates; the other two do not. All three are resampled by the
same contexts, so that the interval of their mean is that of one experiment. The person's own text
stands at 1 in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats, Indices, percentile
from twin_pipelines.evaluation.style.consistency import Consistency, StyleTexts
from twin_pipelines.evaluation.style.distance import Distances, style_distances
from twin_pipelines.evaluation.style.indistinguishable import Judged, judged

CONTROLS = ("base", "prompted")


@dataclass(frozen=True)
class Realism:
    """The figures as they stand in metrics.json, and each system's draws for comparisons."""

    figures: dict[str, Any]
    draws: dict[str, Floats] = field(default_factory=dict)  # (times,), by system
    values: dict[str, float] = field(default_factory=dict)


def style_realism(
    texts: StyleTexts, consistency: Consistency, items: Indices, seed: int
) -> Realism:
    """Style realism of the twin, its parts, and of every other system that answered.

    `items` (times, n) are the resamples that `consistency` was computed from. Raises ValueError
    where there is too little text.
    """
    systems = {
        "twin": texts.twin,
        "base": texts.base,
        "prompted": texts.prompted,
        **texts.more,
    }
    distances = style_distances(
        texts.subject,
        {**texts.people, **texts.unseen},
        {"human": texts.human, **systems},
        items,
        seed,
    )
    verdicts = {name: judged(texts.human, said, items, seed) for name, said in systems.items()}
    values, draws = {}, {}
    for name in systems:
        parts = (consistency.values[name], distances.relative[name])
        values[name] = float(np.mean([*parts, verdicts[name].indistinguishability]))
        draws[name] = np.mean(
            [consistency.draws[name], distances.draws[name], verdicts[name].draws], axis=0
        )
    n = len(texts.human)
    figures = {
        **percentile(values["twin"], draws["twin"], n).as_dict(),
        "distance": _distance(distances, n),
        "indistinguishability": _indistinguishability(verdicts, n),
        "controls": {
            **{
                name: percentile(values[name], draws[name], n).as_dict()
                for name in (*CONTROLS, *texts.more)
            },
            "human": 1.0,
        },
    }
    return Realism(figures, draws, values)


def _distance(distances: Distances, n: int) -> dict[str, Any]:
    return {
        **percentile(distances.relative["twin"], distances.draws["twin"], n).as_dict(),
        **{f"delta_{name}": value for name, value in distances.delta.items()},
        **{name: distances.relative[name] for name in CONTROLS},
        "words": distances.words,
    }


def _indistinguishability(verdicts: Mapping[str, Judged], n: int) -> dict[str, Any]:
    twin = verdicts["twin"]
    return {
        **percentile(twin.indistinguishability, twin.draws, n).as_dict(),
        "auc_per_reply": {name: verdict.auc.value for name, verdict in verdicts.items()},
        "auc_per_reply_ci95": [twin.auc.low, twin.auc.high],
        "auc_per_5": {name: verdict.auc_per_5.value for name, verdict in verdicts.items()},
        "auc_per_5_ci95": [twin.auc_per_5.low, twin.auc_per_5.high],
        **{name: verdicts[name].indistinguishability for name in CONTROLS},
    }


def delta(first: str, second: str, realism: Realism, n: int) -> dict[str, Any]:
    """Realism of one system minus that of another, on the same contexts."""
    value = realism.values[first] - realism.values[second]
    return percentile(value, realism.draws[first] - realism.draws[second], n).as_dict()
