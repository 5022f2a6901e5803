"""Relative agreement: how far from an impostor towards the person's own unseen text.

(x - control) / (ceiling - control), clipped to 0–1. Resamples of distances are further apart than
what they are drawn from, so the resamples of x, control and ceiling are first moved until their
mean is the figure itself (bias-corrected percentile interval; Efron & Tibshirani, An Introduction
to the Bootstrap, chapter 10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats, percentile

MOST_UNDEFINED = 0.05  # of the resamples; above it the figure has no interval
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Drawn:
    """A figure and its values in the resamples (times,)."""

    value: float
    draws: Floats

    def centred(self) -> Floats:
        """The resamples, moved so that their mean is the figure."""
        return self.draws - float(np.mean(self.draws)) + self.value


@dataclass(frozen=True)
class Part:
    """One relative agreement; without `relative` it could not be measured, and `note` says why."""

    n: int
    relative: Drawn | None = None
    x: float | None = None
    control: float | None = None
    ceiling: float | None = None
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The form in which it stands in metrics.json."""
        return {
            **interval(self.relative, self.n),
            "x": self.x,
            "control": self.control,
            "ceiling": self.ceiling,
            **({"note": self.note} if self.note else {}),
        }


def unmeasured(n: int, note: str) -> Part:
    """A part without a figure."""
    return Part(n, note=note)


def relative_part(x: Drawn, control: Drawn, ceiling: Drawn, n: int, note: str = "") -> Part:
    """The relative agreement of x; unmeasured where the ceiling is no higher than the control."""
    known = Part(n, x=x.value, control=control.value, ceiling=ceiling.value)
    if not ceiling.value > control.value:
        return replace(known, note="the ceiling is no higher than the control")
    value = np.clip((x.value - control.value) / (ceiling.value - control.value), 0, 1)
    low, high = control.centred(), ceiling.centred()
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.clip((x.centred() - low) / (high - low), 0, 1)
    draws = np.where(high > low, draws, np.nan)
    if np.isnan(draws).mean() > MOST_UNDEFINED:
        draws = np.full_like(draws, np.nan)
        note = "; ".join(filter(None, (note, "too little text for an interval")))
    return replace(known, relative=Drawn(float(value), draws), note=note or None)


def mean_of(parts: Mapping[str, Part]) -> Part:
    """The mean of the parts that were measured; the note names the others."""
    held = {name: part.relative for name, part in parts.items() if part.relative}
    missing = [name for name in parts if name not in held]
    note = f"without {', '.join(missing)}: {NOT_MEASURED}" if missing else None
    n = sum(parts[name].n for name in held)
    if not held:
        return Part(n, note=note)
    value = float(np.mean([one.value for one in held.values()]))
    draws = np.mean([one.draws for one in held.values()], axis=0)
    return Part(n, Drawn(value, draws), note=note)


def interval(figure: Drawn | None, n: int) -> dict[str, Any]:
    """Value, 95 % interval and n of a figure; nulls where there is none."""
    if figure is None:
        return {"value": None, "ci95": None, "n": n}
    estimate = percentile(figure.value, figure.draws, n)
    if np.isnan(estimate.low):
        return {"value": estimate.value, "ci95": None, "n": n}
    return estimate.as_dict()


def paired_difference(first: Part, second: Part) -> dict[str, Any]:
    """`first` minus `second`, resample by resample; null where either was not measured."""
    n = min(first.n, second.n)
    if first.relative is None or second.relative is None:
        return {"delta": interval(None, n), "note": NOT_MEASURED}
    draws = first.relative.draws - second.relative.draws
    value = first.relative.value - second.relative.value
    return {"delta": interval(Drawn(value, draws), n)}
