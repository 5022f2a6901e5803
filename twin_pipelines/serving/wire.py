"""The OpenAI format: what a request may say, and how an answer is told."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from twin_pipelines.generation.context import Line
from twin_pipelines.generation.prompt import Message
from twin_pipelines.serving.engine import Reply, Sampling
from twin_pipelines.settings import Serving

if TYPE_CHECKING:
    from twin_pipelines.serving.backends.protocol import PassedOver, Signed

MODEL = "twin"  # whichever release is in force
LONGEST_MESSAGE = 100_000  # characters
MOST_MESSAGES = 10_000
MOST_RECALLED = 50
LONGEST_NAME = 80  # characters
NEW_CHAT = "new"
MEMORY_KINDS = ("pinned", "core", "recalled", "imagined", "session", "said")  # of lines
_LINE_ENDS = {sign: f"\\u{sign:04x}" for sign in (0x85, 0x2028, 0x2029)}
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class TextPart(BaseModel):
    """One part of a message's content; only text can be read."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message of a request."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None  # none: a call of tools, which a twin has not

    def plain(self) -> Message:
        """Role and text as the prompt's rendering takes them."""
        content = self.content or ""
        if not isinstance(content, str):
            content = "\n".join(part.text for part in content)
        whole = content.encode("utf-8", "replace").decode("utf-8")  # halves of characters go
        return {"role": ROLES[self.role], "content": whole}


class StreamOptions(BaseModel):
    """What a stream tells besides text."""

    include_usage: bool = False


class Wishes(BaseModel):
    """What only a twin can be asked for; other servers ignore it."""

    model_config = ConfigDict(extra="forbid")

    memories: bool = False  # tell which memories stood in the prompt, and why
    recall: int | None = Field(default=None, ge=0, le=MOST_RECALLED)  # None: serving.recall
    chat: str | None = None  # the chat this goes on with, or "new"; None: nothing is kept
    consent: bool | None = None  # whether the chat may become history; None: as it was
    partner: str | None = Field(default=None, max_length=LONGEST_NAME)  # who talks
    cached: bool = False  # an identical request may be answered as the last time

    @field_validator("chat")
    @classmethod
    def _an_id_or_new(cls, value: str | None) -> str | None:
        return value if value in (None, NEW_CHAT) else str(UUID(value))


class ChatRequest(BaseModel):
    """A chat completion that is asked for. Fields of the format that are not here are ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str = MODEL
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: str | list[str] | None = None
    n: Literal[1] | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    twin: Wishes = Wishes()

    @field_validator("messages")
    @classmethod
    def _the_user_speaks_last(cls, value: list[ChatMessage]) -> list[ChatMessage]:
        if value[-1].role != "user" or not value[-1].plain()["content"].strip():
            raise ValueError("the last message must be the user's and hold text")
        if any(len(message.plain()["content"]) > LONGEST_MESSAGE for message in value):
            raise ValueError(f"a message holds more than {LONGEST_MESSAGE} characters")
        return value

    @field_validator("stream_options", mode="before")
    @classmethod
    def _null_is_default(cls, value: Any) -> Any:
        return StreamOptions() if value is None else value

    @field_validator("twin", mode="before")
    @classmethod
    def _null_is_no_wish(cls, value: Any) -> Any:
        return Wishes() if value is None else value

    @model_validator(mode="after")
    def _few_stops(self) -> ChatRequest:
        if isinstance(self.stop, list) and len(self.stop) > 4:
            raise ValueError("stop holds more than 4 sequences")
        return self

    def plain(self) -> list[Message]:
        """The messages as the prompt's rendering takes them; those without words are left out."""
        told = [message.plain() for message in self.messages]
        return [message for message in told if message["content"].strip()]

    def question(self) -> str:
        """The last message, as memories are searched for."""
        return self.messages[-1].plain()["content"]

    def sampling(self, settings: Serving) -> Sampling:
        """How to draw the reply; the settings decide what the request leaves open."""
        asked = self.max_completion_tokens or self.max_tokens or settings.max_new_tokens
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            temperature=settings.temperature if self.temperature is None else self.temperature,
            top_p=settings.top_p if self.top_p is None else self.top_p,
            max_new_tokens=min(asked, settings.max_new_tokens),
            seed=self.seed,
            stops=tuple(stops),
        )


class Telling:
    """Tells one answer: whole, or as the events of a stream."""

    def __init__(self, number: str, model: str) -> None:
        self._head = {"id": f"chatcmpl-{number}", "created": int(time.time()), "model": model}

    def whole(self, reply: Reply, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The answer as one object; `extra` are fields that only a twin has."""
        message = {"role": "assistant", "content": reply.text}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
            "usage": _usage(reply),
            **extra,
        }

    def opening(self) -> str:
        """The first event: who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> str:
        """An event with more text."""
        return self._chunk({"content": text})

    def passed_on(self, signed: Signed, broken: PassedOver | None, seam: str) -> str:
        """An event that somebody else goes on, because who spoke fell silent."""
        self._head["model"] = signed.model
        twin: dict[str, Any] = {"backend": signed.backend}
        if broken:
            names = {"from": broken.backend, "to": signed.backend, "why": broken.why}
            twin["fell_back"] = names
        return self._chunk({"content": seam if broken else ""}, extra={"twin": twin})

    def ending(self, reply: Reply, with_usage: bool, extra: Mapping[str, Any]) -> str:
        """The last events; `extra` stands in the one that tells how it ended."""
        events = self._chunk({}, reply.finish, extra)
        if with_usage:
            content = {"object": "chat.completion.chunk", "choices": [], "usage": _usage(reply)}
            events += event({**self._head, **content})
        return events + "data: [DONE]\n\n"

    def _chunk(
        self,
        delta: dict[str, str],
        finish: str | None = None,
        extra: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        whole = {**self._head, "object": "chat.completion.chunk", "choices": [choice], **extra}
        return event(whole)


def remembered(
    lines: Sequence[Line], why: Mapping[str, str] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """The memories among the lines of a prompt, in its order, and what each was made of.

    `why` tells what speaks for one, by the id of its memory or of its first message.
    """
    return [
        {
            "kind": line.kind,
            "text": line.text,
            "memory_ids": list(line.memory_ids),
            "message_ids": list(line.message_ids),
            "why": next(
                (why[one] for one in (*line.memory_ids, *line.message_ids) if one in why), ""
            ),
        }
        for line in lines
        if line.kind in MEMORY_KINDS
    ]


def _why(line: Line, why: Mapping[str, str]) -> str:
    known = (why[one] for one in (*line.memory_ids, *line.message_ids) if one in why)
    return next(known, "")


def event(content: dict[str, Any]) -> str:
    """A server-sent event; nothing in it can be taken for the end of its line."""
    return f"data: {json.dumps(content, ensure_ascii=False).translate(_LINE_ENDS)}\n\n"


def refusal(message: str, kind: str, code: str) -> dict[str, Any]:
    """An error in the format clients know."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def model_card(name: str, created: int) -> dict[str, Any]:
    """An entry of the list of models."""
    return {"id": name, "object": "model", "created": created, "owned_by": "twin"}


def _usage(reply: Reply) -> dict[str, int]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.reply_tokens,
        "total_tokens": reply.prompt_tokens + reply.reply_tokens,
    }
