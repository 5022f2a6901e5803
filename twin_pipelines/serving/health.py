"""Whether the server lives, whether it can answer, and what it counted: without a token."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from twin_pipelines.serving.engine import NO_RELEASE, Engine
from twin_pipelines.serving.metrics import MEDIA_TYPE, Metrics, Present
from twin_pipelines.serving.recollection import Recollection

DATABASE_SECONDS = 2.0
SLOW_DATABASE = f"The database does not answer within {DATABASE_SECONDS:g} seconds."
DEAD = "Nobody answers any more; start the server anew."


def health_routes(engine: Engine, metrics: Metrics, recollection: Recollection | None) -> APIRouter:
    """`/health` (and `/healthz`), `/readyz`, `/metrics`: numbers and names, no word of a chat."""
    routes = APIRouter()
    database = _Database(recollection)

    @routes.get("/health")
    @routes.get("/healthz")
    def health() -> Response:
        voice = engine.voice
        content = {
            "status": "ok" if voice else "no release",
            "release": voice.name if voice else None,
            "waiting": engine.waiting,
            "problem": engine.problem or ("" if voice else NO_RELEASE),
        }
        return JSONResponse(content, 200 if engine.alive else 503)

    @routes.get("/readyz")
    async def ready() -> Response:
        voice = engine.voice
        unable = [] if voice else [engine.problem or NO_RELEASE]
        unable += [] if engine.alive else [DEAD]
        silent = await database.problem()
        lacking = [said for said in (silent, engine.problem) if said and said not in unable]
        content = {
            "status": "not ready" if unable else "degraded" if lacking else "ready",
            "release": voice.name if voice else None,
            "database": "down" if silent else "ok",
            "problems": [*unable, *lacking],
        }
        return JSONResponse(content, 503 if unable else 200)

    @routes.get("/metrics")
    def counted() -> Response:
        voice = engine.voice
        present = Present(engine.waiting, voice.name if voice else "", bool(engine.problem))
        return Response(metrics.text(present), media_type=MEDIA_TYPE)

    return routes


class _Database:
    """Asks the database whether it is there, one question at a time."""

    def __init__(self, recollection: Recollection | None) -> None:
        self._recollection = recollection
        self._question: asyncio.Task[str] | None = None

    async def problem(self) -> str:
        """What is wrong with it, in a sentence; empty for nothing."""
        if self._recollection is None:
            return ""
        if self._question is None:
            self._question = asyncio.create_task(asyncio.to_thread(self._recollection.problem))
        asked = self._question
        done, _ = await asyncio.wait({asked}, timeout=DATABASE_SECONDS)
        if not done:  # the same question is waited for next time
            return SLOW_DATABASE
        if self._question is asked:
            self._question = None
        return asked.result()
