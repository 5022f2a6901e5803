"""What a verdict is made of: findings about figures, put together into named conditions.

A finding compares one figure of an evaluation with its limit and says so in words. What was not
measured is never passed in silence: in full depth it is a failure, in quick depth, or where the
history lacks the material, the words say that it was not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from twin_pipelines.settings import Gate

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval; the interval is absent where it is undefined."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.2f} (no interval)"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"

    def surely_above(self, limit: float) -> bool:
        """Whether the whole interval lies above the limit."""
        return self.low is not None and self.low > limit

    def surely_below(self, limit: float) -> bool:
        """Whether the whole interval lies below the limit."""
        return self.high is not None and self.high < limit


@dataclass(frozen=True)
class Finding:
    """One figure against its limit. `passed` is None where there was nothing to judge."""

    passed: bool | None
    words: str
    figure: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Condition:
    """One condition: its figure against its limit, and what that means in words."""

    name: str
    passed: bool
    figure: float | None
    limit: float | None
    words: str
    judged: bool = True

    @classmethod
    def of(cls, name: str, findings: Sequence[Finding]) -> Self:
        """The condition that all findings make: the figure is that of the first that decides."""
        failed = [finding for finding in findings if finding.passed is False]
        judged = [finding for finding in findings if finding.passed is not None]
        first = (failed or judged or list(findings))[0]
        words = "; ".join(finding.words for finding in failed or findings)
        return cls(name, not failed, first.figure, first.limit, words, bool(judged))


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
        if not self.passed:
            failed = [condition for condition in self.conditions if not condition.passed]
            told = "; ".join(f"{one.words} [{one.name}]" for one in failed)
            return f"Refused: {told}."
        judged = [condition for condition in self.conditions if condition.judged]
        passed = f"Passed: {len(judged)} of {len(self.conditions)} conditions were judged and met"
        left = [one for one in self.conditions if not one.judged]
        told = "; ".join(f"{one.words} [{one.name}]" for one in left)
        return f"{passed}. {told[0].upper()}{told[1:]}." if left else f"{passed}."

    def as_dict(self) -> dict[str, Any]:
        """The form in which `releases.verdict` holds it."""
        return {
            "passed": self.passed,
            "words": self.words,
            "conditions": [asdict(condition) for condition in self.conditions],
        }


@dataclass(frozen=True)
class Case:
    """A challenger before the gate: its metrics, the limits, and whether a champion serves.

    `champion` holds the metrics another adapter's release was promoted with; None: there is none.
    `erased` says why its adapter may answer nobody; empty where it may.
    """

    metrics: Metrics
    gate: Gate
    champion: Metrics | None = None
    erased: str = ""

    @property
    def quick(self) -> bool:
        """Whether the evaluation measured only what is quick."""
        return self.metrics.get("depth") == "quick"

    @property
    def contested(self) -> bool:
        """Whether another release serves."""
        likelihood = self.at("reply_perplexity", "champion_delta")
        return self.champion is not None or likelihood is not None or bool(self.at("champion"))

    def at(self, *keys: str) -> Any:
        """The value under nested keys; None where a key is missing."""
        return dig(self.metrics, *keys)

    def figure(self, *keys: str) -> Figure | None:
        """The figure `{value, ci95}` under nested keys; None where it has no value."""
        return read_figure(self.at(*keys))

    def unmeasured(self, what: str) -> Finding:
        """What a missing figure means: nothing in quick depth, a failure in full depth."""
        if self.quick:
            return Finding(None, f"{what}: not measured in this depth: not judged")
        return Finding(False, f"{what}: not measured, though the evaluation is in full depth")

    def missing(self, what: str, *keys: str) -> Finding:
        """As `unmeasured`, but a figure that is null with a reason lacked the material."""
        node = self.at(*keys)
        note = node.get("note") if isinstance(node, Mapping) else None
        if note:
            return Finding(None, f"{what}: the history lacks the material ({note}): not judged")
        return self.unmeasured(what)

    def no_worse(self, what: str, key: str, margin: float, *, sign: int = 1) -> Finding:
        """Whether the paired difference from the champion on the same frozen set is bearable.

        Refused when the loss is larger than the margin and its interval excludes no loss at all.
        `sign` is -1 for a figure of which less is better.
        """
        if not self.contested:
            return Finding(None, f"{what}: there is no other champion to compare with")
        delta = self.figure("champion", key, "delta")
        if delta is None:
            return self.missing(f"{what} against the champion", "champion", key)
        low, high = (delta.low, delta.high) if sign > 0 else (_minus(delta.high), _minus(delta.low))
        gain = sign * delta.value
        if low is None or high is None:
            return Finding(False, f"{what} against the champion has no interval", gain, -margin)
        words = f"{what} differs from the champion's by {gain:+.3f} ({low:+.3f} to {high:+.3f})"
        if gain < -margin and high < 0:
            return Finding(False, f"{words}, surely worse by over {margin:g}", gain, -margin)
        return Finding(True, words, gain, -margin)


def dig(tree: Any, *keys: str) -> Any:
    """The value under nested keys; None where a key is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def read_figure(node: Any) -> Figure | None:
    """A `{value, ci95}` mapping as a Figure; None where it has no value."""
    if not isinstance(node, Mapping) or node.get("value") is None:
        return None
    low, high = node.get("ci95") or (None, None)
    return Figure(float(node["value"]), low, high)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
