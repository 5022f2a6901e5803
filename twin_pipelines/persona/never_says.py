"""Words the owner never wants to hear from the twin: how they are found in a text.

A phrase is found in any case, with up to MOST_SPACES spaces between its words, and as words of its
own: `no` is not in `know`. Thai has no spaces; there a phrase is found where a syllable may begin
and end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from twin_pipelines.persona.identity.compose import fit_for_prompt
from twin_pipelines.persona.identity.page import HAND_WRITTEN, Line, Section
from twin_pipelines.settings import TwinError

NEVER = "never"  # key of the page's section
LONGEST = 200  # characters of a phrase
MOST_SPACES = 8  # between two of its words
_THAI_BEFORE = "(?<![\u0e40-\u0e44])"
_THAI_AFTER = "(?![\u0e30-\u0e3a\u0e45\u0e47-\u0e4e])"
_APOSTROPHES = str.maketrans("’‘`", "'''")


@dataclass(frozen=True)
class NeverSay:
    """A phrase the owner never wants to hear."""

    never_id: str
    phrase: str
    reason: str
    made_at: datetime


def tidy_phrase(phrase: str) -> str:
    """A phrase as it is kept. Raises TwinError for one that is empty or too long."""
    tidied = " ".join(phrase.translate(_APOSTROPHES).split())
    if not tidied or len(tidied) > LONGEST or not re.search(r"[^\s.,!?…]", tidied):
        raise TwinError(
            f"A never-say holds 1 to {LONGEST} characters, not signs alone; write the words the "
            "twin should never say."
        )
    return tidied


@lru_cache(maxsize=64)
def pattern_of(phrases: tuple[str, ...]) -> re.Pattern[str] | None:
    """Finds any of the phrases, the longest first; None without phrases."""
    forms = [_form(phrase) for phrase in sorted(set(phrases), key=lambda one: (-len(one), one))]
    return re.compile("|".join(forms), re.IGNORECASE) if forms else None


def says(text: str, phrases: Sequence[str]) -> bool:
    """Whether the text holds one of the phrases."""
    pattern = pattern_of(tuple(phrases))
    return pattern is not None and pattern.search(text) is not None


def never_section(phrases: Iterable[str], generated: Sequence[Section]) -> list[Section]:
    """The owner's phrases as lines of the page's section of words never said, which stay.

    What may not stand in a prompt (an address, a number) is kept out of the page, and out of
    answers all the same.
    """
    lines = tuple(
        Line(f"{NEVER}-says/{phrase.lower()}", phrase, HAND_WRITTEN)
        for phrase in phrases
        if fit_for_prompt(phrase)
    )
    titles = [section.title for section in generated if section.key == NEVER]
    return [Section(NEVER, titles[0], lines, inline=True)] if lines and titles else []


def _form(phrase: str) -> str:
    words = [re.escape(word).replace("'", "['’‘`]") for word in phrase.split()]
    return (
        _edge(phrase[0], before=True)
        + rf"\s{{1,{MOST_SPACES}}}".join(words)
        + _edge(phrase[-1], before=False)
    )


def _edge(sign: str, *, before: bool) -> str:
    """What must not stand beside a phrase that begins or ends with the sign."""
    if "\u0e00" <= sign <= "\u0e7f":
        return _THAI_BEFORE if before else _THAI_AFTER
    if not (sign.isalnum() or sign == "_"):
        return ""
    return r"(?<![^\W\u0e00-\u0e7f])" if before else r"(?![^\W\u0e00-\u0e7f])"
