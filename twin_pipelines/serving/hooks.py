"""Who else takes part in an answer, and what they are told: signatures, and nothing else.

`answers` calls them in this order: `Chats.open`, `Guard.disclosure`, `Recollects.pinned` and
`.recall`, `AnswerCache.get`, then the chain of backends with `Watch.feed` on every word,
`AnswerCache.put`, and `Chats.said`. Chats and recollection are called in threads, so they may wait
for a database; the others must not wait. A TwinError of one of them never costs the answer: its
sentence is told as `twin.problem`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.serving.engine import Reply, Sampling


@dataclass(frozen=True)
class Recall:
    """What was looked up for a question, the best first.

    `why` says in words what speaks for each: by the id of its memory, or by the first message id of
    a turn that is no memory. `problem` is why less was looked up than asked for, in a sentence.
    """

    memories: Sequence[Remembered] = ()
    why: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Answered:
    """An answer as the user got it, or as much of it as they heard before they left.

    `release` and `adapter_id` are empty and None where no release answered. `prompt` are the
    messages it was asked with, system message included.
    """

    text: str
    backend: str
    release: str = ""
    adapter_id: str | None = None
    prompt: Sequence[Message] = ()
    memory_ids: Sequence[str] = ()


class Recollects(Protocol):
    """Looks memories and turns up. Raises TwinError when nothing can be asked."""

    def recall(self, question: str, turns: Sequence[Message], k: int) -> Recall:
        """The k best for a question; `turns` came before it, the oldest first."""
        ...

    def pinned(self) -> Sequence[Remembered]:
        """What the owner pinned (kind `pinned`), the most important first."""
        ...

    def version(self) -> int | None:
        """Rises with every change of what can be found; None while it is not known."""
        ...


class Opened(Protocol):
    """A chat that is kept, as it was when the user's words came."""

    @property
    def messages(self) -> Sequence[Message]:
        """The request's system messages, the turns still in mind, and the user's words last."""
        ...

    @property
    def session(self) -> Sequence[Remembered]:
        """What happened before the messages (kind `session`)."""
        ...

    @property
    def problem(self) -> str:
        """Why it is not kept, or not whole, in a sentence."""
        ...

    def told(self, place: int | None) -> Mapping[str, Any]:
        """What the answer says of the chat, under `twin`."""
        ...


class Chats(Protocol):
    """Keeps chats that ask to be kept."""

    def open(
        self,
        wish: str,
        messages: Sequence[Message],
        *,
        consent: bool | None = None,
        partner: str | None = None,
    ) -> Any:
        """The chat a request goes on with (an `Opened`); `wish` is its id, or `new`."""
        ...

    def said(self, opened: Any, answered: Any) -> int | None:
        """Keep the user's words and the answer (`Answered`); the answer's place in the chat."""
        ...


class AnswerCache(Protocol):
    """Keeps answers for identical requests. Called only where `twin.cached` is wished for."""

    def key(
        self,
        messages: Sequence[Message],
        recalled: Sequence[Remembered],
        sampling: Sampling,
        release: str,
        version: int | None,
    ) -> str | None:
        """What must be equal; None for a request that may not be answered so."""
        ...

    def get(self, key: str) -> Reply | None:
        """The reply that was given before."""
        ...

    def put(self, key: str, reply: Reply, backend: str) -> None:
        """Keep a whole reply."""
        ...


class Watch(Protocol):
    """Sees one answer while it is told."""

    def feed(self, piece: str) -> str:
        """Take more of it; returns what may be told now, often less, later more."""
        ...

    def rest(self) -> str:
        """What is still to be told once it is whole."""
        ...

    @property
    def changed(self) -> Sequence[str]:
        """What was taken out, in words, told as `twin.guarded`."""
        ...


class Guard(Protocol):
    """Answers some things by rule, and sees to every word of the others."""

    def disclosure(self, messages: Sequence[Message]) -> str:
        """The answer to what no model is asked about, such as "are you a human?"; empty: ask."""
        ...

    def watch(self, messages: Sequence[Message]) -> Watch:
        """One for each answer."""
        ...
