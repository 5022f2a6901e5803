"""One template for training, evaluation and serving: what it keeps, drops and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError
from tiny_model import SPECIAL_TOKENS, build_tiny_tokenizer

from twin_pipelines.generation.prompt import (
    chat_messages,
    end_of_turn,
    render,
    reply_tokens,
    stop_tokens,
    system_prompt,
    template_text,
    tokenize,
)
from twin_pipelines.settings import TwinSettings

TOKENIZER = build_tiny_tokenizer()
CONTEXT = [
    {"role": "user", "content": "hello mali how are you"},
    {"role": "assistant", "content": "good and you"},
]


def test_the_system_prompt_takes_any_name_as_it_is(tmp_path: Path) -> None:
    prompt = system_prompt(TwinSettings(home=tmp_path), "น้ำ {0}")
    assert prompt == "You are น้ำ {0}. Reply as น้ำ {0} would in this chat."


def test_messages_run_from_the_system_prompt_to_the_partners_words() -> None:
    messages = chat_messages("be mali", CONTEXT, "tell me more")
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[-1]["content"] == "tell me more"
    assert chat_messages("", [], "hi") == [{"role": "user", "content": "hi"}]


def test_turns_of_one_role_in_a_row_become_one_because_templates_want_alternation() -> None:
    context = [*CONTEXT, {"role": "user", "content": "fine"}]
    messages = chat_messages("be mali", context, "tell me more")
    assert messages[-1] == {"role": "user", "content": "fine\ntell me more"}
    assert context[-1] == {"role": "user", "content": "fine"}


def test_a_prompt_ends_where_the_assistant_begins_to_speak(tokenizer: Any) -> None:
    text = tokenizer.decode(render(tokenizer, chat_messages("be mali", CONTEXT, "more"), 500))
    assert text.endswith("<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n")


def test_prompt_and_reply_are_the_tokens_of_the_template_itself(tokenizer: Any) -> None:
    messages = chat_messages("be mali", CONTEXT, "tell me more")
    whole = tokenizer.apply_chat_template(
        [*messages, {"role": "assistant", "content": "haha lovely"}], tokenize=False
    )
    ours = render(tokenizer, messages, 500) + reply_tokens(tokenizer, " haha lovely\n")
    assert tokenizer.decode(ours) == whole.removesuffix("\n")


def test_the_oldest_turns_are_dropped_first_and_never_the_system_prompt_or_the_input(
    tokenizer: Any,
) -> None:
    context = [
        {"role": role, "content": f"{word} day"}
        for word in ("good", "bad", "happy", "tired")
        for role in ("user", "assistant")
    ]
    messages = chat_messages("be mali", context, "tell me more")
    whole = len(render(tokenizer, messages, 10_000))
    previous = len(context)
    for budget in range(whole, 20, -5):
        text = tokenizer.decode(render(tokenizer, messages, budget))
        kept = [turn for turn in context if f"{turn['role']}\n{turn['content']}<" in text]
        assert kept == context[len(context) - len(kept) :]
        assert len(kept) <= previous
        previous = len(kept)
        assert "be mali" in text and "tell me more" in text
        if kept:
            assert len(render(tokenizer, messages, budget)) <= budget
    assert previous == 0


def test_a_long_input_stays_whole_even_beyond_the_budget(tokenizer: Any) -> None:
    ids = render(tokenizer, chat_messages("be mali", CONTEXT, "rained " * 100), 50)
    assert tokenizer.decode(ids).count("rained") == 100


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([*SPECIAL_TOKENS, "<|im_<|im_end|>start|>"]), st.text(max_size=8)
        ),
        max_size=6,
    )
)
def test_no_message_can_forge_a_turn(pieces: list[str]) -> None:
    tokenizer = TOKENIZER
    said = "".join(pieces)
    control = set(tokenizer.all_special_ids)
    harmless = render(tokenizer, chat_messages("be mali", [], "hi"), 1_000)
    ids = render(tokenizer, chat_messages("be mali", [], said), 1_000)
    assert sum(id in control for id in ids) == sum(id in control for id in harmless)
    assert sum(id in control for id in reply_tokens(tokenizer, said)) == 1


def test_a_reply_ends_with_the_templates_end_of_turn_not_the_end_of_the_document() -> None:
    tokenizer = build_tiny_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"
    assert end_of_turn(tokenizer) == "<|im_end|>"
    assert stop_tokens(tokenizer) == sorted(
        tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    )


def test_a_template_without_control_tokens_ends_replies_with_the_end_of_sequence() -> None:
    tokenizer = build_tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    )
    assert end_of_turn(tokenizer) == tokenizer.eos_token


def _without_system_role(tokenizer: Any) -> Any:
    tokenizer.chat_template = (
        "{% for message in messages %}{% if message['role'] == 'system' %}"
        "{{ raise_exception('no system role') }}{% endif %}"
        + tokenizer.chat_template[len("{% for message in messages %}") :]
    )
    return tokenizer


def test_a_template_without_a_system_role_gets_the_system_prompt_in_the_first_message() -> None:
    tokenizer = _without_system_role(build_tiny_tokenizer())
    text = template_text(tokenizer, chat_messages("be mali", [], "hi"))
    assert text.startswith("<|im_start|>user\nbe mali\n\nhi<|im_end|>")
    assistant_first = [{"role": "system", "content": "be mali"}, CONTEXT[1]]
    text = template_text(tokenizer, assistant_first)
    assert text.startswith("<|im_start|>user\nbe mali<|im_end|>\n<|im_start|>assistant\ngood")


def test_a_template_that_refuses_for_another_reason_says_so() -> None:
    tokenizer = build_tiny_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('alternate!') }}"
    with pytest.raises(TemplateError, match="alternate"):
        template_text(tokenizer, [{"role": "user", "content": "hi"}])


def test_nothing_is_added_around_a_prompt(tokenizer: Any) -> None:
    assert tokenizer.decode(tokenize(tokenizer, "hello how are you")) == "hello how are you"
