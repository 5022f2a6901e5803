"""When to train again: volume, drift, the owner's corrections, erasure; and when to wait.

Plain decisions over counted facts, each said in words.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from twin_pipelines.automation.drift import Drift
from twin_pipelines.settings import Automation


@dataclass(frozen=True)
class Facts:
    """What is known about the champion and what came in since it was trained."""

    release_id: int
    dataset_version: str
    new_pairs: int
    corrections: int
    erased: int  # pairs the champion learnt whose message is gone
    dropped: int  # pairs it learnt that may not be learnt any more
    drift: Drift | None  # None: too few new pairs to tell
    last_training: datetime | None  # when the last one ended or was begun
    running: bool
    edited: int = 0  # pairs it learnt that say something else now


@dataclass(frozen=True)
class Reason:
    """One trigger that fired. A `key` is asked for once, however often it is looked at."""

    name: str  # volume, drift, corrections or erasure
    key: str
    words: str
    urgent: bool = False  # does not wait for the cool-down


@dataclass(frozen=True)
class Decision:
    """Whether to train now, for which reasons, and the whole story in words."""

    reasons: tuple[Reason, ...]
    words: str
    train: bool

    @property
    def key(self) -> str:
        """Identity of the request."""
        return "+".join(reason.key for reason in self.reasons)


def decide(
    facts: Facts, settings: Automation, now: datetime, asked: Collection[str] = ()
) -> Decision:
    """Whether the champion should be challenged by a new training, and why, or why not yet.

    `asked` holds the keys of reasons for which a training was asked before.
    """
    found = [reason for reason in _triggers(facts, settings) if reason]
    reasons = tuple(reason for reason in found if reason.key not in asked)
    if not found:
        return Decision((), f"No training: {_situation(facts, settings)}.", False)
    if not reasons:
        why = "; ".join(reason.words for reason in found)
        return Decision((), f"No training: one was asked for already ({why}).", False)
    why = "; ".join(reason.words for reason in reasons)
    if facts.running:
        return Decision(reasons, f"No training now ({why}): one is already on its way.", False)
    rest = _cool_down(facts, settings, now)
    if rest and not any(reason.urgent for reason in reasons):
        hours = rest.total_seconds() / 3600
        waiting = f"the last one was less than {settings.cool_down_hours:g} hours ago"
        return Decision(
            reasons, f"No training yet ({why}): {waiting}; {hours:.1f} hours left.", False
        )
    return Decision(reasons, f"Training: {why}.", True)


def _triggers(facts: Facts, settings: Automation) -> list[Reason | None]:
    return [
        _erasure(facts),
        _volume(facts, settings),
        _corrections(facts, settings),
        _drift(facts, settings),
    ]


def _erasure(facts: Facts) -> Reason | None:
    if not facts.erased:
        return None
    words = f"{facts.erased} pairs the champion learnt were erased since"
    if facts.dropped:
        words += f", {facts.dropped} more are no longer usable"
    return Reason("erasure", f"erasure-{facts.release_id}-{facts.erased}", words, urgent=True)


def _volume(facts: Facts, settings: Automation) -> Reason | None:
    threshold = settings.retrain_after_pairs
    if facts.new_pairs < threshold:
        return None
    key = f"{facts.dataset_version}-{facts.new_pairs // threshold}"
    words = f"{facts.new_pairs} new pairs since the champion's dataset {facts.dataset_version}"
    return Reason("volume", key, words)


def _corrections(facts: Facts, settings: Automation) -> Reason | None:
    threshold = settings.retrain_after_corrections
    if facts.corrections < threshold:
        return None
    key = f"corrections-{facts.release_id}-{facts.corrections // threshold}"
    return Reason("corrections", key, f"the owner corrected {facts.corrections} answers since")


def _drift(facts: Facts, settings: Automation) -> Reason | None:
    if facts.drift is None or not facts.drift.over(settings.drift_threshold):
        return None
    step = facts.new_pairs // settings.drift_pairs
    key = f"drift-{facts.release_id}-{step}"
    return Reason("drift", key, f"the subject writes differently now: {facts.drift.words}")


def _situation(facts: Facts, settings: Automation) -> str:
    told = [
        f"{facts.new_pairs} new pairs since the champion's dataset {facts.dataset_version}, "
        f"retraining begins at {settings.retrain_after_pairs}",
        f"{facts.corrections} corrections of {settings.retrain_after_corrections}",
        "nothing it learnt was erased",
    ]
    if facts.dropped:
        told.append(f"{facts.dropped} pairs it learnt are no longer usable")
    if facts.edited:
        told.append(f"{facts.edited} pairs it learnt were edited")
    if facts.drift is None:
        told.append(f"drift is judged from {settings.drift_pairs} new pairs on")
    else:
        told.append(f"drift is under {settings.drift_threshold:g} bits ({facts.drift.words})")
    return "; ".join(told)


def _cool_down(facts: Facts, settings: Automation, now: datetime) -> timedelta | None:
    """How long to wait still; None when nothing speaks against a training."""
    if facts.last_training is None:
        return None
    rest = facts.last_training + timedelta(hours=settings.cool_down_hours) - now
    return rest if rest > timedelta(0) else None
