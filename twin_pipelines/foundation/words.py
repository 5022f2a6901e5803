"""Words of a text in any language of the twin: Thai, which has no spaces, is segmented."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_RUN = re.compile(r"[\u0e00-\u0e7f]+|[^\W_\u0e00-\u0e7f](?:['’]?[^\W_\u0e00-\u0e7f])*")
_STRETCHED = re.compile(r"([\u0e01-\u0e4d])\1{2,}")
_LETTERS = re.compile(r"[\u0e01-\u0e2e\u0e30-\u0e4e]")


def words_of(text: str) -> list[str]:
    """Words in order, lower case, with apostrophes ("don't"); without punctuation and emoji.

    Thai by the dictionary (pythainlp's newmm), stretched letters taken once ("มากกกก" is "มาก");
    digits count as words, Thai signs alone do not.
    """
    found: list[str] = []
    for run in _RUN.findall(text.lower().replace("’", "'")):
        if "\u0e00" <= run[0] <= "\u0e7f":
            segments = _segment(_STRETCHED.sub(r"\1", run))
            found += [word for word in segments if _LETTERS.search(word)]
        else:
            found.append(run)
    return found


def words_of_all(texts: Sequence[str]) -> list[list[str]]:
    """`words_of` of each text; equal texts are looked at once."""
    known = {text: words_of(text) for text in set(texts)}
    return [known[text] for text in texts]


@lru_cache(maxsize=20_000)
def _segment(run: str) -> tuple[str, ...]:
    return tuple(_segmenter()(run))


@lru_cache(maxsize=1)
def _segmenter() -> Any:
    from pythainlp.tokenize import word_tokenize

    return lambda run: word_tokenize(run, engine="newmm", keep_whitespace=False)
