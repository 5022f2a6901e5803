"""What every backend speaks: asked once, it signs, says its words as they come, and ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.serving.engine import Reply, Sampling
from twin_pipelines.settings import TwinError


class BackendError(TwinError):
    """A backend that failed, in a sentence; the next one is asked."""


@dataclass(frozen=True)
class Asked:
    """One answer that is wanted: the turns, the user's words last, and what was recalled."""

    messages: Sequence[Message]
    sampling: Sampling
    recalled: Sequence[Remembered] = ()


@dataclass(frozen=True)
class Signed:
    """Who speaks from here on. `release` and `adapter_id` are empty where no release does."""

    backend: str
    model: str
    release: str = ""
    adapter_id: str | None = None


@dataclass(frozen=True)
class PassedOver:
    """A backend that did not answer, and why; `spoke`: it had begun to, and fell silent."""

    backend: str
    why: str
    cause: Literal["unable", "open", "deadline", "failed", "broke_off"]
    spoke: bool = False


Word = Signed | str | Reply
Event = Word | PassedOver


class Backend(Protocol):
    """One that can answer. Used from one event loop only."""

    @property
    def name(self) -> str:
        """What answers, figures and problems call it; one name, one link."""
        ...

    @property
    def deadline(self) -> float:
        """Seconds it may be silent, before the first word and between two."""
        ...

    def problem(self) -> str:
        """Why it need not be asked at all, in a sentence; empty when it may be able."""
        ...

    def coming(self) -> bool:
        """Whether it will be able in a moment, so that it is asked despite its problem."""
        ...

    def stirred(self) -> float:
        """When it last showed life in anything it does, by the monotonic clock; 0: not known."""
        ...

    def speak(self, asked: Asked) -> AsyncGenerator[Word, None]:
        """`Signed`, then pieces of text, then the whole `Reply`. To close it takes the wish back.

        Raises NotReady when it cannot answer now through no fault of its own, TooLong and Crowded
        for what lies in the request, and any other error when it failed.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
