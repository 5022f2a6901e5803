"""A reply while it is written: tokens become text that is safe to show, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

UNFINISHED = "\ufffd"  # what the first bytes of a longer character decode to


class Writing:
    """Collects one reply's tokens. The pieces it hands out make up exactly the final text.

    Held back until it is certain: the bytes of an unfinished character, white space that may turn
    out to be the end, and what may be the beginning of a stop sequence.
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stops = [stop for stop in stops if stop]
        self._shown = 0
        self.ids: list[int] = []
        self.stopped = False

    def add(self, token: int) -> str:
        """Take a token; returns the text that may now be shown, often none."""
        self.ids.append(token)
        if self.stopped:
            return ""
        text = self._text().rstrip(UNFINISHED)
        end = self._stop(text)
        if end is not None:
            self.stopped = True
            return self._advance(text[:end].rstrip())
        return self._advance(text[: len(text) - self._doubtful(text)].rstrip())

    def rest(self) -> str:
        """What is still to be shown once the last token was written."""
        return self._advance(self.final())

    def final(self) -> str:
        """The reply: without white space around it, and without the stop sequence that ended it."""
        text = self._text()
        end = self._stop(text)
        return (text if end is None else text[:end]).strip()

    def _text(self) -> str:
        return self._tokenizer.decode(self.ids, skip_special_tokens=True).lstrip()

    def _stop(self, text: str) -> int | None:
        found = [text.find(stop) for stop in self._stops]
        return min((place for place in found if place >= 0), default=None)

    def _doubtful(self, text: str) -> int:
        """Length of the longest end of `text` with which a stop sequence begins."""
        lengths = (
            length
            for stop in self._stops
            for length in range(len(stop) - 1, 0, -1)
            if text.endswith(stop[:length])
        )
        return max(lengths, default=0)

    def _advance(self, text: str) -> str:
        piece = text[self._shown :]
        self._shown += len(piece)
        return piece
