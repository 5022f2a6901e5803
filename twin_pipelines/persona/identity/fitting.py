"""Cuts the persona page to a budget of tokens: owner's lines first, then each section's share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from twin_pipelines.foundation.budget import estimated_tokens
from twin_pipelines.persona.identity.page import GENERATED, Section


def within(
    sections: Sequence[Section], budget: int, shares: Mapping[str, float]
) -> tuple[list[Section], list[Section]]:
    """The sections cut to the budget, and the owner's lines that have no room.

    First the owner's lines, then of each generated section as much as its share of what is left
    allows (`shares`, by key; only their proportions count), then what still fits, in order.
    """
    room = _Room(sections, budget)
    for number, section in enumerate(sections):
        for at, line in enumerate(section.lines):
            if line.source != GENERATED:
                room.take(number, at, math.inf)
    wanted = sum(shares.get(section.key, 0.0) for section in sections if section.lines) or 1.0
    left = room.left
    for number, section in enumerate(sections):
        allowed = left * shares.get(section.key, 0.0) / wanted
        for at in range(len(section.lines)):
            allowed -= room.take(number, at, allowed)
    for number, section in enumerate(sections):
        for at in range(len(section.lines)):
            room.take(number, at, math.inf)
    waiting = [
        replace(
            section,
            lines=tuple(
                line
                for at, line in enumerate(section.lines)
                if line.source != GENERATED and (number, at) not in room.taken
            ),
        )
        for number, section in enumerate(sections)
    ]
    return room.kept(), [section for section in waiting if section.lines]


class _Room:
    """What is left of a budget while lines are taken."""

    def __init__(self, sections: Sequence[Section], budget: float) -> None:
        self.left = float(budget)
        self.taken: set[tuple[int, int]] = set()
        self._sections = sections
        self._opened: set[int] = set()

    def take(self, number: int, at: int, allowed: float) -> float:
        """Take a line if it fits into what is left and into `allowed`; returns what it cost."""
        section = self._sections[number]
        if (number, at) in self.taken:
            return 0.0
        cost = estimated_tokens(section.lines[at].text) + (2 if section.inline else 3) / 3
        if number not in self._opened:
            cost += estimated_tokens(f"\n\n## {section.title}\n")
        if cost > min(self.left, allowed):
            return 0.0
        self.left -= cost
        self.taken.add((number, at))
        self._opened.add(number)
        return cost

    def kept(self) -> list[Section]:
        """The sections with the lines taken, in their order."""
        cut = [
            replace(
                section,
                lines=tuple(
                    line for at, line in enumerate(section.lines) if (number, at) in self.taken
                ),
            )
            for number, section in enumerate(self._sections)
        ]
        return [section for section in cut if section.lines]
