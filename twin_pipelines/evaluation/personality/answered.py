"""From answers to figures: how many preferences and facts a system got right.

Preferences: of every topic the mean of two marks, whether liking or its opposite was chosen
rightly and the share of rivals it was preferred to; liked and disliked topics weigh the same, so
that who likes everything gets a half. Where hardly anything is liked, or disliked, the rivals alone
count. Facts: of every question the mean of two marks, whether the true answer won the forced choice
and whether the answer given holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from twin_pipelines.evaluation.bootstrap import Floats, resamples
from twin_pipelines.evaluation.personality.agreement import (
    Drawn,
    Part,
    relative_part,
    unmeasured,
)
from twin_pipelines.evaluation.personality.asking import Asked, FactAnswers, Scores
from twin_pipelines.evaluation.personality.facts import FactQuestion
from twin_pipelines.evaluation.personality.preferences import Preference

Bools = NDArray[np.bool_]
FEWEST_OF_A_KIND = 5  # liked, and disliked, topics
FEWEST_RIVALLED = 10  # liked topics where there are too few disliked ones
FEWEST_FACTS = 6
FEWEST_LATER = 5
ALONE, RECALLED, ORACLE = "alone", "recalled", "oracle"


def preference_parts(
    asked: Sequence[Preference],
    systems: Mapping[str, Asked],
    later: Sequence[bool],
    *,
    times: int,
    seed: int,
) -> dict[str, Part]:
    """How far each system shares the person's preferences; the control is the system "base".

    `later` says, for topics the person spoke of again in later sessions, whether they agreed.
    """
    liked = np.array([one.liked for one in asked], dtype=bool)
    counts = resamples(max(1, len(asked)), times, seed)
    notes = []
    if min(liked.sum(), (~liked).sum()) >= FEWEST_OF_A_KIND:
        shares = {
            name: _balanced(preference_marks(asked, one, systems["base"]), liked, counts)
            for name, one in systems.items()
        }
    else:
        notes.append(f"{liked.sum()} liked and {(~liked).sum()} disliked topics")
        rivalled = np.array([bool(one.rivals) for one in asked], dtype=bool)
        if rivalled.sum() < FEWEST_RIVALLED:
            needed = f"{FEWEST_OF_A_KIND} of each, or {FEWEST_RIVALLED} with rivals, are needed"
            return dict.fromkeys(systems, unmeasured(len(asked), f"{notes[0]}; {needed}"))
        notes.append("only the choice among rivals counts")
        shares = {
            name: _mean(rival_marks(one, systems["base"])[rivalled], counts[:, rivalled])
            for name, one in systems.items()
        }
    if len(later) >= FEWEST_LATER:
        again = resamples(len(later), times, seed)
        values = np.array(later, dtype=float)
        ceiling = _mean(values, again)
        notes.append(f"ceiling from {len(later)} topics spoken of again in later sessions")
    else:
        ceiling = Drawn(1.0, np.ones(times))
        notes.append(f"{len(later)} topics spoken of again in later sessions: ceiling taken as 1")
    return {
        name: relative_part(share, shares["base"], ceiling, len(asked), "; ".join(notes))
        for name, share in shares.items()
    }


def preference_marks(asked: Sequence[Preference], one: Asked, base: Asked) -> Floats:
    """Of each topic the mean of its marks (see above), 0–1 (topics,)."""
    liked = np.array([preference.liked for preference in asked])
    chosen = ((one.preferences.odds > 0) == liked).astype(float)
    beaten = rival_marks(one, base)
    return np.where(np.isnan(beaten), chosen, (chosen + beaten) / 2)


def rival_marks(one: Asked, base: Asked) -> Floats:
    """Of each topic the share of its rivals it was preferred to (topics,); NaN without rivals."""
    assert base.unasked is not None, "the base is asked nothing, too"
    given = zip(one.preferences.rivals, base.unasked.rivals, strict=True)
    pmi = [np.array(scores) - np.array(alone) for scores, alone in given]
    return np.array([(own[0] > own[1:]).mean() if len(own) > 1 else np.nan for own in pmi])


def fact_marks(asked: Sequence[FactQuestion], given: FactAnswers, unasked: Scores) -> Floats:
    """Of each question the mean of choice won and answer held, 0, 0.5 or 1 (questions,).

    `unasked` are the base's log-probabilities of the choices without a question.
    """
    pmi = np.array(given.scores) - np.array(unasked)
    won = (pmi[:, :1] > pmi[:, 1:]).all(axis=1)
    held = [one.answered_by(said) for one, said in zip(asked, given.answers, strict=True)]
    return (won + np.array(held)) / 2


class FactFigures:
    """Figures of the fact questions: control and ceiling are the base's, without and with the very
    statement in its context."""

    def __init__(
        self, asked: Sequence[FactQuestion], systems: Mapping[str, Asked], times: int, seed: int
    ) -> None:
        self.n = len(asked)
        self.enough = self.n >= FEWEST_FACTS
        self.marks: dict[tuple[str, str], Drawn] = {}
        if not self.enough:
            return
        counts = resamples(self.n, times, seed)
        base = systems["base"]
        assert base.unasked is not None, "the base is asked nothing, too"
        for name, one in systems.items():
            for context, given in one.facts.items():
                marks = fact_marks(asked, given, base.unasked.facts)
                self.marks[name, context] = _mean(marks, counts)

    def grounded(self, name: str) -> Drawn | None:
        """The share answered rightly with what was recalled, or without where nothing was."""
        return self.marks.get((name, RECALLED), self.marks.get((name, ALONE)))

    def part(self, name: str) -> Part:
        """The relative agreement of a system, with retrieval where there is one."""
        x = self.grounded(name)
        if x is None:
            return unmeasured(
                self.n, f"{self.n} questions about the person; {FEWEST_FACTS} are needed"
            )
        note = "" if (name, RECALLED) in self.marks else "without retrieval"
        control, ceiling = self.marks["base", ALONE], self.marks["base", ORACLE]
        return relative_part(x, control, ceiling, self.n, note)


def _mean(marks: Floats, counts: Floats) -> Drawn:
    """Mean mark and its resamples; one without any item takes the figure itself."""
    value = float(marks.mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = (counts @ marks) / counts.sum(axis=1)
    return Drawn(value, np.where(np.isfinite(draws), draws, value))


def _balanced(marks: Floats, liked: Bools, counts: Floats) -> Drawn:
    """Mean of both kinds' mean marks; a resample of one kind only takes the figure itself."""
    value = float((marks[liked].mean() + marks[~liked].mean()) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        sides = [
            (counts[:, side] @ marks[side]) / counts[:, side].sum(axis=1)
            for side in (liked, ~liked)
        ]
    draws = (sides[0] + sides[1]) / 2
    return Drawn(value, np.where(np.isfinite(draws), draws, value))
