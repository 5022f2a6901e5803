"""What a stream shows is exactly the reply, and nothing has to be taken back."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tiny_model import build_tiny_tokenizer

from twin_pipelines.serving.writing import Writing

SIGNS = st.sampled_from([*"ab \n.<|", "ค่ะ", "😀", "haha", "end"])


@cache
def tokenizer() -> Any:
    return build_tiny_tokenizer()


@given(st.lists(SIGNS, max_size=12).map("".join), st.lists(st.sampled_from(["end", "\n\n", "b."])))
def test_the_pieces_make_up_the_reply_up_to_its_stop_sequence(text: str, stops: list[str]) -> None:
    writing = Writing(tokenizer(), stops)
    ids = tokenizer()(text, add_special_tokens=False)["input_ids"]
    shown = "".join([*(writing.add(token) for token in ids), writing.rest()])
    heard = text.lstrip()
    cut = min((heard.find(stop) for stop in stops if stop in heard), default=len(heard))
    assert shown == writing.final() == heard[:cut].strip()


def test_half_a_character_is_never_shown() -> None:
    writing = Writing(tokenizer())
    ids = tokenizer()("ok 😀", add_special_tokens=False)["input_ids"]
    pieces = [writing.add(token) for token in ids]
    assert "\ufffd" not in "".join(pieces)
    assert "".join(pieces) == "ok 😀"


def test_a_beginning_stop_sequence_is_held_back_until_it_is_certain() -> None:
    writing = Writing(tokenizer(), ["###"])
    pieces = [
        writing.add(token)
        for token in tokenizer()("one ## two", add_special_tokens=False)["input_ids"]
    ]
    assert "".join(pieces) == "one ## two"
    assert not any(piece.endswith("#") for piece in pieces)
