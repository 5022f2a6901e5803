"""Figures as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float | None) -> str:
    """Two decimals, or a dash for what was not measured."""
    return "–" if value is None else f"{value:.2f}"


def interval(bounds: Sequence[float | None] | None) -> str:
    """Both bounds, or nothing."""
    return f"{number(bounds[0])} – {number(bounds[1])}" if bounds else ""
