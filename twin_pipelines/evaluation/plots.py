"""Plots of an evaluation: attribution, realism, likelihood reply by reply, picking the reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twin_pipelines.evaluation.likelihood.perplexity import losses
from twin_pipelines.generation.local import Score

STYLE_PLOT = "style_attribution.png"
REALISM_PLOT = "style_realism.png"
LIKELIHOOD_PLOT = "reply_likelihood.png"
PICK_PLOT = "pick_the_real_reply.png"
_COLOURS = {
    "human": "#444444",
    "twin": "#2a7d46",
    "prompted": "#c98a1b",
    "base": "#b3352c",
    "unseen_people": "#8888aa",
}
_NAMES = {
    "human": "the person\n(ceiling)",
    "twin": "twin",
    "prompted": "prompted base",
    "base": "base",
    "unseen_people": "other people",
}


def draw(
    folder: Path, metrics: Mapping[str, Any], base: Sequence[Score], twin: Sequence[Score]
) -> None:
    """Write every plot whose figures were measured; `base` and `twin` score the real replies."""
    import matplotlib as mpl

    mpl.use("Agg")
    if "a_ci95" in metrics["style_consistency"]:
        _style(folder / STYLE_PLOT, metrics["style_consistency"])
    if metrics["style_realism"]["value"] is not None:
        _realism(folder / REALISM_PLOT, metrics)
    _likelihood(folder / LIKELIHOOD_PLOT, base, twin, metrics["reply_perplexity"])
    _pick(folder / PICK_PLOT, metrics["pick_real_reply"])


def _style(path: Path, figures: Mapping[str, Any]) -> None:
    import matplotlib.pyplot as plt

    shown = list(_NAMES)
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for place, name in enumerate(shown):
        value = figures[f"a_{name}"]
        axes.bar(place, value, color=_COLOURS[name], width=0.62)
        _whisker(axes, place, value, figures["a_ci95"][name])
    axes.set_xticks(range(len(shown)), [_NAMES[name] for name in shown])
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("windows attributed to the person")
    axes.set_title(
        f"Style attribution, {figures['verifier']['window_words']}-word windows; style consistency "
        f"{_number(figures['value'])} {_interval(figures['ci95'])}",
        fontsize=10,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _realism(path: Path, metrics: Mapping[str, Any]) -> None:
    """The three parts of style realism side by side, and their mean; the person is 1 in each."""
    import matplotlib.pyplot as plt

    realism, style = metrics["style_realism"], metrics["style_consistency"]
    distance, judged = realism["distance"], realism["indistinguishability"]
    parts: dict[str, list[float | None]] = {"base": [], "prompted": [], "twin": []}
    for name, held in parts.items():
        own = name == "twin"
        held += [
            style["value"] if own else style[name]["value"],
            distance["value"] if own else distance[name],
            judged["value"] if own else judged[name],
            realism["value"] if own else realism["controls"][name]["value"],
        ]
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for offset, (name, held) in zip((-0.26, 0.0, 0.26), parts.items(), strict=True):
        places = [place + offset for place in range(len(held))]
        heights = [value or 0.0 for value in held]
        axes.bar(places, heights, 0.24, color=_COLOURS[name], label=_NAMES[name])
    _whisker(axes, 3.26, realism["value"], realism["ci95"])
    axes.axhline(1, color=_COLOURS["human"], linestyle="dotted")
    axes.set_xticks(range(4), ["consistency", "distance\ncovered", "judge\nmisled", "realism"])
    axes.set_ylim(0, 1.08)
    axes.set_title(
        f"Style realism {_number(realism['value'])} {_interval(realism['ci95'])}; dotted: the "
        "person's own replies",
        fontsize=10,
    )
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _likelihood(
    path: Path, base: Sequence[Score], twin: Sequence[Score], figures: Mapping[str, Any]
) -> None:
    import matplotlib.pyplot as plt

    tokens = np.array([score.tokens for score in base])
    before = losses(base) / tokens
    after = losses(twin) / np.array([score.tokens for score in twin])
    figure, axes = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
    axes.scatter(before, after, s=8 + tokens / 2, alpha=0.5, color=_COLOURS["twin"], linewidths=0)
    ends = (0.0, float(max(before.max(), after.max())) * 1.03)
    axes.plot(ends, ends, color="#888888", linewidth=1)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_xlabel("base, nats per token")
    axes.set_ylabel("twin, nats per token")
    axes.set_title(
        f"{(after < before).mean():.0%} of {len(base)} unseen replies likelier under the twin\n"
        f"perplexity {figures['base']:.1f} → {figures['twin']:.1f}",
        fontsize=10,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _pick(path: Path, figures: Mapping[str, Any]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4.6, 3.4), layout="constrained")
    for group, (key, chance) in enumerate((("hits1_of_4", 1 / 4), ("hits1_of_20", 1 / 20))):
        for offset, name in ((-0.2, "base"), (0.2, "twin")):
            hits = figures[name][key]
            if hits["value"] is None:
                continue
            label = name if group == 0 else None
            axes.bar(group + offset, hits["value"], 0.36, color=_COLOURS[name], label=label)
            _whisker(axes, group + offset, hits["value"], hits["ci95"])
        axes.hlines(chance, group - 0.45, group + 0.45, color="#888888", linestyles="dotted")
    axes.set_xticks([0, 1], ["of 4", "of 20"])
    axes.set_ylim(0, 1)
    axes.set_ylabel("real reply picked (dotted: chance)")
    axes.set_title(f"Pick the real reply, {figures['n']} contexts", fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _whisker(axes: Any, place: float, value: float, bounds: Sequence[float | None]) -> None:
    low, high = bounds
    if low is None or high is None:
        return
    reach = [[max(0.0, value - low)], [max(0.0, high - value)]]
    axes.errorbar(place, value, yerr=reach, color="black", capsize=3, linewidth=1)


def _interval(bounds: Sequence[float | None] | None) -> str:
    return f"[{_number(bounds[0])}, {_number(bounds[1])}]" if bounds else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
