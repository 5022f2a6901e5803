"""Finds what recurs in sentences: the same words, with gaps where the words vary.

Candidates for patterns of a sentence are the whole of it, each way of leaving out one stretch of
its words, and what remains when its rare words are left out. A pattern is worth as much as its
words tell, the sum of their −log₂ frequency; from the most telling down, each takes the sentences
that none before it took, and is kept when they come from enough sessions. So "how are you" and "how
are you liking {slot}" stand beside one another, and neither counts the other's sentences.

Words are compared in lower case, without apostrophes, drawn-out letters cut to one ("sooo") and
laughter of any length made one; Thai is segmented by the dictionary.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl

from twin_pipelines.foundation.words import words_of

LEAST_SESSIONS = 3
MOST_WORDS = 16  # of a sentence that may show a pattern
LONGEST_GAP = 6  # words
LEAST_BITS = 12.0  # that a pattern with gaps tells
LEAST_FILLERS = 3  # different ones in a gap
_RARE = 4  # times LEAST_SESSIONS: a word in fewer sessions is left out of a skeleton
_UNREAD = 2_000  # words of other sentences, so that those of a short history tell something
_GAP = ""
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
_LAUGHTER = re.compile(r"(?:a?(?:ha){2,}h?|(?:he){2,}h?|55{2,}|lo+l|ฮ่า(?:ฮ่า)+)$")
_EMOJI = re.compile(r"[\U0001F300-\U0001FAFF\u2600-\u27BF\u2764]")


@dataclass(frozen=True)
class Token:
    """A word as it is compared, and where it stands in the sentence."""

    word: str
    start: int
    end: int


@dataclass(frozen=True)
class Pattern:
    """Words with gaps (empty strings), and the sentences that have them, by number."""

    words: tuple[str, ...]
    sentences: tuple[int, ...]


def tokens_of(sentence: str) -> list[Token]:
    """The words of a sentence in order; of one without words, its emoji."""
    folded, places = _folded(sentence)
    found, at = [], 0
    for word in words_of(folded):
        start = folded.find(word, at)
        if start < 0:
            continue
        at = start + len(word)
        plain = word.replace("'", "")
        found.append(
            Token("haha" if _LAUGHTER.match(plain) else plain, places[start], places[at - 1] + 1)
        )
    return found or [Token(sign.group(), *sign.span()) for sign in _EMOJI.finditer(sentence)]


def recurring(sentences: Sequence[Sequence[str]], sessions: Sequence[str]) -> list[Pattern]:
    """Patterns of sentences (their words) that recur in `LEAST_SESSIONS` sessions or more.

    `sessions` holds the session of each sentence. The most telling pattern comes first; no sentence
    has two.
    """
    bits = _bits(sentences)
    candidates = _candidates(sentences, sessions)
    if candidates.is_empty():
        return []
    weighed = (
        candidates.group_by("pattern")
        .agg(pl.col("sentence").sort(), pl.col("session").n_unique().alias("sessions"))
        .filter(pl.col("sessions") >= LEAST_SESSIONS)
    )
    known = [(tuple(one.split(" ")), held) for one, held in weighed["pattern", "sentence"].rows()]
    worth = [sum(bits[word] for word in words if word) for words, _ in known]
    ranked = sorted(zip(worth, known, strict=True), key=lambda one: (-one[0], one[1][0]))
    taken: set[int] = set()
    kept = []
    for told, (words, held) in ranked:
        if _GAP in words and told < LEAST_BITS:
            continue
        own = [number for number in held if number not in taken]
        if len({sessions[number] for number in own}) < LEAST_SESSIONS:
            continue
        if _GAP in words and not _varies(words, [sentences[number] for number in own]):
            continue
        taken.update(own)
        kept.append(Pattern(words, tuple(own)))
    return kept


def gaps(words: Sequence[str], sentence: Sequence[str]) -> list[tuple[int, int]] | None:
    """Where the gaps of a pattern lie in a sentence, as (first word, after the last); None when the
    sentence does not have the pattern. Each gap is as short as it can be."""
    found: list[tuple[int, int]] = []

    def fit(word: int, place: int) -> bool:
        if word == len(words):
            return place == len(sentence)
        if words[word] != _GAP:
            return (
                place < len(sentence)
                and sentence[place] == words[word]
                and fit(word + 1, place + 1)
            )
        for end in range(place + 1, min(len(sentence), place + LONGEST_GAP) + 1):
            found.append((place, end))
            if fit(word + 1, end):
                return True
            found.pop()
        return False

    return found if fit(0, 0) else None


def _folded(sentence: str) -> tuple[str, list[int]]:
    """The sentence in lower case with drawn-out letters cut, and where each character came from."""
    low = "".join(one if len(one := sign.lower()) == 1 else sign for sign in sentence)
    low = low.replace("’", "'")
    cut = {place for run in _DRAWN_OUT.finditer(low) for place in range(run.start() + 1, run.end())}
    places = [place for place in range(len(low)) if place not in cut]
    return "".join(low[place] for place in places), places


def _bits(sentences: Sequence[Sequence[str]]) -> dict[str, float]:
    counts = Counter(word for words in sentences for word in words)
    whole = sum(counts.values()) + _UNREAD
    return {word: -math.log2(count / whole) for word, count in counts.items()}


def _candidates(sentences: Sequence[Sequence[str]], sessions: Sequence[str]) -> pl.DataFrame:
    """Every candidate of every sentence: `pattern` (words joined by spaces), `sentence` (number),
    `session`. Only of beginnings, endings and words that are frequent enough themselves."""
    short = [n for n, words in enumerate(sentences) if 1 <= len(words) <= MOST_WORDS]
    begins = _frequent((sessions[n], one) for n in short for one in _beginnings(sentences[n]))
    ends = _frequent((sessions[n], one) for n in short for one in _beginnings(sentences[n][::-1]))
    common = _frequent(
        ((sessions[n], (word,)) for n in short for word in sentences[n]), _RARE * LEAST_SESSIONS
    )
    rows = [
        (" ".join(pattern), n)
        for n in short
        for pattern in {
            tuple(sentences[n]),
            *_with_one_gap(sentences[n], begins, ends),
            *_skeleton(sentences[n], common),
        }
    ]
    frame = pl.DataFrame(rows, schema={"pattern": pl.String, "sentence": pl.UInt32}, orient="row")
    numbers = pl.Series("session", sessions, pl.String)
    return frame.with_columns(numbers.gather(frame["sentence"]))


def _beginnings(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[:length]) for length in range(1, len(words)))


def _frequent(
    held: Iterator[tuple[str, tuple[str, ...]]], least: int = LEAST_SESSIONS
) -> set[tuple[str, ...]]:
    counts = Counter(one for _, one in set(held))
    return {one for one, count in counts.items() if count >= least}


def _with_one_gap(
    words: Sequence[str], begins: set[tuple[str, ...]], ends: set[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    size = len(words)
    for before in range(size):
        first = tuple(words[:before])
        if before and first not in begins:
            return
        for after in range(size - before):
            last = tuple(words[size - after :])
            if after and last[::-1] not in ends:
                break
            gap = size - before - after
            if 1 <= gap <= LONGEST_GAP and max(before, after) >= 2:
                yield (*first, _GAP, *last)


def _skeleton(words: Sequence[str], common: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """What remains without rare words, where at least two gaps and three words do."""
    runs = [(known, list(run)) for known, run in groupby(words, lambda word: (word,) in common)]
    pattern = [word for known, run in runs for word in (run if known else [_GAP])]
    longest = max((len(run) for known, run in runs if not known), default=0)
    fixed = max((len(run) for known, run in runs if known), default=0)
    many = pattern.count(_GAP) >= 2 and len(pattern) - pattern.count(_GAP) >= 3
    if many and fixed >= 2 and longest <= LONGEST_GAP:
        yield tuple(pattern)


def _varies(words: Sequence[str], sentences: Sequence[Sequence[str]]) -> bool:
    """Whether every gap is filled in `LEAST_FILLERS` ways or more."""
    spans = [(own, gaps(words, own) or []) for own in sentences]
    number = sum(word == _GAP for word in words)
    fillers = [
        {tuple(own[slice(*found[gap])]) for own, found in spans if len(found) == number}
        for gap in range(number)
    ]
    return all(len(one) >= LEAST_FILLERS for one in fillers)
