"""The HTTP door: OpenAI's chat completions, answered by the release in force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from twin_pipelines.serving.access import LOCAL_NAMES, same_token
from twin_pipelines.serving.answers import Answers
from twin_pipelines.serving.backends.chain import Chain
from twin_pipelines.serving.backends.in_process import Champion
from twin_pipelines.serving.composing import Composer, Parts
from twin_pipelines.serving.door import Door
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.health import health_routes
from twin_pipelines.serving.hooks import AnswerCache, Chats, Guard
from twin_pipelines.serving.memory_api import EMBEDDING, memory_routes
from twin_pipelines.serving.metrics import Metrics
from twin_pipelines.serving.refusals import Refusal, tell_refusals
from twin_pipelines.serving.wire import MODEL, ChatRequest, model_card
from twin_pipelines.settings import Serving

if TYPE_CHECKING:
    from twin_pipelines.serving.recollection import Recollection

STOP_SECONDS = 4.0  # for each worker to leave the database
ALONE_SECONDS = 60.0  # the deadline of a champion that has no other behind it


class Closing(Protocol):
    """Something that holds the database and is let go of when the application ends."""

    def close(self) -> None:
        """Let it go."""
        ...


class Worker(Protocol):
    """A thread that works while the application runs."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """Be told to end."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""
        ...


def create_app(
    engine: Engine,
    token: str,
    settings: Serving,
    follower: Worker | None = None,
    recollection: Recollection | None = None,
    *,
    chain: Chain | None = None,
    chats: Chats | None = None,
    guard: Guard | None = None,
    cache: AnswerCache | None = None,
    metrics: Metrics | None = None,
    workers: Sequence[Worker] = (),
    closing: Sequence[Closing] = (),
    routers: Sequence[APIRouter] = (),
    open_routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """The application; engine, follower and other workers run while it does.

    Every path but `/health`, `/healthz`, `/readyz`, `/metrics` and those of `open_routers` asks for
    `Authorization: Bearer <token>`, those of `routers` too. Only requests made to a name of this
    machine are answered, so that a web page cannot reach it under a name of its own. Without a
    chain the champion answers alone; without a recollection nothing is searched and no vector made.
    """
    metrics = metrics or Metrics()
    chain = chain or Chain([Champion(engine, ALONE_SECONDS)])
    parts = Parts(recollection, chats, guard, cache)
    threads = [follower, *workers] if follower else list(workers)
    app = FastAPI(
        title="twin",
        lifespan=lambda _: _running(engine, chain, threads, recollection, closing),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES))
    app.add_middleware(Door, metrics=metrics)
    tell_refusals(app)

    def allowed(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same_token(given.strip(), token):
            words = "Send the token of the state folder as Authorization: Bearer."
            raise Refusal(401, words, "invalid_api_key")

    for router in (health_routes(engine, metrics, recollection, chain), *open_routers):
        app.include_router(router)
    composer = Composer(engine, chain, settings, metrics, parts)
    answers = Answers(engine, composer, metrics)
    own = [_chat_routes(engine, answers, embeds=recollection is not None)]
    if recollection:
        own.append(memory_routes(recollection))
    for router in (*own, *routers):
        app.include_router(router, dependencies=[Depends(allowed)])
    return app


def _chat_routes(engine: Engine, answers: Answers, embeds: bool) -> APIRouter:
    """`/v1/models` and `/v1/chat/completions`."""
    routes = APIRouter()

    def known() -> list[dict[str, Any]]:
        voice = engine.voice
        names = [MODEL, voice.name] if voice else []
        since = int(voice.release.in_force_since.timestamp()) if voice else 0
        names += [EMBEDDING] if embeds else []
        return [model_card(name, since) for name in names]

    @routes.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": known()}

    @routes.get("/v1/models/{name}")
    def model(name: str) -> dict[str, Any]:
        found = next((one for one in known() if one["id"] == name), None)
        if found is None:
            raise Refusal(
                404, f"No model {name!r} is served; ask for {MODEL!r}.", "model_not_found"
            )
        return found

    @routes.post("/v1/chat/completions")
    async def complete(asked: ChatRequest, request: Request) -> Response:
        return await answers.answer(asked, request)

    return routes


@asynccontextmanager
async def _running(
    engine: Engine,
    chain: Chain,
    workers: Sequence[Worker],
    recollection: Recollection | None,
    closing: Sequence[Closing],
) -> AsyncIterator[None]:
    """Everything works in here, and has ended afterwards."""
    engine.start()
    if recollection:
        recollection.start()
    for worker in workers:
        worker.start()
    yield
    for worker in workers:
        worker.stop()
    for worker in workers:
        await asyncio.to_thread(worker.join, STOP_SECONDS)
    await chain.close()
    for one in (recollection, *closing):
        if one:
            await asyncio.to_thread(one.close)
    engine.stop()
