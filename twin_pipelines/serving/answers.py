"""A chat completion over HTTP: composed (`composing`), told whole or as a stream, given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar
from uuid import uuid4

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Send

from twin_pipelines.serving.backends.protocol import Event, PassedOver, Signed
from twin_pipelines.serving.composing import SEAM, Answer, Composer
from twin_pipelines.serving.engine import Engine, Reply
from twin_pipelines.serving.metrics import Metrics
from twin_pipelines.serving.refusals import Refusal, as_refusal
from twin_pipelines.serving.wire import MODEL, ChatRequest, Telling, event

RELEASE_HEADER = "x-twin-release"
BACKEND_HEADER = "x-twin-backend"
MEMORIES_HEADER = "x-twin-memories"
LOOK_SECONDS = 1.0  # how often it is seen whether the client is still there

Result = TypeVar("Result")


class _Left(Exception):
    """The client is gone."""


class Answers:
    """Answers chat completions."""

    def __init__(self, engine: Engine, composer: Composer, metrics: Metrics) -> None:
        self._engine = engine
        self._composer = composer
        self._metrics = metrics

    async def answer(self, asked: ChatRequest, request: Request) -> Response:
        """One answer, whole or as a stream. Raises Refusal.

        A stream begins with its first word, so that its headers name who says it.
        """
        self._check_model(asked.model)
        if request.headers.get(MEMORIES_HEADER, "").lower() in ("1", "true"):
            wishes = asked.twin.model_copy(update={"memories": True})
            asked = asked.model_copy(update={"twin": wishes})
        try:
            answer = await self._composer.open(asked)
            if not asked.stream:
                return await _while_there(self._whole(answer), request)
            events = self._composer.events(answer)
            ahead = await _while_there(_up_to_the_first_word(events), request)
        except _Left:
            self._metrics.abandon()
            return Response(status_code=499)
        except Exception as error:
            raise as_refusal(error) from error
        told = self._told(answer, ahead, events)
        headers = {**_headers(answer), "cache-control": "no-cache"}
        return _Stream(told, media_type="text/event-stream", headers=headers)

    def _check_model(self, model: str) -> None:
        voice = self._engine.voice
        if voice and model not in (MODEL, voice.name):
            words = f"{model!r} does not answer here; ask for {MODEL!r}, which is {voice.name} now."
            raise Refusal(404, words, "model_not_found")

    async def _whole(self, answer: Answer) -> Response:
        async with aclosing(self._composer.events(answer)) as events:
            async for told in events:
                if isinstance(told, Reply):
                    telling = Telling(uuid4().hex, _model(answer))
                    content = telling.whole(told, answer.besides(told))
                    return JSONResponse(content, headers=_headers(answer))
        raise AssertionError("a composed answer ends with its reply")

    async def _told(
        self, answer: Answer, ahead: Sequence[Event], events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[str, None]:
        telling = Telling(uuid4().hex, _model(answer))
        ended = False
        try:
            async with aclosing(events):
                yield telling.opening()
                for told in ahead:
                    if isinstance(told, str):
                        yield telling.piece(told)
                broken: PassedOver | None = None
                async for told in _rest(ahead, events):
                    if isinstance(told, str):
                        yield telling.piece(told)
                    elif isinstance(told, PassedOver):
                        broken = told if told.spoke else broken
                    elif isinstance(told, Signed):
                        yield telling.passed_on(told, broken, SEAM)
                    else:
                        usage = answer.asked.stream_options.include_usage
                        ended = True
                        yield telling.ending(told, usage, answer.besides(told))
        except Exception as error:
            ended = True
            yield event(as_refusal(error).as_dict())
        finally:
            if not ended:
                self._metrics.abandon()


class _Stream(StreamingResponse):
    """A stream that takes its wish back at once when the client is gone."""

    async def stream_response(self, send: Send) -> None:
        """Send it all, and close what it comes from however that ends."""
        source: Any = self.body_iterator
        async with aclosing(source):
            await super().stream_response(send)


async def _up_to_the_first_word(events: AsyncGenerator[Event, None]) -> list[Event]:
    """The events up to the first text, or to the reply of an answer without any."""
    ahead: list[Event] = []
    try:
        async for told in events:
            ahead.append(told)
            if isinstance(told, str | Reply):
                return ahead
    except BaseException:
        await events.aclose()
        raise
    return ahead


async def _rest(
    ahead: Sequence[Event], events: AsyncGenerator[Event, None]
) -> AsyncGenerator[Event, None]:
    if isinstance(ahead[-1], Reply):
        yield ahead[-1]
        return
    async for told in events:
        yield told


async def _while_there(work: Coroutine[Any, Any, Result], request: Request) -> Result:
    """The result, while the client waits for it. Raises _Left when it does no longer."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                raise _Left
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _model(answer: Answer) -> str:
    return answer.signed.model if answer.signed else MODEL


def _headers(answer: Answer) -> dict[str, str]:
    """Who answers; the release where one does."""
    signed = answer.signed
    if signed is None:
        return {}
    headers = {BACKEND_HEADER: signed.backend}
    return {**headers, RELEASE_HEADER: signed.release} if signed.release else headers
