"""Traits: do a system's replies show the person's Big Five, as `persona.traits.rater` counts?

Two profiles agree by 1 - RMS difference / sqrt(2): 1 for the same, about 0 for two people drawn at
random. Comparing raw closeness would be worthless, because the average person is close to
everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats
from twin_pipelines.evaluation.personality.agreement import Part, unmeasured
from twin_pipelines.evaluation.personality.comparison import (
    SAMPLES,
    SAMPLES_OF_OTHERS,
    Material,
    compare,
    sample_to_size,
)
from twin_pipelines.persona.traits.rater import Rater, count_markers, halves_of

FEWEST_WORDS = 600  # of real replies
FEWEST_PEOPLE = 5


def trait_parts(
    real: Sequence[str],
    systems: Mapping[str, Sequence[str]],
    earlier: Sequence[str],
    people: Mapping[str, Sequence[str]],
    *,
    times: int,
    seed: int,
) -> dict[str, Part]:
    """How far each system's replies show the person's traits; all reply to the first of `real`.

    `earlier` are replies of the person's train sessions, `people` replies of others.
    """
    reference = count_markers(real)
    asked = max(map(len, systems.values()))
    words = reference[:asked, -1].sum()
    if words < FEWEST_WORDS:
        note = f"{words:.0f} words of real replies; {FEWEST_WORDS} are needed"
        return dict.fromkeys(systems, unmeasured(asked, note))
    rng = np.random.default_rng([seed, 2])

    def samples(texts: Sequence[str], number: int) -> Floats | None:
        rows = count_markers(texts)
        return sample_to_size(rows, rows[:, -1], words, number, rng)

    own = samples(earlier, SAMPLES)
    drawn = [samples(texts, SAMPLES_OF_OTHERS) for texts in people.values() if texts]
    others = [one for one in drawn if one is not None]
    if own is None or len(others) < FEWEST_PEOPLE:
        note = "too little text of the person's train sessions or of other people"
        return dict.fromkeys(systems, unmeasured(asked, note))
    counted = {name: count_markers(replies) for name, replies in systems.items()}
    halves = np.array(
        [halves_of(count_markers(texts)) for texts in people.values() if len(texts) > 1]
    )
    rater = Rater.of(others, halves)
    return compare(Material(reference, counted, own, others), rater.agreement, times, seed)
