"""What every request passes before anything else: it is counted, and may not be too large."""

from __future__ import annotations

import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twin_pipelines.serving.metrics import Metrics

LARGEST_BODY = 1_000_000  # bytes
READ_OFF = 32 * LARGEST_BODY  # bytes of a larger one that are read and dropped before it is refused
TOO_LARGE = f"A request holds at most {LARGEST_BODY:,} bytes; send less."


class Door:
    """Counts requests by route and turns bodies over `LARGEST_BODY` away with status 413.

    A body that is too large is read off, keeping none of it, so that the client is done sending
    and hears the refusal.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # of a request that fails before it is answered

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = time.monotonic()
        self._metrics.begin()
        try:
            await self._app(scope, _limited(receive), seen)
        finally:
            path = _route(scope)
            self._metrics.end(path, scope["method"], status, time.monotonic() - begun)


def _limited(receive: Receive) -> Receive:
    """The same messages; raises HTTPException 413 in place of a body that grows too large."""
    size = 0

    async def received() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or size <= LARGEST_BODY:
            return message
        while message.get("more_body") and size <= READ_OFF:
            message = await receive()
            size += len(message.get("body", b""))
        raise HTTPException(413, TOO_LARGE)

    return received


def _route(scope: Scope) -> str:
    """The route's path as it is written; one label for all paths that are none."""
    route: Any = scope.get("route")
    return getattr(route, "path", "other")
