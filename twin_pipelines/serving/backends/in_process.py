"""Backends of this process: voices that the engine answers with, in its one queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextlib import aclosing

from twin_pipelines.serving.backends.protocol import Asked, Signed, Word
from twin_pipelines.serving.backends.spares import Spare
from twin_pipelines.serving.engine import DEAD, LOADING, NO_RELEASE, Engine, Reply
from twin_pipelines.serving.voice import Voice

LOOK_SECONDS = 0.05  # whether a release that is being loaded is there
STUCK = "The engine has not moved for {:g} seconds; start the server anew."


class Champion:
    """The release in force."""

    def __init__(self, engine: Engine, deadline: float, name: str = "champion") -> None:
        self._engine = engine
        self.name = name
        self.deadline = deadline

    def problem(self) -> str:
        """Without a release, or with an engine that died or does not move."""
        if self._engine.voice is None:
            return LOADING if self._engine.loading else self._engine.problem or NO_RELEASE
        return engine_problem(self._engine, self.deadline)

    def coming(self) -> bool:
        """While the first release is being loaded."""
        return self._engine.loading and not engine_problem(self._engine, self.deadline)

    def stirred(self) -> float:
        """When the engine last did anything for anybody."""
        return self._engine.stirred

    async def speak(self, asked: Asked) -> AsyncGenerator[Word, None]:
        """The words of the voice in force, once the first one is there."""
        while self._engine.voice is None and self._engine.loading:
            await asyncio.sleep(LOOK_SECONDS)
        async with aclosing(_spoken(self.name, self._engine, None, asked)) as words:
            async for word in words:
                yield word

    async def close(self) -> None:
        """Nothing: the engine is another's."""


class Stand:
    """A voice that is loaded when it is needed: the previous release, or the base."""

    def __init__(self, name: str, engine: Engine, spare: Spare, deadline: float) -> None:
        self._engine = engine
        self._spare = spare
        self.name = name
        self.deadline = deadline

    def problem(self) -> str:
        """Without anything to load, or with an engine that died or does not move."""
        return self._spare.problem() or engine_problem(self._engine, self.deadline)

    def coming(self) -> bool:
        """Never: who needs to be loaded says so by its silence."""
        return False

    def stirred(self) -> float:
        """When the engine last did anything for anybody."""
        return self._engine.stirred

    async def speak(self, asked: Asked) -> AsyncGenerator[Word, None]:
        """Its words, once it is loaded; who leaves meanwhile does not stop the loading."""
        voice = await self._spare.voice()
        async with aclosing(_spoken(self.name, self._engine, voice, asked)) as words:
            async for word in words:
                yield word

    async def close(self) -> None:
        """Forget the weights."""
        self._spare.forget()


def engine_problem(engine: Engine, patience: float) -> str:
    """Why the engine answers nobody, in a sentence; empty while it may."""
    if engine.dead:
        return DEAD
    return STUCK.format(patience) if engine.stuck_for() > patience else ""


async def _spoken(
    name: str, engine: Engine, voice: Voice | None, asked: Asked
) -> AsyncGenerator[Word, None]:
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def told(piece: str | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

    def ended(_: Future[Reply]) -> None:
        told(None)

    ticket = engine.accept(asked.messages, asked.sampling, told, asked.recalled, voice=voice)
    ticket.answer.add_done_callback(ended)
    try:
        yield Signed(name, ticket.name, ticket.release, ticket.adapter_id)
        while (piece := await pieces.get()) is not None:
            yield piece
        yield ticket.answer.result()
    finally:
        ticket.abandoned = True
