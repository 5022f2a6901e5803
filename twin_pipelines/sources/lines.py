"""Cuts a file into blocks of lines within a bound of memory, however long a line may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

BLOCK = 4 << 20  # bytes read at once
MOST_BYTES = 16 << 20  # of one block of lines, unless a single line is longer
MOST_LINES = 50_000
LONGEST_LINE = 32 << 20
HEAD = 400  # bytes kept of a longer line
BOM = b"\xef\xbb\xbf"


@dataclass
class Lines:
    """Consecutive lines without their ends; `numbers` count from 1."""

    numbers: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)  # numbers of lines too long to keep: only the head

    def __len__(self) -> int:
        return len(self.texts)


def read_lines(
    stream: BinaryIO, longest: int = LONGEST_LINE, most_lines: int = MOST_LINES
) -> Iterator[Lines]:
    """The lines of a file in blocks, without a leading byte order mark.

    A line of more than `longest` bytes is reduced to its first 400 bytes and named in `cut`; what
    is held in memory stays near MOST_BYTES + `longest`.
    """
    waiting, size = Lines(), 0
    for block in _split(stream, longest):
        waiting.numbers.extend(block.numbers)
        waiting.texts.extend(block.texts)
        waiting.cut |= block.cut
        size += sum(map(len, block.texts))
        if len(waiting) >= most_lines or size >= MOST_BYTES:
            yield from _portions(waiting, most_lines)
            waiting, size = Lines(), 0
    yield from _portions(waiting, most_lines)


def _portions(lines: Lines, most_lines: int) -> Iterator[Lines]:
    for start in range(0, len(lines), most_lines):
        part = slice(start, start + most_lines)
        yield Lines(lines.numbers[part], lines.texts[part], lines.cut)


def _split(stream: BinaryIO, longest: int) -> Iterator[Lines]:
    """The lines that end in each stretch of the file."""
    number, rest, skipping = 1, b"", False
    read = stream.read(BLOCK).removeprefix(BOM)
    while read:
        *ended, tail = read.split(b"\n")
        if ended:
            ended[0] = rest + ended[0]
            lines = Lines(list(range(number, number + len(ended))), ended)
            if skipping or max(map(len, ended)) > longest:
                _cut(lines, longest, skipping)
            yield lines
            number, rest, skipping = number + len(ended), b"", False
        rest = rest if skipping else rest + tail
        if len(rest) > longest:
            rest, skipping = rest[:HEAD], True
        read = stream.read(BLOCK)
    if rest:
        last = Lines([number], [rest])
        if skipping:
            _cut(last, longest, skipping)
        yield last


def _cut(lines: Lines, longest: int, first: bool) -> None:
    """Reduce lines that are too long, and the first if it was too long already, to their heads."""
    for place, text in enumerate(lines.texts):
        if len(text) > longest or (first and place == 0):
            lines.texts[place] = text[:HEAD]
            lines.cut.add(lines.numbers[place])
