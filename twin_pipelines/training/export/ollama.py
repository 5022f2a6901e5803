"""Ollama's Modelfile: its own template language, brought to write what the chat template writes.

Ollama does not read the chat template inside a GGUF file; it wants one in Go's syntax. The parts
that the tokenizer's template writes around messages are read off by rendering marked messages, put
into Go's words, and what those would write is compared with the real thing, conversation by
conversation. So every family whose template is regular works, and one that is not is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from twin_pipelines.generation.prompt import (
    Message,
    end_of_turn,
    template_text,
    without_special_tokens,
)
from twin_pipelines.training.export.llama_tools import UnavailableError

_SYSTEM, _FIRST, _REPLY, _SECOND = "p7system", "p7first", "p7reply", "p7second"


@dataclass(frozen=True)
class Layout:
    """What a chat template writes around messages.

    The system prompt stands in a block of its `own`, or at the head of the `first` or `last` user
    message.
    """

    system: Literal["own", "first", "last"]
    start: str  # before the first turn when there is no system prompt
    before_system: str
    after_system: str
    before_user: str
    after_user: str
    before_reply: str  # of an earlier turn
    after_reply: str
    opening: str  # after the last turn, where the reply begins

    def without_begin(self, token: str) -> Layout:
        """For a server that writes the begin-of-text token itself."""
        return replace(
            self,
            start=self.start.removeprefix(token),
            before_system=self.before_system.removeprefix(token),
        )

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt that Ollama builds of a conversation that a user begins."""
        system = "\n\n".join(one["content"] for one in messages if one["role"] == "system")
        turns = [one for one in messages if one["role"] != "system"]
        own = bool(system) and self.system == "own"
        text = self.before_system + system + self.after_system if own else self.start
        carrier = {"first": 0, "last": len(turns) - 1}.get(self.system) if system else None
        for place, turn in enumerate(turns):
            if turn["role"] == "user":
                head = system + self.after_system if place == carrier else ""
                text += self.before_user + head + turn["content"] + self.after_user
            else:
                text += self.before_reply + turn["content"] + self.after_reply
        return text + self.opening

    def go_template(self) -> str:
        """The same in the syntax of Go's text/template, over Ollama's .System and .Messages."""
        head, carried = self.start, ""
        if self.system == "own":
            head = (
                f"{{{{ if .System }}}}{self.before_system}{{{{ .System }}}}{self.after_system}"
                f"{{{{ else }}}}{self.start}{{{{ end }}}}"
            )
        elif self.system == "first":
            head += "{{ $system := .System }}"
            carried = f"{{{{ if $system }}}}{{{{ $system }}}}{self.after_system}"
            carried += '{{ $system = "" }}{{ end }}'
        else:
            carried = "{{ if and $.System (eq (len (slice $.Messages $i)) 1) }}{{ $.System }}"
            carried += self.after_system + "{{ end }}"
        user = f"{self.before_user}{carried}{{{{ .Content }}}}{self.after_user}"
        reply = f"{self.before_reply}{{{{ .Content }}}}{self.after_reply}"
        return (
            f'{head}{{{{ range $i, $_ := .Messages }}}}{{{{ if eq .Role "user" }}}}{user}'
            f'{{{{ else if eq .Role "assistant" }}}}{reply}{{{{ end }}}}{{{{ end }}}}{self.opening}'
        )


def read_layout(tokenizer: Any) -> Layout:
    """The layout of the tokenizer's chat template. Raises UnavailableError when it has none."""
    system, first = _message("system", _SYSTEM), _message("user", _FIRST)
    reply, second = _message("assistant", _REPLY), _message("user", _SECOND)
    talk = template_text(tokenizer, [system, first, reply, second])
    plain = template_text(tokenizer, [first])
    closed = {"tokenize": False, "add_generation_prompt": False}
    asked = str(tokenizer.apply_chat_template([first], **closed))
    told = str(tokenizer.apply_chat_template([first, reply], **closed))
    marks = (_SYSTEM, _FIRST, _REPLY, _SECOND)
    if any(talk.count(mark) != 1 for mark in marks):
        raise UnavailableError("the chat template leaves messages out, so Ollama cannot follow it.")
    after_user, after_reply = asked.partition(_FIRST)[2], told.partition(_REPLY)[2]
    last = talk.index(_SYSTEM) > talk.index(_FIRST)
    order = (_FIRST, _REPLY, _SYSTEM, _SECOND) if last else marks
    before, *between, end = _between(talk, order)
    if last:
        answered, returned, after_system = between
    else:
        after_system, answered, returned = between
    before_user = returned.removeprefix(after_reply)
    start = plain.split(_FIRST)[0].removesuffix(before_user)
    place: Literal["own", "first", "last"] = "own"
    if last or before == start + before_user:
        place = "last" if last else "first"
    else:
        after_system = after_system.removesuffix(before_user)
    return Layout(
        system=place,
        start=start,
        before_system=before,
        after_system=after_system,
        before_user=before_user,
        after_user=after_user,
        before_reply=answered.removeprefix(after_user),
        after_reply=after_reply,
        opening=end.removeprefix(after_user),
    )


def agreed_layout(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> Layout:
    """The layout, once it was seen to write these conversations as the chat template does.

    Conversations that the subject begins are left out: with Ollama the user begins. Raises
    UnavailableError when one comes out differently.
    """
    layout = read_layout(tokenizer)
    for messages in conversations:
        turns = [one for one in messages if one["role"] != "system"]
        if turns[0]["role"] != "user":
            continue
        plain = [
            {**one, "content": without_special_tokens(tokenizer, one["content"]).strip()}
            for one in messages
        ]
        if layout.render(plain) != template_text(tokenizer, plain):
            raise UnavailableError(
                "the chat template is too irregular to be put into Ollama's syntax; serve the file "
                "with llama.cpp's own server, which reads the template inside it."
            )
    if "{{" in "".join(str(part) for part in vars(layout).values()):
        raise UnavailableError("the chat template writes {{, which Ollama takes for an action.")
    return layout


def modelfile(
    gguf: Path, layout: Layout, tokenizer: Any, *, system: str, temperature: float, top_p: float
) -> str:
    """The Modelfile beside a GGUF file; `ollama create NAME -f MODELFILE` reads it.

    Raises UnavailableError for a system prompt that a Modelfile cannot hold.
    """
    if '"""' in system:
        raise UnavailableError('the system prompt holds """, which ends a text in a Modelfile.')
    stops = dict.fromkeys((end_of_turn(tokenizer), tokenizer.eos_token))
    lines = [f"FROM ./{gguf.name}", f'TEMPLATE """{layout.go_template()}"""']
    lines += [f'SYSTEM """{system}"""'] if system else []
    lines += [f'PARAMETER stop "{token}"' for token in stops if token]
    lines += [f"PARAMETER temperature {temperature:g}", f"PARAMETER top_p {top_p:g}"]
    return "\n".join(lines) + "\n"


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _between(text: str, marks: Sequence[str]) -> list[str]:
    """The text cut at the marks, which must follow each other in this order."""
    parts = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found:
            raise UnavailableError("the chat template reorders messages; Ollama cannot follow it.")
        parts.append(before)
    return [*parts, text]
