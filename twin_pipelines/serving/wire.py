"""The OpenAI format: what a request may say, and how an answer is told."""

from __future__ import annotations

import json
import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from twin_pipelines.generation.prompt import Message
from twin_pipelines.serving.engine import Reply, Sampling
from twin_pipelines.settings import Serving

MODEL = "twin"  # whichever release is in force
LONGEST_MESSAGE = 100_000  # characters
MOST_MESSAGES = 10_000
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class TextPart(BaseModel):
    """One part of a message's content; only text can be read."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message of a request."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def plain(self) -> Message:
        """Role and text as the prompt's rendering takes them."""
        content = self.content
        if not isinstance(content, str):
            content = "\n".join(part.text for part in content)
        return {"role": ROLES[self.role], "content": content}


class StreamOptions(BaseModel):
    """What a stream tells besides text."""

    include_usage: bool = False


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

    @model_validator(mode="after")
    def _few_stops(self) -> ChatRequest:
        if isinstance(self.stop, list) and len(self.stop) > 4:
            raise ValueError("stop holds more than 4 sequences")
        return self

    def plain(self) -> list[Message]:
        """The messages as the prompt's rendering takes them."""
        return [message.plain() for message in self.messages]

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

    def whole(self, reply: Reply) -> dict[str, Any]:
        """The answer as one object."""
        message = {"role": "assistant", "content": reply.text}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
            "usage": _usage(reply),
        }

    def opening(self) -> str:
        """The first event: who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> str:
        """An event with more text."""
        return self._chunk({"content": text})

    def ending(self, reply: Reply, with_usage: bool) -> str:
        """The last events."""
        events = self._chunk({}, reply.finish)
        if with_usage:
            content = {"object": "chat.completion.chunk", "choices": [], "usage": _usage(reply)}
            events += event({**self._head, **content})
        return events + "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, str], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


def event(content: dict[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


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
