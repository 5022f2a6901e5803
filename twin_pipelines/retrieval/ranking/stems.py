"""Stems of English words: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980.

With the two departures its author made later: -bli and -logi in the second step.
"""

from __future__ import annotations

import re
from functools import lru_cache

_CONSONANT = r"(?:[^aeiouy]|(?:(?<=[aeiou])|^)y)"
_VOWEL = r"(?:[aeiou]|(?<=[^aeiou])y)"
_MEASURED = re.compile(rf"{_VOWEL}+{_CONSONANT}+")
_HAS_VOWEL = re.compile(_VOWEL)
_DOUBLED = re.compile(r"([^aeiouylsz])\1$")
_SHORT = re.compile(rf"{_CONSONANT}{_VOWEL}(?:[^aeiouwxy])$")
_WORD = re.compile(r"[a-z]{3,}")

# fmt: off
_SECOND = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize",
    "bli": "ble", "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize",
    "ation": "ate", "ator": "ate", "alism": "al", "iveness": "ive", "fulness": "ful",
    "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble", "logi": "log",
}
_THIRD = {
    "icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": "",
}
_FOURTH = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
)
# fmt: on
_SUFFIXES = {
    step: tuple(sorted(table, key=len, reverse=True))
    for step, table in (("second", _SECOND), ("third", _THIRD), ("fourth", _FOURTH))
}


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """Stem of a lower-case word; what is no English word of three letters or more stays."""
    plain = word.removesuffix("'s").removesuffix("'")
    if not _WORD.fullmatch(plain):
        return plain or word
    return _last(_fourth(_third(_second(_first(plain)))))


def _measure(part: str) -> int:
    return len(_MEASURED.findall(part))


def _first(word: str) -> str:
    """Plurals, -ed and -ing, and a final y."""
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word.endswith("eed"):
        word = word[:-1] if _measure(word[:-3]) else word
    else:
        for suffix in ("ed", "ing"):
            head = word.removesuffix(suffix)
            if head != word and _HAS_VOWEL.search(head):
                word = _mended(head)
                break
    if word.endswith("y") and _HAS_VOWEL.search(word[:-1]):
        word = word[:-1] + "i"
    return word


def _mended(head: str) -> str:
    if head.endswith(("at", "bl", "iz")):
        return head + "e"
    if _DOUBLED.search(head):
        return head[:-1]
    if _measure(head) == 1 and _SHORT.search(head):
        return head + "e"
    return head


def _second(word: str) -> str:
    return _replaced(word, "second", _SECOND)


def _third(word: str) -> str:
    return _replaced(word, "third", _THIRD)


def _replaced(word: str, step: str, table: dict[str, str]) -> str:
    for suffix in _SUFFIXES[step]:
        if word.endswith(suffix):
            head = word[: -len(suffix)]
            return head + table[suffix] if _measure(head) else word
    return word


def _fourth(word: str) -> str:
    for suffix in _SUFFIXES["fourth"]:
        if word.endswith(suffix):
            head = word[: -len(suffix)]
            stripped = _measure(head) > 1 and (suffix != "ion" or head.endswith(("s", "t")))
            return head if stripped else word
    return word


def _last(word: str) -> str:
    """A final e, and a doubled l."""
    if word.endswith("e"):
        head = word[:-1]
        measure = _measure(head)
        if measure > 1 or (measure == 1 and not _SHORT.search(head)):
            word = head
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
