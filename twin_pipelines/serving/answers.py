"""A chat completion from the request to its last byte: recalled for, queued, told, given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from twin_pipelines.generation.remembered import Remembered, from_memory
from twin_pipelines.serving.engine import Engine, Reply, Ticket
from twin_pipelines.serving.metrics import Metrics
from twin_pipelines.serving.refusals import Refusal, as_refusal
from twin_pipelines.serving.wire import MODEL, ChatRequest, Telling, event, remembered
from twin_pipelines.settings import Serving, TwinError

if TYPE_CHECKING:
    from twin_pipelines.serving.recollection import Recollection

RELEASE_HEADER = "x-twin-release"
MEMORIES_HEADER = "x-twin-memories"
LOOK_SECONDS = 1.0  # how often it is seen whether the client is still there
QUESTION = 4_000  # characters of the last message that memories are searched by
NOT_RECALLED = "This server searches no memories."


@dataclass(frozen=True)
class Recalled:
    """What was looked up for an answer; `problem` is why nothing was, in a sentence."""

    memories: Sequence[Remembered] = ()
    problem: str = ""


class Answers:
    """Answers chat completions, by the engine and with what the recollection finds."""

    def __init__(
        self,
        engine: Engine,
        settings: Serving,
        metrics: Metrics,
        recollection: Recollection | None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._metrics = metrics
        self._recollection = recollection

    async def answer(self, asked: ChatRequest, request: Request) -> Response:
        """One answer, whole or as a stream. Raises Refusal."""
        self._check_model(asked.model)
        if request.headers.get(MEMORIES_HEADER, "").lower() in ("1", "true"):
            wishes = asked.twin.model_copy(update={"memories": True})
            asked = asked.model_copy(update={"twin": wishes})
        recalled = await self._recall(asked)
        if asked.stream:
            return self._stream(asked, recalled)
        return await self._whole(asked, recalled, request)

    def _check_model(self, model: str) -> None:
        voice = self._engine.voice
        if voice and model not in (MODEL, voice.name):
            words = f"{model!r} does not answer here; ask for {MODEL!r}, which is {voice.name} now."
            raise Refusal(404, words, "model_not_found")

    async def _recall(self, asked: ChatRequest) -> Recalled:
        """Memories for the last message; without the database the twin answers without them."""
        if not asked.twin.recall:
            return Recalled()
        if self._recollection is None:
            return Recalled(problem=NOT_RECALLED)
        question = asked.question()[:QUESTION]
        try:
            found = await run_in_threadpool(
                self._recollection.search, question, k=asked.twin.recall
            )
        except TwinError as error:
            return Recalled(problem=str(error))
        return Recalled([from_memory(one, self._recollection.subject) for one in found])

    async def _whole(self, asked: ChatRequest, recalled: Recalled, request: Request) -> Response:
        ticket = self._accept(asked, recalled)
        waiting = asyncio.wrap_future(ticket.answer)
        while not (await asyncio.wait({waiting}, timeout=LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                ticket.abandoned = True
                self._metrics.abandon()
                return Response(status_code=499)
        try:
            reply = waiting.result()
        except Exception as error:
            raise as_refusal(error) from error
        content = Telling(uuid4().hex, ticket.name).whole(reply, _extra(asked, recalled, reply))
        return JSONResponse(content, headers={RELEASE_HEADER: ticket.name})

    def _stream(self, asked: ChatRequest, recalled: Recalled) -> Response:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def told(piece: str | None) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        ticket = self._accept(asked, recalled, told)
        ticket.answer.add_done_callback(lambda _: told(None))
        events = self._events(asked, recalled, ticket, pieces)
        headers = {RELEASE_HEADER: ticket.name, "cache-control": "no-cache"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _events(
        self,
        asked: ChatRequest,
        recalled: Recalled,
        ticket: Ticket,
        pieces: asyncio.Queue[str | None],
    ) -> AsyncIterator[str]:
        telling = Telling(uuid4().hex, ticket.name)
        try:
            yield telling.opening()
            while (piece := await pieces.get()) is not None:
                yield telling.piece(piece)
            error = ticket.answer.exception()
            if error:
                yield event(as_refusal(error).as_dict())
            else:
                reply = ticket.answer.result()
                extra = _extra(asked, recalled, reply)
                yield telling.ending(reply, asked.stream_options.include_usage, extra)
        finally:
            ticket.abandoned = True
            if not ticket.answer.done():
                self._metrics.abandon()

    def _accept(self, asked: ChatRequest, recalled: Recalled, told: Any = None) -> Ticket:
        sampling = asked.sampling(self._settings)
        try:
            ticket = self._engine.accept(asked.plain(), sampling, told, recalled.memories)
        except TwinError as error:
            raise as_refusal(error) from error
        ticket.answer.add_done_callback(self._count)
        return ticket

    def _count(self, answer: Future[Reply]) -> None:
        if not answer.exception():
            reply = answer.result()
            self._metrics.wrote(reply.prompt_tokens, reply.reply_tokens)


def _extra(asked: ChatRequest, recalled: Recalled, reply: Reply) -> dict[str, Any]:
    """What the request wished to hear besides: the memories, and why none were looked up."""
    if not asked.twin.memories and not asked.twin.recall:
        return {}
    told: dict[str, Any] = {"problem": recalled.problem}
    if asked.twin.memories:
        told["memories"] = remembered(reply.lines)
    return {"twin": told}
