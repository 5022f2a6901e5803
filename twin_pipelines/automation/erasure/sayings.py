"""Texts that are long enough to be told apart, found in other texts in one pass."""

from __future__ import annotations

import re
from collections.abc import Iterable

LEAST_WORDS, LEAST_LETTERS = 4, 12  # letters: of scripts that write no spaces
_WINDOW = 12
_UNSPOKEN = re.compile(r"[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u2000-\u206f]+")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def spoken(text: str) -> str:
    """A text in lower case without punctuation, as the database's `spoken_words`."""
    return _UNSPOKEN.sub(" ", text).lower().strip()


def telling(said: str) -> bool:
    """Whether words (as `spoken` gives them) are so many that nobody else says them by chance."""
    return len(said.split()) >= LEAST_WORDS or len(_UNSPACED.findall(said)) >= LEAST_LETTERS


class Sayings:
    """Texts to look for; those that are not telling are left out.

    They are indexed by their first letters, so that a text is gone through once, however many there
    are to look for.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        said = {spoken(text) for text in texts}
        self._said = sorted(one for one in said if telling(one))
        self._window = min([_WINDOW, *(len(one) for one in self._said)])
        self._by_start: dict[str, list[str]] = {}
        for one in self._said:
            self._by_start.setdefault(one[: self._window], []).append(one)

    def __len__(self) -> int:
        """How many there are to look for."""
        return len(self._said)

    def said_in(self, text: str | None) -> bool:
        """Whether a text says one of them, whatever its case and punctuation."""
        if not text or not self._said:
            return False
        words = spoken(text)
        return any(
            words.startswith(one, place)
            for place in range(len(words) - self._window + 1)
            for one in self._by_start.get(words[place : place + self._window], ())
        )
