"""The picture of a training: loss by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def plot_losses(rows: Sequence[Mapping[str, Any]], target: Path) -> Path:
    """Draw training and validation loss (nats a token) against the step, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, label, colour, marker in (
        ("loss", "training", "#8fa8c8", ""),
        ("validation_loss", "validation", "#c0392b", "o"),
    ):
        steps = [row["step"] for row in rows if name in row]
        values = [row[name] for row in rows if name in row]
        axes.plot(steps, values, label=label, color=colour, marker=marker, linewidth=1.5)
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats a token")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(target)
    return target
