"""The one template: how a conversation becomes the tokens a model reads.

Training, evaluation and serving all go through this module, so that a twin is asked in exactly the
form it was taught. The form is the tokenizer's own chat template.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from twin_pipelines.generation.pieces import token_ids
from twin_pipelines.settings import TwinError, TwinSettings

Message = dict[str, str]
IDENTITY = "{identity}"  # in dataset.system_prompt: the short form of the core identity
MEMORIES_HEAD = "What you have said before:"
_PROBE = "\u2042probe\u2042"
_MARK = re.compile(r"<[^<>\s]+>|\[/?[A-Z][A-Z_]*\]")  # what templates write around messages
_THOUGHT = ("<think>", "</think>")
_TODAY = "26 Jul 2024"  # for templates that name the day: a twin is asked as it was taught
_NO_CLOCK = f"{{%- macro strftime_now(format) -%}}{_TODAY}{{%- endmacro -%}}"
_NOBODY_ASKED = "..."  # where a template insists that the user speaks first


def system_prompt(settings: TwinSettings, name: str, identity: str = "") -> str:
    """The system prompt of the subject called `name`, who is the `identity` in a few words."""
    prompt = settings.dataset.system_prompt.replace("{name}", name)
    return prompt.replace(IDENTITY, identity).strip() if IDENTITY in prompt else prompt


def chat_messages(system: str, context: Sequence[Message], input: str) -> list[Message]:
    """System prompt, earlier turns (oldest first) and the partner's message as chat messages.

    Turns of one role that follow each other become one message, line by line, because many
    templates insist on alternation. An empty system prompt is left out.
    """
    messages = [{"role": "system", "content": system}] if system else []
    turns = [*context, {"role": "user", "content": input}]
    for position, turn in enumerate(turns):
        previous = messages[-1] if messages else None
        if position and previous and previous["role"] == turn["role"]:
            previous["content"] += "\n" + turn["content"]
        else:
            messages.append({"role": turn["role"], "content": turn["content"]})
    return messages


def with_memories(messages: Sequence[Message], memories: Sequence[str]) -> list[Message]:
    """The conversation with recalled messages of the subject's own at the end of its system prompt.

    Line by line, in the given order. Without memories the conversation stays as it is; without a
    system message they become one.
    """
    if not memories:
        return list(messages)
    recalled = "\n".join([MEMORIES_HEAD, *(f"- {' '.join(said.split())}" for said in memories)])
    system = [part["content"] for part in messages if part["role"] == "system"]
    turns = [part for part in messages if part["role"] != "system"]
    return [{"role": "system", "content": "\n\n".join([*system, recalled])}, *turns]


def render(tokenizer: Any, messages: Sequence[Message], max_tokens: int) -> list[int]:
    """Token ids of a conversation, up to where the assistant's reply begins; see `fit`."""
    return fit(tokenizer, messages, max_tokens)[1]


def fit(
    tokenizer: Any, messages: Sequence[Message], max_tokens: int
) -> tuple[list[Message], list[int]]:
    """The messages that fit into `max_tokens`, and their token ids up to the assistant's reply.

    The oldest turns go first. System messages and the last message are never dropped, so when they
    alone are longer than that, so is the result.
    """
    system = [message for message in messages if message["role"] == "system"]
    turns = [message for message in messages if message["role"] != "system"]
    while True:
        ids = token_ids(tokenizer, template_text(tokenizer, [*system, *turns]))
        if len(ids) <= max_tokens or len(turns) <= 1:
            return [*system, *turns], ids
        turns = turns[1:]


def reply_tokens(tokenizer: Any, reply: str) -> list[int]:
    """Token ids of a reply as they follow a rendered prompt, with the end of the turn.

    They are cut from the tokens of the prompt's last words and the reply together, because some
    tokenizers write the first word of a text otherwise than the same word after a control token.
    """
    opening = _reply_opening(tokenizer)
    before, whole = (
        tokenize(tokenizer, text) for text in (opening, opening + reply_text(tokenizer, reply))
    )
    if whole[: len(before)] != before:
        return tokenize(tokenizer, reply_text(tokenizer, reply))
    return whole[len(before) :]


def reply_text(tokenizer: Any, reply: str) -> str:
    """A reply as the template writes it: a space before it where it has one, the end of turn."""
    content = without_special_tokens(tokenizer, reply.strip())
    return _reply_lead(tokenizer) + content + end_of_turn(tokenizer)


def template_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The chat template's text, ending where the assistant speaks.

    A template that knows no system role gets the system prompt at the head of the first message,
    one that insists on a user's turn first gets one, and one that can think aloud is told not to.
    Raises TwinError when the tokenizer has no chat template.
    """
    plain = [
        {**message, "content": without_special_tokens(tokenizer, message["content"])}
        for message in messages
    ]
    return _apply(tokenizer, plain, add_generation_prompt=True)


def without_special_tokens(tokenizer: Any, text: str) -> str:
    """The text without the template's control tokens, so that no message can forge a turn."""
    tokens = _control_tokens(tokenizer)
    while any(token in text for token in tokens):
        for token in tokens:
            text = text.replace(token, "")
    return text


def end_of_turn(tokenizer: Any) -> str:
    """The token with which the template closes an assistant's message."""
    cached = getattr(tokenizer, "_twin_end_of_turn", None)
    if cached is None:
        tail = _apply(tokenizer, _EXCHANGE, add_generation_prompt=False).split(_PROBE)[-1]
        found = [token for token in _special_tokens(tokenizer) if token in tail]
        cached = min(found, key=tail.index) if found else tokenizer.eos_token
        tokenizer._twin_end_of_turn = cached
    return cached


_EXCHANGE: list[Message] = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": _PROBE},
]


def _reply_lead(tokenizer: Any) -> str:
    """White space that the template writes between the rendered prompt and a reply."""
    cached = getattr(tokenizer, "_twin_reply_lead", None)
    if cached is None:
        asked = _apply(tokenizer, _EXCHANGE[:1], add_generation_prompt=True)
        answered = _apply(tokenizer, _EXCHANGE, add_generation_prompt=False)
        lead = answered[len(asked) :].split(_PROBE)[0] if answered.startswith(asked) else ""
        cached = lead if lead.isspace() else ""
        tokenizer._twin_reply_lead = cached
    return cached


def _reply_opening(tokenizer: Any) -> str:
    """The end of a rendered prompt, from the last control token before the assistant speaks."""
    cached = getattr(tokenizer, "_twin_reply_opening", None)
    if cached is None:
        asked = _apply(tokenizer, _EXCHANGE[:1], add_generation_prompt=True)
        last = max((asked.rfind(token) for token in _special_tokens(tokenizer)), default=-1)
        cached = asked[last:] if last >= 0 else ""
        tokenizer._twin_reply_opening = cached
    return cached


def _special_tokens(tokenizer: Any) -> list[str]:
    """Tokens the tokenizer itself calls special."""
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({token for token in (*tokenizer.all_special_tokens, *added) if token})


def _control_tokens(tokenizer: Any) -> list[str]:
    """Special tokens, and marks that are plain text to the tokenizer but mean a turn or a thought.

    Those are the added tokens that the template names, and what it writes around messages.
    """
    cached = getattr(tokenizer, "_twin_control_tokens", None)
    if cached is None:
        source = str(tokenizer.chat_template or "")
        added = {str(token).strip() for token in tokenizer.added_tokens_decoder.values()}
        named = {token for token in added if _MARK.fullmatch(token) and token in source}
        written = _apply(tokenizer, _EXCHANGE, add_generation_prompt=False)
        written += _apply(tokenizer, _EXCHANGE[:1], add_generation_prompt=True)
        cached = sorted({*_special_tokens(tokenizer), *named, *_MARK.findall(written)})
        tokenizer._twin_control_tokens = cached
    return cached


def stop_tokens(tokenizer: Any) -> list[int]:
    """Ids that end a reply: the template's end of turn and the tokenizer's end of sequence."""
    ids = {tokenizer.convert_tokens_to_ids(end_of_turn(tokenizer)), tokenizer.eos_token_id}
    return sorted(id for id in ids if id is not None)


def tokenize(tokenizer: Any, text: str) -> list[int]:
    """Ids of text that already carries its control tokens; nothing is added."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _apply(tokenizer: Any, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
    from jinja2.exceptions import TemplateError

    if not tokenizer.chat_template:
        raise TwinError(
            f"The tokenizer of {tokenizer.name_or_path or 'the base model'} has no chat template; "
            "set training.base_model to the instruct variant of that model."
        )
    try:
        text = _render(tokenizer, messages, add_generation_prompt)
    except TemplateError:
        text = _render(tokenizer, _alternating(messages), add_generation_prompt)
    opened, closed = _THOUGHT
    if add_generation_prompt and text.rstrip().endswith(opened):
        text = f"{text.rstrip()}\n\n{closed}\n\n"
    return text


def _render(tokenizer: Any, messages: Sequence[Message], add_generation_prompt: bool) -> str:
    source = tokenizer.chat_template
    clock = isinstance(source, str) and "strftime_now" in source
    return tokenizer.apply_chat_template(
        list(messages),
        chat_template=_NO_CLOCK + source if clock else None,
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
        enable_thinking=False,
        date_string=_TODAY,
    )


def _alternating(messages: Sequence[Message]) -> list[Message]:
    """The messages for a template without a system role, which wants the user to speak first."""
    system = "\n\n".join(part["content"] for part in messages if part["role"] == "system")
    turns = [message for message in messages if message["role"] != "system"]
    if turns and turns[0]["role"] == "user":
        content = "\n\n".join(part for part in (system, turns[0]["content"]) if part)
        return [{"role": "user", "content": content}, *turns[1:]]
    return [{"role": "user", "content": system or _NOBODY_ASKED}, *turns]
