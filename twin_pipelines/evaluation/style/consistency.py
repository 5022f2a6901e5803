"""Style consistency: how often is text in the twin's hand taken for the person's?

docs/figures.md. A(x) is the share of windows, strung together from x's replies to held-out
contexts, that a verifier attributes to the subject. The verifier knows the subject (train sessions
only), other people, and AI text as an author of its own. A0 = max(A of the untuned base, mean A of
people the verifier has never seen); SC = clip((A - A0) / (A_human - A0), 0, 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twin_pipelines.evaluation.bootstrap import Estimate, draw_items, percentile
from twin_pipelines.evaluation.style.masking import common_words, mask
from twin_pipelines.evaluation.style.verifier import Floats, Indices, Replies, StyleVerifier
from twin_pipelines.evaluation.unseen import refuse_shared

SUBJECT = "subject"
AI_TEXT = "AI text"
WINDOWS = 2_000  # for the figure itself
RESAMPLE_WINDOWS = 40  # for each bootstrap resample, of one system or of all unseen people
CHUNK = 50  # resamples worked on at a time
MOST_UNDEFINED = 0.05  # of the resamples; above it the figure has no interval


@dataclass(frozen=True)
class StyleTexts:
    """Everything the figure is computed from.

    `subject` is train text; `human`, `twin`, `base`, `prompted` and the systems of `more` answer
    the same held-out contexts, in one order; `people` teach the verifier, `unseen` do not.
    """

    subject: Sequence[str]
    people: Mapping[str, Sequence[str]]
    ai: Sequence[str]
    unseen: Mapping[str, Sequence[str]]
    human: Sequence[str]
    twin: Sequence[str]
    base: Sequence[str]
    prompted: Sequence[str]
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)
    said: bool = True  # word for word, not masked

    def masked(self) -> StyleTexts:
        """The same, without `more`, with content words and names masked: manner without topic."""
        kept = common_words(self.people)

        def one(texts: Sequence[str]) -> list[str]:
            return [mask(text, kept) for text in texts]

        def many(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
            return {author: one(lines) for author, lines in texts.items()}

        return StyleTexts(
            one(self.subject),
            many(self.people),
            one(self.ai),
            many(self.unseen),
            one(self.human),
            one(self.twin),
            one(self.base),
            one(self.prompted),
            said=False,
        )


@dataclass(frozen=True)
class Attribution:
    """Share of a system's windows attributed to the subject: the figure and its resamples."""

    value: float
    draws: Floats  # (times,)

    def estimate(self, n: int) -> Estimate:
        """With its interval."""
        return percentile(self.value, self.draws, n)


@dataclass(frozen=True)
class Consistency:
    """The figures as they stand in metrics.json; SC and its draws by system, for comparisons."""

    figures: dict[str, Any]
    values: dict[str, float]
    draws: dict[str, Floats]  # (times,)

    def delta(self, first: str, second: str) -> dict[str, Any]:
        """SC of one system minus that of another, on the same contexts."""
        draws = self.draws[first] - self.draws[second]
        value = self.values[first] - self.values[second]
        return percentile(value, draws, self.figures["n"]).as_dict()


def style_consistency(
    texts: StyleTexts, *, window_words: int, times: int, seed: int
) -> Consistency:
    """The figures of docs/figures.md, the masked ones included.

    Raises ValueError where there is too little text, SeenError where the verifier was fitted on
    the text that it is to judge.
    """
    found = measure(texts, window_words=window_words, times=times, seed=seed)
    masked = measure(texts.masked(), window_words=window_words, times=times, seed=seed).figures
    shown = ("value", "ci95", "a_twin", "a_human", "a_base", "a_prompted", "base", "prompted")
    figures = {**found.figures, "masked": {key: masked[key] for key in shown}}
    return Consistency(figures, found.values, found.draws)


def measure(texts: StyleTexts, *, window_words: int, times: int, seed: int) -> Consistency:
    """Train the verifier and compute SC of every system with intervals.

    Replies are resampled whole and paired: in every resample (`draw_items` of the same seed) the
    same contexts are drawn for all systems; unseen people are resampled too, as people.
    """
    verifier = StyleVerifier(window_words, seed).fit(
        {SUBJECT: texts.subject, **texts.people, AI_TEXT: texts.ai}
    )
    if texts.said:
        verifier.learnt[SUBJECT].refuse(texts.human, "the person's held-out replies")
        refuse_shared(texts.unseen, texts.people, "unseen people", "those the verifier knows")
    systems = {"twin": texts.twin, "base": texts.base, "prompted": texts.prompted, **texts.more}
    answers = {**systems, "human": texts.human}
    n = len(texts.human)
    contexts = draw_items(n, times, seed)
    a = {
        name: attribution(verifier, verifier.read(replies), contexts, seed)
        for name, replies in answers.items()
    }
    unseen = _unseen_people(verifier, texts.unseen, times, seed)
    floor = Attribution(
        max(a["base"].value, unseen.value), np.maximum(a["base"].draws, unseen.draws)
    )
    relative = {name: _consistency(a[name], floor, a["human"]) for name in systems}
    sc = {name: _figure(figure, n) for name, figure in relative.items()}
    figures = {
        **sc["twin"],
        "n": n,
        **{f"a_{name}": a[name].value for name in answers},
        "a_unseen_people": unseen.value,
        "a_ci95": {
            **{name: a[name].estimate(n).as_dict()["ci95"] for name in answers},
            "unseen_people": unseen.estimate(len(texts.unseen)).as_dict()["ci95"],
        },
        **{name: sc[name] for name in systems if name != "twin"},
        "above_base": _above(a["twin"], a["base"], n),
        "above_prompted": _above(a["twin"], a["prompted"], n),
        "verifier": {
            "fingerprint": verifier.fingerprint,
            "fitted_on": verifier.learnt[SUBJECT].fingerprint,
            "window_words": window_words,
            "people": len(texts.people),
            "unseen_people": len(texts.unseen),
            "ai_replies": len(texts.ai),
            "subject_replies": len(texts.subject),
        },
    }
    return Consistency(
        figures,
        {name: figure.value for name, figure in relative.items()},
        {name: figure.draws for name, figure in relative.items()},
    )


def attribution(
    verifier: StyleVerifier,
    replies: Replies,
    contexts: Indices,
    seed: int,
    windows: int = RESAMPLE_WINDOWS,
) -> Attribution:
    """A(x) and its resamples; `contexts` (times, n) are the reply numbers each resample holds."""
    rng = np.random.default_rng([seed, 1])
    n = len(replies)
    length = draws_per_window(replies.words, verifier.window_words)
    picks = rng.integers(0, n, size=(WINDOWS, length))
    value = _share(verifier, replies, picks, 1)[0]
    draws = []
    for start in range(0, len(contexts), CHUNK):
        held = contexts[start : start + CHUNK]
        places = rng.integers(0, n, size=(len(held), windows * length))
        chosen = np.take_along_axis(held, places, axis=1).reshape(-1, length)
        draws.append(_share(verifier, replies, chosen, len(held)))
    return Attribution(float(value), np.concatenate(draws))


def draws_per_window(words: Floats, window_words: int) -> int:
    """How many replies to draw so that a window is nearly always full (mean + 4 SD)."""
    mean = max(float(words.mean()), 0.5)
    needed = window_words / mean
    return int(np.ceil(needed + 4 * np.sqrt(needed) * max(float(words.std()) / mean, 0.5))) + 1


def _share(verifier: StyleVerifier, replies: Replies, picks: Indices, parts: int) -> Floats:
    subject = verifier.authors.index(SUBJECT)
    mine = verifier.attribute(replies, picks) == subject
    return mine.reshape(parts, -1).mean(axis=1)


def _unseen_people(
    verifier: StyleVerifier, people: Mapping[str, Sequence[str]], times: int, seed: int
) -> Attribution:
    rng = np.random.default_rng([seed, 2])
    each = []
    windows = -(-RESAMPLE_WINDOWS // len(people))
    for texts in people.values():
        held = rng.integers(0, len(texts), size=(times, len(texts)))
        each.append(attribution(verifier, verifier.read(texts), held, seed, windows))
    chosen = rng.integers(0, len(each), size=(times, len(each)))
    draws = np.stack([one.draws for one in each], axis=1)
    return Attribution(
        float(np.mean([one.value for one in each])),
        np.take_along_axis(draws, chosen, axis=1).mean(axis=1),
    )


def _consistency(system: Attribution, floor: Attribution, human: Attribution) -> Attribution:
    value = _relative(np.array([system.value]), np.array([floor.value]), np.array([human.value]))
    draws = _relative(system.draws, floor.draws, human.draws)
    if np.isnan(draws).mean() > MOST_UNDEFINED:
        draws = np.full_like(draws, np.nan)
    return Attribution(float(value[0]), draws)


def _figure(consistency: Attribution, n: int) -> dict[str, Any]:
    figure = consistency.estimate(n).as_dict()
    return {"value": figure["value"], "ci95": figure["ci95"]}


def _above(system: Attribution, other: Attribution, n: int) -> dict[str, Any]:
    """How much more of the system's windows are taken for the subject's, on the same contexts."""
    return percentile(system.value - other.value, system.draws - other.draws, n).as_dict()


def _relative(values: Floats, floor: Floats, ceiling: Floats) -> Floats:
    """(x - control) / (ceiling - control), clipped; undefined where the ceiling is no higher."""
    with np.errstate(divide="ignore", invalid="ignore"):
        agreement = (values - floor) / (ceiling - floor)
    return np.where(ceiling > floor, np.clip(agreement, 0, 1), np.nan)
