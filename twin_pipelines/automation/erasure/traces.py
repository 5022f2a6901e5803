"""Finds what was erased in any text, however it was written down there.

A phrase is a text, a line or a sentence that is long enough to be nobody else's by chance
(`sayings.telling`) and that no remaining message says. Cleansing also looks for runs of `RUN`
words, because excerpts are cut and names in them masked. Identities of messages are phrases, too.
Phrases are indexed by how they begin, so that a text is gone through once, however many there are.
"""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import orjson
import polars as pl

from twin_pipelines.automation.erasure.gone import Gone
from twin_pipelines.automation.erasure.sayings import LEAST_WORDS, spoken, telling

RUN = 7  # words of an excerpt
CUT = 24  # letters of one, in scripts that write no spaces
_UNSPOKEN = (
    r"[\x{01}-\x{2f}\x{3a}-\x{40}\x{5b}-\x{60}\x{7b}-\x{bf}\x{2000}-\x{206f}]+"  # as `spoken`
)
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_SPACED = re.compile(r"[^\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_ENDS = re.compile(r"[\n.!?…]+")
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
APART = "\n\u241e\n"  # between values, so that no phrase runs from one into the next
_ESCAPES = 3  # JSON within JSON within a log


class Traces:
    """Phrases to look for. `texts` were erased, `said` is all that remaining messages say."""

    def __init__(
        self,
        texts: Iterable[str],
        said: Sequence[str] = (),
        ids: Iterable[UUID | str] = (),
        *,
        runs: bool = False,
    ) -> None:
        phrases = {phrase for text in texts for phrase in _phrases(text, runs)}
        phrases -= _Index(phrases).told(_spoken(said))
        self.texts = len(phrases)
        self._index = _Index(phrases | {spoken(str(one)) for one in ids})

    def __len__(self) -> int:
        """How many phrases and identities there are to look for."""
        return self._index.size

    def found(self, texts: Sequence[str]) -> list[bool]:
        """Which of the texts hold a phrase, as they are or with escapes and entities resolved."""
        if not self._index.size or not texts:
            return [False] * len(texts)
        values = [values_of(text) for text in texts]
        plain = [text if told is None else told for text, told in zip(texts, values, strict=True)]
        hits = self._plainly(plain)
        escaped = [
            row
            for row, text in enumerate(texts)
            if not hits[row] and values[row] is None and ("\\" in text or "&" in text)
        ]
        resolved = self._plainly([unescaped(texts[row]) for row in escaped])
        for row, hit in zip(escaped, resolved, strict=True):
            hits[row] = hit
        return hits

    def within(self, text: str) -> bool:
        """Whether one text holds a phrase."""
        return self.found([text])[0]

    def _plainly(self, texts: Sequence[str]) -> list[bool]:
        return [next(self._index.phrases(text), None) is not None for text in _spoken(texts)]


class _Index:
    """Phrases by their first words; those with letters of scripts without spaces by first letters.

    Texts are as `spoken` gives them.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        known = set(phrases)
        whole = {phrase for phrase in known if not _UNSPACED.search(phrase)}
        self.size = len(known)
        self._by_words: dict[str, list[list[str]]] = {}
        for phrase in whole:
            words = phrase.split(" ")
            self._by_words.setdefault(" ".join(words[:LEAST_WORDS]), []).append(words)
        self._firsts = {key.split(" ", 1)[0] for key in self._by_words}
        mixed = known - whole
        self._width = min((len(phrase) for phrase in mixed), default=0)
        self._by_letters: dict[str, list[str]] = {}
        for phrase in mixed:
            self._by_letters.setdefault(phrase[: self._width], []).append(phrase)

    def told(self, texts: Iterable[str]) -> set[str]:
        """The phrases that stand in one of the texts."""
        if not self.size:
            return set()
        return {phrase for text in texts for phrase in self.phrases(text)}

    def phrases(self, text: str) -> Iterator[str]:
        """The phrases that stand in one text."""
        words = text.split(" ")
        for place, word in enumerate(words):
            if word in self._firsts:
                key = " ".join(words[place : place + LEAST_WORDS])
                for phrase in self._by_words.get(key, ()):
                    if words[place : place + len(phrase)] == phrase:
                        yield " ".join(phrase)
        if self._by_letters and _UNSPACED.search(text):
            for place in range(len(text) - self._width + 1):
                for one in self._by_letters.get(text[place : place + self._width], ()):
                    if text.startswith(one, place) and _whole(text, place, len(one)):
                        yield one


def _whole(text: str, place: int, length: int) -> bool:
    """Whether a place begins and ends with words, where their script writes them apart."""
    end = place + length
    begins = place == 0 or text[place - 1] == " " or bool(_UNSPACED.match(text[place]))
    return begins and (end == len(text) or text[end] == " " or bool(_UNSPACED.match(text[end - 1])))


def traces_of(gone: Gone, said: Sequence[str] = (), *, runs: bool = False) -> Traces:
    """What an erasure looks for in files: its texts, and its messages.

    The first message of a session gives the session its identity, which names nobody and stands in
    every row of it; it is not looked for.
    """
    return Traces(gone.texts, said, gone.message_ids - gone.session_ids, runs=runs)


def parsed(text: str) -> Any:
    """What a text holds as JSON: an object, a list or a text; None where it is none of them."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return None
    try:
        return orjson.loads(text.encode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        return None


def values_of(text: str) -> str | None:
    """The texts within JSON, one by one and those of JSON within it, too; None of anything else."""
    content = parsed(text)
    return None if content is None else APART.join(_leaves(content))


def _leaves(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, inner in content.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from _leaves(inner)
    elif isinstance(content, str):
        within = parsed(content)
        if isinstance(within, dict | list):
            yield from _leaves(within)
        else:
            yield unescaped(content) if "&" in content else content


def unescaped(text: str) -> str:
    """A text with the escapes of JSON and Python and the entities of HTML resolved."""
    for _ in range(_ESCAPES):
        before = text
        if "\\" in text:
            text = _ESCAPED.sub(_character, text)
        if text == before:
            break
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return html.unescape(joined)


def inflated(content: bytes) -> str:
    """Bytes as text; compressed ones (zlib, gzip) inflated."""
    with suppress(zlib.error):  # most are not compressed
        content = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(content)
    return content.decode("utf-8", "replace")


def _character(escape: re.Match[str]) -> str:
    digits = escape.group(1)
    if digits:
        return chr(int(digits, 16))
    sign = escape.group()[1]
    return " " if sign in "nrtbf" else sign


def _phrases(text: str, runs: bool) -> set[str]:
    parts = {spoken(text), *(spoken(part) for part in _ENDS.split(text))}
    phrases = {part for part in parts if telling(part)}
    if runs:
        for phrase in list(phrases):
            words = phrase.split()
            starts = range(len(words) - RUN + 1)
            phrases |= {" ".join(words[start : start + RUN]) for start in starts}
            phrases |= {
                word[:CUT] for word in words if len(word) > CUT and not _SPACED.search(word)
            }
    return phrases


def _spoken(texts: Sequence[str]) -> list[str]:
    plain = pl.Series(texts, dtype=pl.String).str.replace_all(_UNSPOKEN, " ").str.to_lowercase()
    return plain.str.strip_chars(" ").to_list()
