"""A chat with a twin server: what is said, answered and remembered, and what the owner thinks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from twin_pipelines.serving.wire import MODEL
from twin_pipelines.settings import TwinError

if TYPE_CHECKING:
    import httpx
    from openai import OpenAI

GONE = "The server is gone; start `twin serve` and ask again."
OWN = "champion"  # the backend that is the twin itself


@dataclass
class Talk:
    """A conversation. The server keeps it under `chat`; else it is sent whole each time.

    `told` is what the server said of the last answer: who gave it, its place, what was remembered.
    """

    client: OpenAI
    wishes: httpx.Client
    chat: str = field(default_factory=lambda: str(uuid4()))
    consent: bool = False
    messages: list[dict[str, str]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def memories(self) -> list[dict[str, Any]]:
        """What the last answer was asked with."""
        return list(self.told.get("memories", []))

    @property
    def stands_in(self) -> str:
        """Which backend gave the last answer, where it was not the twin itself."""
        backend = str(self.told.get("backend", ""))
        return "" if backend == OWN else backend

    def answer(self, words: str) -> Iterator[str]:
        """The twin's answer piece by piece; it is kept, as far as it was heard.

        Raises TwinError with the server's sentence; what was said is then taken back.
        """
        from openai import APIConnectionError, APIError

        kept = self.told.get("place") is not None
        self.messages.append({"role": "user", "content": words})
        asked: Any = self.messages[-1:] if kept else self.messages
        wishes = {"memories": True, "chat": self.chat, "consent": self.consent}
        self.told = {}
        heard: list[str] = []
        try:
            stream = self.client.chat.completions.create(
                model=MODEL, messages=asked, stream=True, extra_body={"twin": wishes}
            )
            with stream:
                for chunk in stream:
                    self.told |= (chunk.model_extra or {}).get("twin") or {}
                    piece = chunk.choices[0].delta.content if chunk.choices else None
                    if piece:
                        heard.append(piece)
                        yield piece
        except APIConnectionError as error:
            raise TwinError(GONE) from error
        except APIError as error:
            raise TwinError(_sentence(error.body) or error.message) from error
        finally:
            if heard:
                self.messages.append({"role": "assistant", "content": "".join(heard)})
            else:
                self.messages.pop()

    def begin_anew(self) -> None:
        """Begin another chat; consent was given to the last one only."""
        self.chat = str(uuid4())
        self.consent = False
        self.messages.clear()
        self.told = {}

    def allow(self, consent: bool) -> None:
        """Let what is said from now on become part of the history, or no longer.

        Raises TwinError where the settings name nobody who allowed that.
        """
        if consent and not self._ask("GET", "/twin/chats").get("may_learn"):
            raise TwinError(
                "Nobody allowed that chats are learnt from; set serving.chat_consent in twin.toml "
                "to who did, and start the server anew."
            )
        if self.told.get("place") is not None:
            self._ask("POST", f"/twin/chats/{self.chat}/consent", {"consented": consent})
        self.consent = consent

    def judge(self, thumb: int) -> None:
        """Keep an opinion of the last answer: 1 or -1. Raises TwinError."""
        self._ask("POST", "/twin/thumb", {**self._place(), "thumb": thumb})

    def correct(self, text: str) -> None:
        """Keep what the last answer should have been. Raises TwinError."""
        self._ask("POST", "/twin/correct", {**self._place(), "text": text})

    def decide(self, number: int, verb: str, text: str = "") -> dict[str, Any]:
        """Pin, unpin, forget, remember or correct (with a text) a memory of the last answer.

        `number` counts from 1, as `memories` shows them. Raises TwinError.
        """
        known = self.memories
        if not 1 <= number <= len(known):
            many = f"the last answer has {len(known)}" if known else "the last answer has none"
            raise TwinError(f"There is no memory {number}; {many}, see /memories.")
        memory = known[number - 1]
        ids, turns = memory.get("memory_ids"), memory.get("message_ids")
        body = {"text": text} if text else {}
        if ids and ids[0]:
            told = self._ask("POST", f"/twin/memories/{ids[0]}/{verb}", body)
            if told.get("replaced"):
                memory["memory_ids"] = [told["memory"]["memory_id"]]
            return told
        if turns and memory.get("kind") != "session" and verb in ("forget", "remember"):
            return self._ask("POST", f"/twin/messages/{turns[0]}/{verb}", {})
        raise TwinError(f"Line {number} is no memory of its own; it cannot be {_DONE[verb]}.")

    def _place(self) -> dict[str, Any]:
        if self.told.get("place") is None:
            raise TwinError("There is no answer that was kept; ask something first.")
        return {"chat": self.chat, "place": self.told["place"]}

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """What the server answers. Raises TwinError with its sentence."""
        import httpx

        try:
            told = self.wishes.request(method, path, json=body)
        except httpx.TransportError as error:
            raise TwinError(GONE) from error
        content = told.json() if told.content else {}
        if told.is_error:
            words = _sentence(content.get("error"))
            raise TwinError(words or f"The server answered {told.status_code} to {path}.")
        return dict(content)


_DONE = {
    "pin": "pinned",
    "unpin": "unpinned",
    "forget": "forgotten",
    "remember": "remembered",
    "correct": "corrected",
}


def _sentence(body: object) -> str:
    """The server's own words in the body of an error."""
    words = body.get("message") if isinstance(body, dict) else None
    return words if isinstance(words, str) else ""
