"""Stems of English words: Porter's algorithm (Program 14(3), 1980), as Snowball gives it."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from typing import Any

_WORD = re.compile(r"[a-z]{3,}")
_one_at_a_time = threading.Lock()


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Stem of a lower-case word; what is no English word of three letters or more stays."""
    plain = word.removesuffix("'s").removesuffix("'")
    if not _WORD.fullmatch(plain):
        return plain or word
    with _one_at_a_time:  # a stemmer holds the word it is at
        return str(_stemmer().stemWord(plain))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("porter")
