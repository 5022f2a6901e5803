"""Lines come whole and in order, and no line can fill the memory."""

from __future__ import annotations

from io import BufferedReader, BytesIO
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.sources import lines
from twin_pipelines.sources.lines import HEAD, read_lines


def stream(content: bytes) -> BufferedReader:
    return BufferedReader(BytesIO(content))  # type: ignore[arg-type]


def texts(content: bytes, **limits: int) -> list[bytes]:
    return [text for block in read_lines(stream(content), **limits) for text in block.texts]


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 7)


@given(content=st.binary(max_size=200), most=st.integers(1, 5), block=st.integers(3, 50))
def test_lines_are_those_of_a_plain_split(content: bytes, most: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        blocks = list(read_lines(stream(content), most_lines=most))
    expected = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [text for block in blocks for text in block.texts] == expected
    numbers = [number for block in blocks for number in block.numbers]
    assert numbers == list(range(1, len(expected) + 1))
    assert all(len(block) <= most for block in blocks)


@pytest.mark.usefixtures("_small_blocks")
def test_a_long_line_is_cut_to_its_head_and_the_next_is_whole() -> None:
    content = b"a\n" + b"x" * 5_000 + b"\nb\n" + b"y" * 3_000
    blocks = list(read_lines(stream(content), longest=1_000))
    found = [text for block in blocks for text in block.texts]
    assert found == [b"a", b"x" * HEAD, b"b", b"y" * HEAD]
    assert set.union(*(block.cut for block in blocks)) == {2, 4}


def test_blocks_stay_near_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 1 << 10)
    monkeypatch.setattr(lines, "MOST_BYTES", 4 << 10)
    blocks = list(read_lines(stream(b"word\n" * 10_000)))
    assert max(sum(map(len, block.texts)) for block in blocks) <= 5 << 10
    assert all(first.numbers[-1] + 1 == second.numbers[0] for first, second in pairwise(blocks))
