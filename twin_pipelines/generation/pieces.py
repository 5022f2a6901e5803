"""Tokens of a text made of the tokens of its lines, so that lines that come again cost nothing.

A prompt is mostly lines that stood in the one before: the standing part, the turns of the chat,
memories that were weighed a moment ago. Where a tokenizer never joins what a line break parts, the
tokens of a text are those of its lines, one after the other; whether that is so is tried once for
each tokenizer. Any other tokenizer reads every text whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

PIECES = 4_000  # of one tokenizer that are kept in mind
LONGEST = 2_000  # characters of one that is kept
_ENDS = (
    *("a", "Z", "7", ".", ",", ":", "”", '"', "'", ")", "-", "’s", "n't", "é", "e\u0301", "…"),
    *("ค่ะ", "ครับ", "กำ", "語", "한", "ش", "ह", "😀", "👍🏽", "❤\ufe0f", "_", "/", "½", "\u200d"),
)
_BREAKS = ("\n", "\n\n", "\n\n\n", "\r\n")

Side = Literal["before", "after", "nowhere"]


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text that already carries its control tokens: as `prompt.tokenize` gives them."""
    side = _side(tokenizer)
    if side == "nowhere":
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    ids: list[int] = []
    for piece in _known(tokenizer, _pieces(text, side)):
        ids.extend(piece)
    return ids


def token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens of each text by itself."""
    if not texts:
        return []
    if _side(tokenizer) == "nowhere":
        return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
    return [len(ids) for ids in _known(tokenizer, texts)]


def _known(tokenizer: Any, texts: Sequence[str]) -> list[Sequence[int]]:
    """Ids of each text, those not seen lately read together."""
    known: dict[str, Sequence[int]] = tokenizer._twin_pieces
    found = {text: known.get(text) for text in texts}
    unknown = [text for text, ids in found.items() if ids is None]
    if unknown:
        read = tokenizer(unknown, add_special_tokens=False)["input_ids"]
        fresh: dict[str, Sequence[int]] = {
            text: array("i", ids) for text, ids in zip(unknown, read, strict=True)
        }
        if len(known) + len(fresh) > PIECES:
            known.clear()
        known.update((text, ids) for text, ids in fresh.items() if len(text) <= LONGEST)
        found |= fresh
    return [found[text] or () for text in texts]


def _pieces(text: str, side: Side) -> list[str]:
    """The text cut before or after every run of line breaks that has words on that side."""
    first, *rest = text.split("\n")
    if side == "before":
        pieces = [first]
        for line in rest:
            if pieces[-1] and not pieces[-1][-1].isspace():
                pieces.append(f"\n{line}")
            else:
                pieces[-1] += f"\n{line}"
        return pieces
    pieces = [first]
    for line in rest:
        pieces[-1] += "\n"
        if line and not line[0].isspace():
            pieces.append(line)
        else:
            pieces[-1] += line
    return pieces


def _side(tokenizer: Any) -> Side:
    """On which side of line breaks a text may be cut for this tokenizer."""
    side: Side | None = getattr(tokenizer, "_twin_side", None)
    if side is None:
        tokenizer._twin_pieces = {}
        tokenizer._twin_side = side = _tried_side(tokenizer)
    return side


def _tried_side(tokenizer: Any) -> Side:
    """The side on which words are parted before the vocabulary is looked up, if there is one.

    Nothing may be done to the text before that, and no token may take the white space around it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.normalizer is not None or backend.pre_tokenizer is None:
        return "nowhere"
    added = tokenizer.added_tokens_decoder.values()
    if any(one.lstrip or one.rstrip or one.single_word or "\n" in one.content for one in added):
        return "nowhere"
    sides: tuple[Side, Side] = ("before", "after")
    return next((side for side in sides if _parts(backend.pre_tokenizer, side)), "nowhere")


def _parts(pre_tokenizer: Any, side: Side) -> bool:
    """Whether words on both sides of line breaks are told apart as if each side stood alone."""

    def words(text: str) -> list[str]:
        return [word for word, _ in pre_tokenizer.pre_tokenize_str(text)]

    for left, breaks, right in product(_ENDS, _BREAKS, (*_ENDS, "- “a”", " a")):
        parted = _pieces(f"{left}{breaks}{right}", side)
        if words("".join(parted)) != [word for part in parted for word in words(part)]:
            return False
    return True
