"""When two replies are the same one: "haha", "Hahahaaa!!" and "haha 😂" are."""

from __future__ import annotations

import re
from itertools import groupby

import polars as pl

from twin_pipelines.foundation.similarity import normal_text

_FEW = 3  # words, whose order and repetition say nothing
_LAUGHTER = {
    "haha": re.compile(r"[ae]*(?:h+[aei]+)+h*|[aei]+h(?:[aei]+h)+[aei]*"),
    "lol": re.compile(r"(?:l+o+)+l+|lmao+|rofl"),
    "555": re.compile(r"5{3,}"),
}


def reply_key(replies: pl.Series) -> pl.Series:
    """One key for replies that differ in punctuation, emoji, case, drawn-out letters or laughter.

    The key serves to compare and is no text. Of replies of up to three words the order and
    repetition of words do not count either; longer ones keep both.
    """
    normal = replies.to_frame("reply").select(normal_text(pl.col("reply")))["reply"]
    return pl.Series("key", [_key(text) for text in normal.to_list()], dtype=pl.String)


def _key(normal: str) -> str:
    words = [_word(word) for word in normal.split(" ")]
    words = [word for word, _ in groupby(words) if word]
    return " ".join(words if len(words) > _FEW else sorted(set(words)))


def _word(word: str) -> str:
    for name, pattern in _LAUGHTER.items():
        if pattern.fullmatch(word) and len(word) >= 3:
            return name
    if word.isdigit():
        return word
    return "".join(letter for letter, _ in groupby(word.removesuffix("ๆ")))
