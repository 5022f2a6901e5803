"""Whatever another server streams: words, an end, or one sentence, and never another error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.generation.context import Context
from twin_pipelines.serving.backends.parsing import Heard, of_llama_cpp, of_ollama
from twin_pipelines.serving.backends.protocol import BackendError, Signed, Word
from twin_pipelines.serving.backends.telling import told
from twin_pipelines.serving.engine import Reply

CONTEXT = Context([{"role": "user", "content": "hi"}], 7, (), ())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["content", "stop", "error", "message", "done", "stop_type", "eval_count", "code"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)


@given(st.text(max_size=60) | JSON.map(json.dumps))
def test_no_line_brings_anything_but_words_or_one_sentence(text: str) -> None:
    for parse, line in (
        (of_ollama, text),
        (of_llama_cpp, text),
        (of_llama_cpp, f"data: {text}"),
        (of_llama_cpp, f"error: {text}"),
    ):
        try:
            heard = parse(line)
        except BackendError as error:
            assert "\n" not in str(error)
        else:
            assert isinstance(heard.text, str)
            assert heard.finish in (None, "stop", "length")
            assert heard.prompt_tokens >= 0 and heard.reply_tokens >= 0


def test_words_and_ends_of_both_formats() -> None:
    assert of_llama_cpp('data: {"content": "สวัสดี", "stop": false}') == Heard("สวัสดี")
    assert of_llama_cpp(": a comment") == Heard()
    assert of_llama_cpp(
        'data: {"content": "", "stop": true, "stop_type": "limit", "tokens_predicted": 3, '
        '"tokens_evaluated": 12}'
    ) == Heard("", "length", 12, 3)
    assert of_llama_cpp('data: {"content": "", "stop": true, "stopped_limit": true}') == Heard(
        "", "length"
    )
    assert of_ollama('{"message": {"role": "assistant", "content": "hi "}, "done": false}') == (
        Heard("hi ")
    )
    assert of_ollama(
        '{"message": {"content": ""}, "done": true, "done_reason": "length", '
        '"prompt_eval_count": 12, "eval_count": 3}'
    ) == Heard("", "length", 12, 3)
    with pytest.raises(BackendError, match=r"it failed \(out of memory\)"):
        of_ollama('{"error": "out of\\nmemory."}')
    with pytest.raises(BackendError, match="out of memory"):
        of_llama_cpp('error: {"code": 500, "message": "out of memory"}')
    with pytest.raises(BackendError, match="no event of its format"):
        of_ollama("<html>")


def words_of(*heard: Heard) -> list[Word]:
    async def events() -> AsyncGenerator[Heard, None]:
        for one in heard:
            yield one

    async def collected() -> list[Word]:
        return [word async for word in told(Signed("x", "m"), events(), CONTEXT)]

    return asyncio.run(collected())


@given(st.lists(st.text(alphabet="a \nก", max_size=4), max_size=12))
def test_pieces_make_up_exactly_the_reply_without_white_space_around_it(texts: list[str]) -> None:
    if not "".join(texts).strip():
        with pytest.raises(BackendError, match="without words"):
            words_of(*map(Heard, texts), Heard(finish="stop"))
        return
    signed, *pieces, reply = words_of(*map(Heard, texts), Heard(finish="stop"))
    assert signed == Signed("x", "m")
    assert isinstance(reply, Reply)
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == reply.text
    assert reply.text == "".join(texts).strip()
    assert (reply.prompt_tokens, reply.messages) == (7, tuple(CONTEXT.messages))


def test_an_answer_without_an_end_is_no_answer() -> None:
    with pytest.raises(BackendError, match="in the middle"):
        words_of(Heard("half an ans"))
