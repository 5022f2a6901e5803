"""Text without its topic: content words, names and numbers masked, manner kept.

Kept are the commonest words that most people use (function words, interjections, everyday
shorthand), punctuation, casing, emoji and line breaks. What counts as common is learnt from the
people at hand, so that it holds for any language written with spaces; in one written without, a run
of letters is one word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

KEPT_WORDS = 200
KEPT_BY = 0.75
_WORD = re.compile(r"[^\W\d_](?:[\w'’]*[^\W_])?|\d+")


def common_words(people: Mapping[str, Sequence[str]], most: int = KEPT_WORDS) -> frozenset[str]:
    """The `most` commonest words, in lower case, of those that three of four people use.

    Every person weighs the same, however much they wrote.
    """
    users: Counter[str] = Counter()
    weight: dict[str, float] = {}
    for texts in people.values():
        said = Counter(word for text in texts for word in _words(text))
        total = sum(said.values())
        for word, times in said.items():
            users[word] += 1
            weight[word] = weight.get(word, 0.0) + times / total
    shared = [word for word in weight if users[word] >= KEPT_BY * len(people)]
    return frozenset(sorted(shared, key=lambda word: (-weight[word], word))[:most])


def mask(text: str, kept: frozenset[str]) -> str:
    """The text with every other word replaced by a sign of its casing, and numbers by 0."""
    return _WORD.sub(lambda match: _masked(match.group(), kept), text)


def _masked(word: str, kept: frozenset[str]) -> str:
    if word.casefold() in kept:
        return word
    if word[0].isdigit():
        return "0"
    if len(word) > 1 and word.isupper():
        return "WW"
    return "W" if word[0].isupper() else "w"


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text) if not word[0].isdigit()]
