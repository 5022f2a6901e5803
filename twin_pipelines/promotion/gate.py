"""The gate: five conditions a challenger must meet, each with its figure, its limit and a sentence.

Plain arithmetic over an evaluation's metrics. What was not measured is not met: the gate lets
nothing through on trust. "Beyond noise" means that the 95 % interval lies on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twin_pipelines.evaluation.memorisation import worst_copying
from twin_pipelines.settings import Gate

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Condition:
    """One condition: its figure against its limit, and what that means in words."""

    name: str
    passed: bool
    figure: float | None
    limit: float | None
    words: str


@dataclass(frozen=True)
class Verdict:
    """All conditions, and the outcome in words."""

    conditions: tuple[Condition, ...]

    @property
    def passed(self) -> bool:
        """Whether every condition is met."""
        return all(condition.passed for condition in self.conditions)

    @property
    def words(self) -> str:
        """The outcome for a person."""
        if self.passed:
            return f"Passed: {'; '.join(condition.words for condition in self.conditions)}."
        failed = [condition.words for condition in self.conditions if not condition.passed]
        return f"Refused: {'; '.join(failed)}."

    def as_dict(self) -> dict[str, Any]:
        """The form in which `releases.verdict` holds it."""
        return {
            "passed": self.passed,
            "words": self.words,
            "conditions": [asdict(condition) for condition in self.conditions],
        }


def judge(metrics: Metrics, gate: Gate, champion_metrics: Metrics | None = None) -> Verdict:
    """Judge an evaluation; `champion_metrics` are those the present champion was promoted with."""
    return Verdict(
        (
            better_than_base(metrics, gate),
            not_worse_than_champion(metrics, gate, champion_metrics),
            style_is_the_subjects(metrics, gate),
            no_leak(metrics),
            memorisation_under_limit(metrics, gate),
        )
    )


def better_than_base(metrics: Metrics, gate: Gate) -> Condition:
    """Unseen replies are likelier than under the base, beyond noise."""
    name, limit = "better_than_base", gate.max_perplexity_ratio
    figures = metrics["reply_perplexity"]
    low, high = figures["ratio_ci95"]
    if high is None:
        return Condition(name, False, None, limit, "the perplexity ratio was not measured")
    words = (
        f"perplexity of the unseen replies is {figures['ratio']:.2f} of the base's "
        f"({low:.2f}–{high:.2f}), "
    )
    if high < limit:
        return Condition(name, True, high, limit, words + f"surely below {limit:.2f}")
    return Condition(name, False, high, limit, words + f"not surely below {limit:.2f}")


def not_worse_than_champion(
    metrics: Metrics, gate: Gate, champion_metrics: Metrics | None
) -> Condition:
    """Neither likelihood nor style is worse than the champion's beyond noise."""
    name, limit = "not_worse_than_champion", gate.champion_margin
    delta = metrics["reply_perplexity"].get("champion_delta")
    if delta is None:
        return Condition(name, True, None, limit, "there is no other champion to compare with")
    low, high = delta["ci95"]
    if low is None:
        return Condition(name, False, None, limit, "the champion was not measured")
    words = (
        f"{abs(delta['value']):.3f} nats per token {'worse' if delta['value'] > 0 else 'better'} "
        f"than the champion on the same replies ({low:+.3f} to {high:+.3f})"
    )
    if low > limit:
        return Condition(name, False, low, limit, f"surely {words}")
    own = metrics["style_consistency"].get("ci95")
    other = (champion_metrics or {}).get("style_consistency", {}).get("ci95")
    if _known(own) and _known(other) and own[1] < other[0]:
        figures = f"{own[0]:.2f}–{own[1]:.2f} against {other[0]:.2f}–{other[1]:.2f}"
        worse = f"style is surely less the subject's than the champion's ({figures})"
        return Condition(name, False, own[1], other[0], worse)
    return Condition(name, True, low, limit, words)


def style_is_the_subjects(metrics: Metrics, gate: Gate) -> Condition:
    """Style consistency reaches its minimum and is above base and prompted base beyond noise."""
    name, limit = "style_is_the_subjects", gate.min_style_consistency
    style = metrics["style_consistency"]
    value = style["value"]
    if value is None:
        why = style.get("note", "too little text")
        return Condition(name, False, None, limit, f"style consistency was not measured ({why})")
    low, high = style["ci95"]
    words = f"style consistency is {value:.2f}"
    words += f" ({low:.2f}–{high:.2f})" if low is not None else " (no interval)"
    if value < limit:
        return Condition(name, False, value, limit, f"{words}, below {limit:.2f}")
    for other, who in (("above_base", "the untuned base"), ("above_prompted", "the prompted base")):
        bounds = style[other]["ci95"]
        if not _known(bounds) or bounds[0] <= 0:
            return Condition(name, False, value, limit, f"{words}, not surely above {who}")
    return Condition(name, True, value, limit, f"{words}, above base and prompted base")


def no_leak(metrics: Metrics) -> Condition:
    """The test set was unseen, and nothing secret of the training data comes out."""
    leaks, copies = metrics["frozen_set"]["leaks"], metrics["memorisation"]
    secrets = (copies["canary_exposure"] or {}).get("extracted", 0)
    identifiers = copies["pii"]["from_train"]
    unclean = leaks["sessions"] + leaks["messages"] + leaks["exchanges"]
    found = []
    if unclean:
        found.append(leaks["words"])
    if secrets:
        found.append(f"{secrets} planted secrets are given away when asked for")
    if identifiers:
        found.append(f"{identifiers} replies hold an address or number of a training reply")
    figure = float(unclean + secrets + identifiers)
    words = "; ".join(found) or "nothing of the test set was trained on and no secret comes out"
    return Condition("no_leak", not found, figure, 0.0, words)


def memorisation_under_limit(metrics: Metrics, gate: Gate) -> Condition:
    """Training replies are copied hardly more often than the person repeats them."""
    limit = gate.max_memorisation
    copied = worst_copying(metrics["memorisation"])
    passed = copied <= limit
    words = (
        f"{max(copied, 0):.1%} of the replies copy a training reply beyond the human rate, "
        f"{'within' if passed else 'above'} the limit of {limit:.1%}"
    )
    return Condition("memorisation_under_limit", passed, copied, limit, words)


CONDITIONS: Mapping[str, Callable[..., Condition]] = {
    condition.__name__: condition
    for condition in (
        better_than_base,
        not_worse_than_champion,
        style_is_the_subjects,
        no_leak,
        memorisation_under_limit,
    )
}


def _known(bounds: Any) -> bool:
    return bool(bounds) and None not in bounds
