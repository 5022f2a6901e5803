"""The one template: how a conversation becomes the tokens a model reads.

Training, evaluation and serving all go through this module, so that a twin is asked in exactly the
form it was taught. The form is the tokenizer's own chat template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twin_pipelines.settings import TwinSettings

Message = dict[str, str]
_PROBE = "\u2042probe\u2042"


def system_prompt(settings: TwinSettings, name: str) -> str:
    """The system prompt of the subject called `name`."""
    return settings.dataset.system_prompt.replace("{name}", name)


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
        ids = tokenize(tokenizer, template_text(tokenizer, [*system, *turns]))
        if len(ids) <= max_tokens or len(turns) <= 1:
            return [*system, *turns], ids
        turns = turns[1:]


def reply_tokens(tokenizer: Any, reply: str) -> list[int]:
    """Token ids of a reply followed by the end of the assistant's turn."""
    text = without_special_tokens(tokenizer, reply.strip())
    return tokenize(tokenizer, text + end_of_turn(tokenizer))


def template_text(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The chat template's text, ending where the assistant speaks.

    A template that knows no system role gets the system prompt at the head of the first message;
    one that can think aloud is told not to.
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
        user, reply = {"role": "user", "content": "hi"}, {"role": "assistant", "content": _PROBE}
        tail = _apply(tokenizer, [user, reply], add_generation_prompt=False).split(_PROBE)[-1]
        found = [token for token in _control_tokens(tokenizer) if token in tail]
        cached = min(found, key=tail.index) if found else tokenizer.eos_token
        tokenizer._twin_end_of_turn = cached
    return cached


def _control_tokens(tokenizer: Any) -> list[str]:
    cached = getattr(tokenizer, "_twin_control_tokens", None)
    if cached is None:
        added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
        cached = sorted({token for token in (*tokenizer.all_special_tokens, *added) if token})
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

    options = {"tokenize": False, "enable_thinking": False}
    options["add_generation_prompt"] = add_generation_prompt
    try:
        return tokenizer.apply_chat_template(list(messages), **options)
    except TemplateError:
        system = "\n\n".join(part["content"] for part in messages if part["role"] == "system")
        turns = [message for message in messages if message["role"] != "system"]
        if not system:
            raise
        head = {"role": "user", "content": system}
        if turns and turns[0]["role"] == "user":
            head["content"] += "\n\n" + turns.pop(0)["content"]
        return tokenizer.apply_chat_template([head, *turns], **options)
