"""The chain: whoever is able answers, the first link before the next, and it is said who did.

A link that fails, that its breaker holds back, or that is silent for its deadline is passed over.
Before its first word nobody hears of it but in what `PassedOver` tells; after it, what it said
stays said, and the next link answers the whole question.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from twin_pipelines.serving.backends.breaker import Breaker, State
from twin_pipelines.serving.backends.protocol import (
    Asked,
    Backend,
    BackendError,
    Event,
    PassedOver,
    Word,
)
from twin_pipelines.serving.engine import Crowded, NotReady, Reply, Stopped
from twin_pipelines.serving.voice import TooLong
from twin_pipelines.settings import TwinError

logger = logging.getLogger(__name__)

_CLOSING: set[asyncio.Task[None]] = set()  # so that none is forgotten before it is done
FAILED = "it failed; the server's log says how"


class Silent(BackendError):
    """A backend that said nothing for longer than its deadline."""


@dataclass(frozen=True)
class LinkState:
    """How a link stands: its circuit, and why it would not answer now; empty when it may."""

    name: str
    circuit: State
    problem: str


@dataclass(frozen=True)
class _Link:
    backend: Backend
    breaker: Breaker


class Chain:
    """Asks backends in their order. Used from one event loop only."""

    def __init__(
        self, backends: Sequence[Backend], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._links = [_Link(backend, Breaker(clock)) for backend in backends]

    def states(self) -> list[LinkState]:
        """How the links stand, in their order."""
        return [
            LinkState(
                link.backend.name,
                link.breaker.state,
                link.breaker.why if link.breaker.state == "open" else link.backend.problem(),
            )
            for link in self._links
        ]

    async def close(self) -> None:
        """Let all backends go."""
        for link in self._links:
            await link.backend.close()

    async def speak(self, asked: Asked) -> AsyncGenerator[Event, None]:
        """Words of the first link that is able, with `PassedOver` for each that was not.

        Ends with the whole reply. Raises TooLong and Crowded for what lies in the request, the
        error of the only link, or NotReady when nobody answered.
        """
        failed: list[tuple[PassedOver, Exception | None]] = []
        for link in self._links:
            reason = self._held_back(link)
            if reason:
                failed.append((reason, None))
                yield reason
                continue
            spoke = False
            try:
                async with aclosing(_in_time(link.backend, asked)) as words:
                    async for word in words:
                        spoke = spoke or isinstance(word, str)
                        if isinstance(word, Reply):
                            link.breaker.succeeded()
                        yield word
                return
            except (TooLong, Crowded, Stopped):
                raise
            except Exception as error:
                passed = _failure(link, error, spoke)
                failed.append((passed, error))
            finally:
                link.breaker.let_go()
            yield passed
        raise _nobody(failed)

    def _held_back(self, link: _Link) -> PassedOver | None:
        """Why a link is not asked at all."""
        problem = link.backend.problem()
        if problem and not link.backend.coming():
            return PassedOver(link.backend.name, problem, "unable")
        if not link.breaker.allows():
            why = f"it failed too often and is left alone for a while ({link.breaker.why})"
            return PassedOver(link.backend.name, why, "open")
        return None


async def _in_time(backend: Backend, asked: Asked) -> AsyncGenerator[Word, None]:
    """The backend's words. Raises Silent when none comes within its deadline.

    While it shows life in what it does for others, the deadline begins anew: who waits in a queue
    is not failed by it.
    """
    words = backend.speak(asked)
    step: asyncio.Future[Word] | None = None
    try:
        while True:
            step = asyncio.ensure_future(anext(words))
            begun = time.monotonic()
            while not step.done():
                left = max(begun, backend.stirred()) + backend.deadline - time.monotonic()
                if left <= 0:
                    raise Silent(f"it said nothing for {backend.deadline:g} seconds")
                await asyncio.wait({step}, timeout=left)
            try:
                word = step.result()
            except StopAsyncIteration:
                raise BackendError("it ended in the middle of its answer") from None
            yield word
            if isinstance(word, Reply):
                return
    finally:
        closing = asyncio.create_task(_let_go(step, words))
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)
        await asyncio.shield(closing)


async def _let_go(step: asyncio.Future[Word] | None, words: AsyncGenerator[Word, None]) -> None:
    """Take the wish back, in a task of its own: whose client left is cancelled at every wait."""
    if step and not step.done():
        step.cancel()
        await asyncio.wait({step})
        if not step.cancelled():
            step.exception()  # nobody else will ask for it
    await words.aclose()


def _failure(link: _Link, error: Exception, spoke: bool) -> PassedOver:
    """Why a link was passed over; its breaker hears of it, where it is the link's own failure."""
    name = link.backend.name
    if isinstance(error, NotReady):
        return PassedOver(name, str(error), "unable", spoke)
    if isinstance(error, TwinError):
        why = str(error)
        logger.warning("The backend %s did not answer: %s", name, why)
    else:
        why = FAILED
        logger.error("The backend %s failed.", name, exc_info=error)
    link.breaker.failed(why)
    if spoke:
        return PassedOver(name, why, "broke_off", spoke=True)
    return PassedOver(name, why, "deadline" if isinstance(error, Silent) else "failed")


def _nobody(failed: Sequence[tuple[PassedOver, Exception | None]]) -> Exception:
    """What is raised when no link answered."""
    if len(failed) == 1:
        (passed, error), *_ = failed
        return error or NotReady(passed.why)
    told = "; ".join(f"{one.backend}: {one.why.rstrip('.')}" for one, _ in failed)
    return NotReady(f"Nobody can answer now ({told}); see /readyz.")
