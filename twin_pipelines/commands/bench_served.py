"""The server that `twin bench serve` asks: the real one, on a tiny model, in its own process."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import APIRouter

from twin_pipelines.serving.engine import Engine, Ticket
from twin_pipelines.settings import TwinSettings

TOKEN = "bench"  # noqa: S105 - of a server that lives as long as the measurement
ENGINE_SECONDS = "/bench/engine"  # what the engine took for each of the last answers
CONTEXT_TOKENS = 512
SYSTEM = "You are mali. Reply as mali would in this chat."


class ClockedEngine(Engine):
    """An engine that remembers the seconds from accepting a request to its last word."""

    def __init__(self, batch_size: int, waiting: int) -> None:
        super().__init__(batch_size, waiting)
        self.seconds: deque[float] = deque(maxlen=1_000)

    def accept(self, *given: Any, **named: Any) -> Ticket:
        """As the engine does."""
        begun = time.perf_counter()
        ticket = super().accept(*given, **named)
        ticket.answer.add_done_callback(lambda _: self.seconds.append(time.perf_counter() - begun))
        return ticket


def tiny_engine(base: Path, settings: TwinSettings) -> ClockedEngine:
    """An engine that speaks with the model in `base`; it is not started yet."""
    from twin_pipelines.foundation.models import ResolvedModel
    from twin_pipelines.generation.local import load_model
    from twin_pipelines.promotion.in_force import ReleaseInForce
    from twin_pipelines.serving.voice import Voice, what_stands

    model, tokenizer = load_model(ResolvedModel("tiny", base, ""), dtype="float32")
    release = ReleaseInForce(
        release_id=1,
        model_version=1,
        adapter_id="tiny",
        adapter=PurePosixPath("tiny"),
        base_reference="tiny",
        base_sha256="",
        template_hash="",
        system_prompt=SYSTEM,
        persona_version="",
        retrieval={},
        core_memories=(),
        forced=False,
        in_force_since=datetime.now(UTC),
    )
    stands = what_stands(tokenizer, release, settings.serving)
    engine = ClockedEngine(settings.serving.batch_size, settings.serving.waiting)
    engine.switch(Voice(release, model, tokenizer, stands, CONTEXT_TOKENS))
    return engine


def run(base: Path, url: str, settings: TwinSettings, port: Connection) -> None:
    """Serve until SIGTERM; the port is sent once the memories are indexed."""
    import torch

    from twin_pipelines.commands.serve import listening, run_server
    from twin_pipelines.serving.app import create_app
    from twin_pipelines.serving.cached import AnswerCache
    from twin_pipelines.serving.chats import Chats
    from twin_pipelines.serving.chats_api import chat_routes
    from twin_pipelines.serving.recollection import Recollection

    torch.set_num_threads(1)
    recollection, chats = Recollection(url, settings), Chats(url, settings)
    recollection.caught_up()
    engine = tiny_engine(base, settings)
    clock = APIRouter()
    clock.add_api_route(ENGINE_SECONDS, lambda: list(engine.seconds))
    app = create_app(
        engine,
        TOKEN,
        settings.serving,
        recollection=recollection,
        chats=chats,
        cache=AnswerCache(settings.serving),
        closing=(chats,),
        routers=(chat_routes(chats), clock),
    )
    with listening(settings, 0) as listener:
        port.send(listener.getsockname()[1])
        run_server(app, listener)
