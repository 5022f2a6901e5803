"""The HTTP door: OpenAI's chat completions, answered by the release in force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from twin_pipelines.serving.access import LOCAL_NAMES, same_token
from twin_pipelines.serving.answers import Answers
from twin_pipelines.serving.door import Door
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.health import health_routes
from twin_pipelines.serving.memory_api import EMBEDDING, memory_routes
from twin_pipelines.serving.metrics import Metrics
from twin_pipelines.serving.refusals import Refusal, tell_refusals
from twin_pipelines.serving.wire import MODEL, ChatRequest, model_card
from twin_pipelines.settings import Serving

if TYPE_CHECKING:
    from twin_pipelines.serving.follow import Follower
    from twin_pipelines.serving.recollection import Recollection

STOP_SECONDS = 4.0  # for the follower to leave the database


def create_app(
    engine: Engine,
    token: str,
    settings: Serving,
    follower: Follower | None = None,
    recollection: Recollection | None = None,
) -> FastAPI:
    """The application; engine and follower run while it does.

    Every path but `/health`, `/healthz`, `/readyz` and `/metrics` asks for `Authorization: Bearer
    <token>`. Only requests made to a name of this machine are answered, so that a web page cannot
    reach it under a name of its own. Without a recollection nothing is searched and no vector made.
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
        if recollection:
            await asyncio.to_thread(recollection.close)
        engine.stop()

    metrics = Metrics()
    app = FastAPI(title="twin", lifespan=running, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL_NAMES))
    app.add_middleware(Door, metrics=metrics)
    tell_refusals(app)

    def allowed(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same_token(given.strip(), token):
            words = "Send the token of the state folder as Authorization: Bearer."
            raise Refusal(401, words, "invalid_api_key")

    app.include_router(health_routes(engine, metrics, recollection))
    if recollection:
        app.include_router(memory_routes(recollection), dependencies=[Depends(allowed)])
    answers = Answers(engine, settings, metrics, recollection)

    @app.get("/v1/models", dependencies=[Depends(allowed)])
    def models() -> dict[str, Any]:
        voice = engine.voice
        names = [MODEL, voice.name] if voice else []
        since = int(voice.release.in_force_since.timestamp()) if voice else 0
        names += [EMBEDDING] if recollection else []
        return {"object": "list", "data": [model_card(name, since) for name in names]}

    @app.post("/v1/chat/completions", dependencies=[Depends(allowed)])
    async def complete(asked: ChatRequest, request: Request) -> Response:
        return await answers.answer(asked, request)

    return app
