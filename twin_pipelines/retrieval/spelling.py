"""Words of a question that no entry holds, taken for words that are spelled almost like them.

A slip of the pen is one letter too many, too few, another one, or two that changed places; a long
word may have two of them. Thai has no spaces, so a slip there falls into pieces: pieces that stand
next to each other are tried as one word, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from twin_pipelines.foundation.words import words_of
from twin_pipelines.retrieval.index.entries import term_number
from twin_pipelines.retrieval.ranking.compounds import is_thai
from twin_pipelines.retrieval.ranking.lexical import STOP_WORDS, terms_of

SHORTEST, LONGEST = 4, 30  # letters of a word that may be a slip
LONG, MOST_SLIPS = 8, 2  # letters from which so many slips are forgiven
MOST = 8  # words of a question that are tried
LOOKED_AT = 4_000  # characters of it
PIECES = 3  # of Thai that are tried as one word
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Spelled:
    """A word of the index that is spelled like one of a question, and how many entries hold it."""

    word: str
    entries: int


Lookup = Callable[[Sequence[str]], Mapping[str, Sequence[Spelled]]]


def spellings(text: str) -> set[str]:
    """Words of a text that a slip may be taken for: long enough, of letters, and telling."""
    return {word for word in words_of(text) if _may_slip(word) and word not in STOP_WORDS}


def respelled(text: str, unknown: Collection[int], look_up: Lookup) -> str:
    """The text with slips put right; as it is where none is.

    `unknown` are the numbers of its terms that no entry holds; `look_up` gives, for words, those of
    the index that share letters with each. A word is put right only where one is within one slip of
    it (MOST_SLIPS from LONG letters on): the nearest, then one of the same first letter, then the
    most frequent.
    """
    slips = _slips(text, frozenset(unknown))[:MOST]
    if not slips:
        return text
    known = look_up(slips)
    for slip in slips:
        right = nearest(slip, known.get(slip, ()))
        if right:
            text = _replaced(text, slip, right)
    return text


def nearest(slip: str, among: Sequence[Spelled]) -> str:
    """The word a slip is taken for; empty where none is near enough."""
    allowed = MOST_SLIPS if len(slip) >= LONG else 1
    judged = [(distance(slip, one.word, allowed), one) for one in among]
    near = [
        (apart, one.word[0] != slip[0], -one.entries, one.word)
        for apart, one in judged
        if 0 < apart <= allowed
    ]
    return min(near)[-1] if near else ""


def distance(first: str, second: str, most: int) -> int:
    """How many slips lie between two words (optimal string alignment); `most` + 1 for any more."""
    if abs(len(first) - len(second)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(second) + 1))
    for place, letter in enumerate(first, start=1):
        earlier, before, row = before, row, [place]
        for at, other in enumerate(second, start=1):
            cost = min(before[at] + 1, row[-1] + 1, before[at - 1] + (letter != other))
            if min(place, at) > 1 and (letter, first[place - 2]) == (second[at - 2], other):
                cost = min(cost, earlier[at - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def _slips(text: str, unknown: frozenset[int]) -> list[str]:
    """Words, and joined pieces of Thai, that no entry holds, each once, long pieces first."""
    words = words_of(text[:LOOKED_AT])
    missing = [not unknown.isdisjoint(map(term_number, terms_of(word))) for word in words]
    joined = text.lower().replace("’", "'")
    found: list[str] = []
    for place, word in enumerate(words):
        if missing[place] and not is_thai(word):
            found.append(word)
        elif missing[place]:
            found += _pieces(words, place, joined)
    return [word for word in dict.fromkeys(found) if _may_slip(word)]


def _pieces(words: Sequence[str], place: int, text: str) -> list[str]:
    """A piece of Thai joined with those beside it, as it stands in the text, the longest first."""
    spans = [
        "".join(words[start : start + size])
        for size in range(PIECES, 0, -1)
        for start in range(max(0, place - size + 1), min(place, len(words) - size) + 1)
    ]
    return [span for span in spans if span in text]


def _may_slip(word: str) -> bool:
    return SHORTEST <= len(word) <= LONGEST and bool(_WORD.fullmatch(word) or is_thai(word))


def _replaced(text: str, slip: str, right: str) -> str:
    around = ("", "") if is_thai(slip) else (r"(?<!\w)", r"(?!\w)")
    pattern = re.escape(slip).replace("'", "['’]").join(around)
    return re.sub(pattern, lambda _: right, text, flags=re.IGNORECASE)
