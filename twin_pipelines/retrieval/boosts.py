"""What importance and recency do to the score of a candidate: little, and never more.

The odds that a candidate answers are multiplied by a boost of 0.9 to 1.1, half of it for how
important it is and half for how fresh; a score is the logarithm of such odds. A question that
names a time is not answered better by what is fresh.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twin_pipelines.retrieval.ranking.lexical import Floats

NUDGE = 0.05  # importance, and recency, move the boost by so much either way


def boosts(
    importance: Floats, days: npt.NDArray[np.int64], today: int, half_life_days: float, dated: bool
) -> Floats:
    """The boost of each candidate, 0.9 to 1.1, shape (candidates,).

    `importance` is 0 to 1, `days` and `today` are ordinals; after `half_life_days` recency is ½,
    which changes nothing. What lies ahead of `today` is as fresh as can be. With `dated` recency
    counts for nothing.
    """
    age = np.maximum(today - days, 0)
    recency = np.full(len(days), 0.5) if dated else np.exp2(-age / half_life_days)
    weight = np.clip(importance, 0.0, 1.0)
    return (1 + NUDGE * (2 * weight - 1) + NUDGE * (2 * recency - 1)).astype(np.float32)
