"""Compares what systems wrote with what the person wrote, between other people and the person.

Every text is a row of counts; a sample of texts is their sum. The reference are the person's real
replies to the frozen contexts. Systems reply to the first of these contexts and are resampled
together with them. The ceiling are samples of the person's earlier text, the control samples of
other people's, as large as the real replies to what the systems were asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin_pipelines.evaluation.bootstrap import Floats, resamples
from twin_pipelines.evaluation.personality.agreement import Drawn, Part, relative_part

Agreement = Callable[[Floats, Floats], Floats]
SAMPLES = 24  # of the person's earlier text
SAMPLES_OF_OTHERS = 8  # of each other person's
CHUNK = 100  # resamples worked on at a time


@dataclass(frozen=True)
class Material:
    """Counts: of real replies (n, k), of systems' replies to the first of them (up to n, k), and of
    samples (samples, k)."""

    reference: Floats
    systems: Mapping[str, Floats]
    own: Floats
    others: Sequence[Floats]


def compare(material: Material, agreement: Agreement, times: int, seed: int) -> dict[str, Part]:
    """The relative agreement of each system with the person.

    `agreement` takes sums of counts (a, k) and (b, k) and returns (a, b), higher for more alike.
    """
    n = len(material.reference)
    counts = resamples(n, times, seed)
    real = counts @ material.reference
    whole = material.reference.sum(axis=0, keepdims=True)
    people = np.random.default_rng([seed, 1]).integers(
        0, len(material.others), size=(times, len(material.others))
    )
    ceiling = Drawn(
        float(agreement(whole, material.own).mean()),
        _in_chunks(real, lambda part, _: agreement(part, material.own).mean(axis=1)),
    )
    flat = np.concatenate(material.others)
    owner = np.repeat(np.arange(len(material.others)), [len(one) for one in material.others])

    def by_person(sums: Floats) -> Floats:
        alike = agreement(sums, flat)
        return np.stack([alike[:, owner == who].mean(axis=1) for who in np.unique(owner)], axis=1)

    control = Drawn(
        float(by_person(whole).mean()),
        _in_chunks(
            real,
            lambda part, start: np.take_along_axis(
                by_person(part), people[start : start + len(part)], axis=1
            ).mean(axis=1),
        ),
    )
    parts = {}
    for name, rows in material.systems.items():
        said = counts[:, : len(rows)] @ rows
        x = Drawn(
            float(agreement(whole, rows.sum(axis=0, keepdims=True))[0, 0]),
            np.array([agreement(real[[b]], said[[b]])[0, 0] for b in range(times)]),
        )
        parts[name] = relative_part(x, control, ceiling, len(rows))
    return parts


def sample_to_size(
    rows: Floats, sizes: Floats, target: float, samples: int, rng: np.random.Generator
) -> Floats | None:
    """Sums of random rows, no row twice in one sample, whose sizes add up to about `target`.

    None where all rows together are smaller.
    """
    if sizes.sum() < target:
        return None
    sums = []
    for _ in range(samples):
        order = rng.permutation(len(rows))
        filled = np.cumsum(sizes[order])
        sums.append(rows[order[: int(np.searchsorted(filled, target)) + 1]].sum(axis=0))
    return np.array(sums)


def sample_by_group(
    rows: Floats,
    groups: NDArray[np.int64],
    needed: Mapping[int, int],
    samples: int,
    rng: np.random.Generator,
) -> Floats | None:
    """Sums of random rows, of each group as many as needed; None where a group has fewer."""
    places = {group: np.flatnonzero(groups == group) for group in needed}
    if any(len(places[group]) < number for group, number in needed.items()):
        return None
    sums = []
    for _ in range(samples):
        chosen = [rng.choice(places[group], number, False) for group, number in needed.items()]
        sums.append(rows[np.concatenate(chosen)].sum(axis=0))
    return np.array(sums)


def _in_chunks(rows: Floats, work: Callable[[Floats, int], Floats]) -> Floats:
    starts = range(0, len(rows), CHUNK)
    return np.concatenate([work(rows[start : start + CHUNK], start) for start in starts])
