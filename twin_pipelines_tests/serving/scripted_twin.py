"""A twin that says what it is told to, behind the real page: the server's shapes, no model."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from twin_pipelines.commands.serve import listening
from twin_pipelines.serving.page.routes import page_routes
from twin_pipelines.serving.refusals import Refusal, tell_refusals
from twin_pipelines.settings import TwinSettings

TOKEN = "not-a-secret"
BREAD = "0b8e6d6c-0000-4000-8000-000000000001"
SEA = "0b8e6d6c-0000-4000-8000-000000000002"
TURN = "0b8e6d6c-0000-4000-8000-000000000003"
MEMORIES = [
    {
        "kind": "core",
        "text": "- I bake rye bread on Sundays",
        "memory_ids": [BREAD],
        "message_ids": [],
        "why": "",
    },
    {
        "kind": "recalled",
        "text": "- (4 May 2018 – 9 Jun 2018) “We went to the sea, and it rained all day”",
        "memory_ids": [SEA],
        "message_ids": [],
        "why": "means the same (0.71); says sea, rained",
    },
    {
        "kind": "said",
        "text": "- เมื่อวานฝนตกทั้งวันเลย อยู่บ้านเล่นไพ่กับน้อง",
        "memory_ids": [],
        "message_ids": [TURN],
        "why": "says ฝน",
    },
]


class Scripted:
    """Answers with `pieces`, one every `seconds`; keeps what it was asked and told."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """As it was made, for the next test."""
        self.pieces = ["We stayed inside, ", "playing cards. ", "It rained all day!"]
        self.seconds = 0.01
        self.twin: dict[str, Any] = {"backend": "champion", "memories": MEMORIES}
        self.middle: dict[str, Any] = {}  # told between the first and the second piece
        self.breaks = False  # the stream ends without its end
        self.refusal: tuple[int, str] | None = None
        self.may_learn = True
        self.subject = "Mali"
        self.chats: dict[str, Any] = {}
        self.asked: list[dict[str, Any]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []  # path and body of every wish
        self.left = 0  # answers whose reader went away

    def app(self) -> FastAPI:
        app = FastAPI()
        tell_refusals(app)

        def allowed(request: Request) -> None:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                raise Refusal(401, "Send the token.", "invalid_api_key")

        @app.get("/readyz")
        def ready() -> dict[str, Any]:
            return {"status": "ready", "release": "twin-v3-1f09ab2c", "problems": []}

        @app.get("/v1/models", dependencies=[Depends(allowed)])
        def models() -> dict[str, Any]:
            return {"object": "list", "data": []}

        @app.get("/twin/chats", dependencies=[Depends(allowed)])
        def chats() -> dict[str, Any]:
            return {"data": [], "may_learn": self.may_learn, "subject": self.subject}

        @app.get("/twin/chats/{chat}", dependencies=[Depends(allowed)])
        def chat(chat: str) -> dict[str, Any]:
            if chat not in self.chats:
                raise Refusal(404, "There is no such chat.", "not_found")
            return self.chats[chat]

        @app.post("/v1/chat/completions", dependencies=[Depends(allowed)])
        async def complete(request: Request) -> Response:
            asked = await request.json()
            self.asked.append(asked)
            if self.refusal:
                raise Refusal(*self.refusal, "refused")
            return StreamingResponse(self._stream(asked), media_type="text/event-stream")

        @app.post("/twin/{path:path}", dependencies=[Depends(allowed)])
        async def wish(path: str, request: Request) -> Response:
            body = await request.json()
            self.told.append((path, body))
            if self.refusal:
                raise Refusal(*self.refusal, "refused")
            return JSONResponse(self._done(path, body))

        app.include_router(page_routes())
        return app

    def _done(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/correct") and path.startswith("memories"):
            new = {"memory_id": "0b8e6d6c-0000-4000-8000-0000000000ff", "content": body["text"]}
            return {"memory": new, "replaced": path.split("/")[1], "run": 1}
        if path.startswith("memories"):
            return {"memory": {"memory_id": path.split("/")[1]}, "run": 1}
        return dict(body)

    async def _stream(self, asked: dict[str, Any]) -> AsyncIterator[str]:
        head = {"id": "1", "created": 1, "model": "twin-v3-1f09ab2c"}

        def chunk(delta: dict[str, str], **more: Any) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            return f"data: {json.dumps({**head, 'choices': [choice], **more})}\n\n"

        told = False
        try:
            yield chunk({"role": "assistant", "content": ""})
            for number, piece in enumerate(self.pieces):
                if number == 1 and self.middle:
                    yield chunk({}, twin=self.middle)
                yield chunk({"content": piece})
                await asyncio.sleep(self.seconds)
            told = True
        finally:
            self.left += not told
        if self.breaks:
            return
        place = 2 * len(self.asked) - 1
        kept = {"chat": asked["twin"].get("chat"), "place": place, "release": head["model"]}
        yield chunk({}, twin={**kept, "problem": "", **self.twin})
        yield "data: [DONE]\n\n"


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """The address of a server of this application, which ends with the block."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    with listening(TwinSettings(), 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()
