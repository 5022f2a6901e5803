"""Whether the server lives, whether it can answer, and what it counted: without a token."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from twin_pipelines.serving.backends.chain import Chain
from twin_pipelines.serving.engine import NO_RELEASE, Engine
from twin_pipelines.serving.metrics import MEDIA_TYPE, Metrics, Present
from twin_pipelines.serving.recollection import Recollection

DATABASE_SECONDS = 2.0
SLOW_DATABASE = f"The database does not answer within {DATABASE_SECONDS:g} seconds."


def health_routes(
    engine: Engine, metrics: Metrics, recollection: Recollection | None, chain: Chain
) -> APIRouter:
    """`/health` (and `/healthz`), `/readyz`, `/metrics`: numbers and names, no word of a chat.

    Ready is who answers by the first link of the chain; degraded, who answers by another one, or
    without the database; not ready, whom nobody answers.
    """
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
        links = chain.states()
        first = links[0]
        able = [link for link in links if not link.problem]
        silent = await database.problem()
        said = [] if able else [first.problem]
        said += [one for one in (silent, engine.problem, first.problem) if one]
        content = {
            "status": "not ready" if not able else "degraded" if said else "ready",
            "release": voice.name if voice else None,
            "database": "down" if silent else "ok",
            "problems": list(dict.fromkeys(said)),
            "backends": [
                {"backend": link.name, "circuit": link.circuit, "problem": link.problem}
                for link in links
            ],
        }
        return JSONResponse(content, 200 if able else 503)

    @routes.get("/metrics")
    def counted() -> Response:
        voice = engine.voice
        present = Present(
            engine.waiting,
            voice.name if voice else "",
            bool(engine.problem),
            backends={link.name: link.circuit == "closed" for link in chain.states()},
            caches=recollection.caches() if recollection else {},
        )
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
