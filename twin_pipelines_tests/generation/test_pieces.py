"""Tokens put together of those of lines are the tokens of the whole text, for every tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import SPECIAL_TOKENS, build_tiny_tokenizer
from tokenizers import Regex, pre_tokenizers
from tokenizers.normalizers import NFC

from twin_pipelines.generation import pieces
from twin_pipelines.generation.pieces import token_counts, token_ids
from twin_pipelines.generation.prompt import tokenize

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = ("hello", "sea", "ครับ", "กินข้าว", "’s", "3.14", "😀", "e\u0301", "”", "“", "…", " ", "  ")
BREAKS = ("\n", "\n\n", "\n\n\n", "\r\n", "\n ", " \n", "\t", "\u2028", "\n- ", *SPECIAL_TOKENS)
TEXTS = st.lists(st.sampled_from((*WORDS, *BREAKS)) | st.text(max_size=3), max_size=30).map("".join)


def byte_level(kind: str) -> Any:
    tokenizer = build_tiny_tokenizer()
    backend = tokenizer.backend_tokenizer
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    after = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CL100K), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    unparted = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = {"before": gpt2, "after": after}.get(kind, unparted)
    return tokenizer


KINDS = {kind: byte_level(kind) for kind in ("before", "after", "nowhere")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_side_on_which_line_breaks_part_words_is_found_by_trying(kind: str) -> None:
    assert pieces._side(KINDS[kind]) == kind


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_pieces_have_the_tokens_of_the_whole(kind: str, text: str) -> None:
    tokenizer = KINDS[kind]
    assert token_ids(tokenizer, text) == list(tokenize(tokenizer, text))
    assert token_counts(tokenizer, [text, text]) == [len(tokenize(tokenizer, text))] * 2


@pytest.mark.parametrize("side", ["before", "after"])
@given(text=TEXTS)
def test_cutting_loses_nothing(side: Any, text: str) -> None:
    assert "".join(pieces._pieces(text, side)) == text


def test_a_tokenizer_that_changes_text_before_it_reads_it_reads_it_whole() -> None:
    tokenizer = byte_level("before")
    tokenizer.backend_tokenizer.normalizer = NFC()
    assert pieces._side(tokenizer) == "nowhere"


def test_a_token_that_takes_the_white_space_around_it_forbids_cutting() -> None:
    from transformers import AddedToken

    tokenizer = byte_level("before")
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True)])
    assert pieces._side(tokenizer) == "nowhere"


def test_what_is_kept_in_mind_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECES", 10)
    monkeypatch.setattr(pieces, "LONGEST", 20)
    tokenizer = byte_level("before")
    for number in range(50):
        token_counts(tokenizer, [f"sea {number}", "sea" * 20])
        assert len(tokenizer._twin_pieces) <= 10
    assert "sea" * 20 not in tokenizer._twin_pieces
