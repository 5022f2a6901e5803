"""The HTTP door: OpenAI's chat completions, answered by the release in force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from twin_pipelines.serving.access import LOCAL_NAMES, same_token
from twin_pipelines.serving.engine import NO_RELEASE, Crowded, Engine, NotReady, Ticket
from twin_pipelines.serving.voice import TooLong
from twin_pipelines.serving.wire import MODEL, ChatRequest, Telling, event, model_card, refusal
from twin_pipelines.settings import Serving, TwinError

if TYPE_CHECKING:
    from twin_pipelines.serving.follow import Follower

RELEASE_HEADER = "x-twin-release"
LOOK_SECONDS = 1.0  # how often it is seen whether the client is still there
STOP_SECONDS = 4.0  # for the follower to leave the database
SERVER_ERROR = "The reply could not be written; the server's log says why."


class Refusal(Exception):
    """A request that is turned away."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def as_dict(self) -> dict[str, Any]:
        """The body of the response."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return refusal(str(self), kind, self.code)


def create_app(
    engine: Engine, token: str, settings: Serving, follower: Follower | None = None
) -> FastAPI:
    """The application; engine and follower run while it does.

    Every path but `/health` asks for `Authorization: Bearer <token>`. Only requests made to a name
    of this machine are answered, so that a web page cannot reach it under a name of its own.
    """

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        if follower:
            follower.start()
        yield
        if follower:
            follower.stop()
            await asyncio.to_thread(follower.join, STOP_SECONDS)
        engine.stop()

    app = FastAPI(title="twin", lifespan=running, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)

    def allowed(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same_token(given.strip(), token):
            words = "Send the token of the state folder as Authorization: Bearer."
            raise Refusal(401, words, "invalid_api_key")

    @app.get("/health")
    def health() -> Response:
        voice = engine.voice
        content = {
            "status": "ok" if voice else "no release",
            "release": voice.name if voice else None,
            "waiting": engine.waiting,
            "problem": engine.problem or ("" if voice else NO_RELEASE),
        }
        return JSONResponse(content, 200 if engine.alive else 503)

    @app.get("/v1/models", dependencies=[Depends(allowed)])
    def models() -> dict[str, Any]:
        voice = engine.voice
        if voice is None:
            return {"object": "list", "data": []}
        since = int(voice.release.in_force_since.timestamp())
        cards = [model_card(name, since) for name in (MODEL, voice.name)]
        return {"object": "list", "data": cards}

    @app.post("/v1/chat/completions", dependencies=[Depends(allowed)])
    async def complete(asked: ChatRequest, request: Request) -> Response:
        _check_model(asked.model, engine)
        if asked.stream:
            return _stream(asked, engine, settings)
        return await _whole(asked, engine, settings, request)

    return app


def _check_model(model: str, engine: Engine) -> None:
    voice = engine.voice
    if voice and model not in (MODEL, voice.name):
        words = f"{model!r} does not answer here; ask for {MODEL!r}, which is {voice.name} now."
        raise Refusal(404, words, "model_not_found")


async def _whole(
    asked: ChatRequest, engine: Engine, settings: Serving, request: Request
) -> Response:
    try:
        ticket = engine.accept(asked.plain(), asked.sampling(settings))
    except TwinError as error:
        raise _as_refusal(error) from error
    waiting = asyncio.wrap_future(ticket.answer)
    while not (await asyncio.wait({waiting}, timeout=LOOK_SECONDS))[0]:
        if await request.is_disconnected():
            ticket.abandoned = True
            return Response(status_code=499)
    try:
        reply = waiting.result()
    except Exception as error:
        raise _as_refusal(error) from error
    content = Telling(uuid4().hex, ticket.name).whole(reply)
    return JSONResponse(content, headers={RELEASE_HEADER: ticket.name})


def _stream(asked: ChatRequest, engine: Engine, settings: Serving) -> Response:
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def told(piece: str | None) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    try:
        ticket = engine.accept(asked.plain(), asked.sampling(settings), told)
    except TwinError as error:
        raise _as_refusal(error) from error
    ticket.answer.add_done_callback(lambda _: told(None))
    events = _events(ticket, pieces, asked.stream_options.include_usage)
    headers = {RELEASE_HEADER: ticket.name, "cache-control": "no-cache"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    ticket: Ticket, pieces: asyncio.Queue[str | None], with_usage: bool
) -> AsyncIterator[str]:
    telling = Telling(uuid4().hex, ticket.name)
    try:
        yield telling.opening()
        while (piece := await pieces.get()) is not None:
            yield telling.piece(piece)
        error = ticket.answer.exception()
        if error:
            yield event(_as_refusal(error).as_dict())
        else:
            yield telling.ending(ticket.answer.result(), with_usage)
    finally:
        ticket.abandoned = True


def _as_refusal(error: BaseException) -> Refusal:
    if isinstance(error, TooLong):
        return Refusal(400, str(error), "context_length_exceeded")
    if isinstance(error, NotReady):
        return Refusal(503, str(error), "not_ready")
    if isinstance(error, Crowded):
        return Refusal(429, str(error), "too_many_requests")
    return Refusal(500, str(error) if isinstance(error, TwinError) else SERVER_ERROR, "failed")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse(error.as_dict(), error.status)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][1:])}: {problem['msg']}"
        for problem in error.errors()
    )
    words = f"The request is not usable ({problems})."
    return JSONResponse(refusal(words, "invalid_request_error", "invalid_request"), 400)
