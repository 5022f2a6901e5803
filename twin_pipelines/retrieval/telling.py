"""How what was found is told in a prompt: as quotations, with their days, within so many tokens.

The same for a prompt and for the figures that say how much of the evidence stands in one. Where
several lines of a block are of one day, each day is told once, above its lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Literal

Language = Literal["en", "th"]
CountTokens = Callable[[Sequence[str]], Sequence[int]]
LONGEST_NAME = 40  # characters of whoever said something
_QUOTES = str.maketrans("“”„‟«»", '""""""')
_MONTHS: dict[Language, str] = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "th": "ม.ค. ก.พ. มี.ค. เม.ย. พ.ค. มิ.ย. ก.ค. ส.ค. ก.ย. ต.ค. พ.ย. ธ.ค.",
}
_NAMES = {language: names.split() for language, names in _MONTHS.items()}


@dataclass(frozen=True)
class Told:
    """A line of a block: its day or days, empty where none is told, and its words."""

    day: str
    words: str
    block: str = ""

    @property
    def by_itself(self) -> str:
        """The line with its day in it."""
        return f"- ({self.day}) {self.words}" if self.day else self.below

    @property
    def below(self) -> str:
        """The line as it stands below its day."""
        return f"- {self.words}"


class Counted:
    """Counts the tokens of each text once."""

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count = count_tokens
        self._known: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> list[int]:
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, self._count(new), strict=True))
        return [self._known[text] for text in texts]


def quoted(speaker: str, text: str) -> str:
    """The words as a quotation on one line, with the speaker's name before it where there is one.

    Nothing in it can end the line or the quotation.
    """
    who = " ".join(speaker.translate(_QUOTES).split())[:LONGEST_NAME]
    return f"{who}{': ' if who else ''}“{' '.join(text.split()).translate(_QUOTES)}”"


def days(since: date | None, until: date | None, language: Language) -> str:
    """The first and last day, once when they are the same; empty without any."""
    months = _NAMES[language]
    names = [f"{day.day} {months[day.month - 1]} {day.year}" for day in (since, until) if day]
    return " – ".join(dict.fromkeys(names))


def told_lines(lines: Sequence[Told]) -> list[str]:
    """The lines of one block as they stand in a prompt, those of a day next to each other.

    Each with its day in it, unless a day comes twice: then every day stands above its lines.
    """
    if not _shared_days(lines):
        return [line.by_itself for line in lines]
    standing: list[str] = []
    for day, of_day in groupby(lines, key=lambda line: line.day):
        standing += [f"{day}:"] if day else []
        standing += [line.below for line in of_day]
    return standing


def fitting(
    lines: Sequence[Told], room: int, count_tokens: CountTokens, heads: Mapping[str, str]
) -> list[int]:
    """The places of the lines that fit into so many tokens, the first first.

    What does not fit is passed over. `heads` are what stands above each block.
    """
    shared = _shared_days(lines)
    texts = [line.below if line.block in shared else line.by_itself for line in lines]
    above = {(block, ""): f"\n\n{text}" for block, text in heads.items()}
    dated = {(line.block, line.day) for line in lines if line.block in shared and line.day}
    above |= {(block, day): f"\n{day}:" for block, day in sorted(dated)}
    lengths = count_tokens([*(f"\n{text}" for text in texts), *above.values()])
    unopened = dict(zip(above, lengths[len(lines) :], strict=True))
    places = []
    for place, line in enumerate(lines):
        over = {(line.block, ""), (line.block, line.day)}
        cost = lengths[place] + sum(unopened.get(one, 0) for one in over)
        if cost <= room:
            room -= cost
            places.append(place)
            for one in over:
                unopened.pop(one, None)
    return places


def _shared_days(lines: Sequence[Told]) -> set[str]:
    """The blocks of which several lines are of one day."""
    told = Counter((line.block, line.day) for line in lines if line.day)
    return {block for (block, _), lines_of_day in told.items() if lines_of_day > 1}
