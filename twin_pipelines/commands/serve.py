"""`twin serve`: the release in force, answering on this machine until told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from twin_pipelines.foundation.database import open_databases
from twin_pipelines.serving.access import bearer_token, token_file
from twin_pipelines.settings import TwinError, TwinSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from twin_pipelines.serving.engine import Engine
    from twin_pipelines.serving.follow import Follower

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 75  # longer than clients keep an idle connection, so that none is cut in use
GRACE_SECONDS = 5  # for requests that are being answered when the server is told to stop


def serve(settings: TwinSettings, port: int | None, console: Console) -> None:
    """Serve until Ctrl-C or SIGTERM; without a release it says so and waits for one.

    Raises TwinError when the port is taken.
    """
    from twin_pipelines.serving.page.routes import address as page_address

    with open_databases(settings) as databases, listening(settings, port) as listener:
        made = server(settings, databases.twin)
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        console.print(f"The twin answers at {address}/v1", soft_wrap=True)
        console.print(f"Its token (as api_key) is in {token_file(settings)}", soft_wrap=True)
        if console.is_terminal:  # a log file must not hold the token
            console.print(f"Talk with it at {page_address(address, made.token)}", soft_wrap=True)
        run_server(made.app, listener)
    console.print("Stopped.")


@dataclass(frozen=True)
class Server:
    """The parts of a server; engine, follower and all else begin to work when it runs."""

    app: FastAPI
    engine: Engine
    follower: Follower
    token: str


def server(settings: TwinSettings, url: str) -> Server:
    """A server of whichever release is in force in the twin's database at `url`."""
    from twin_pipelines.serving.app import create_app
    from twin_pipelines.serving.backends.links import make_chain
    from twin_pipelines.serving.backends.spares import Spares
    from twin_pipelines.serving.cached import AnswerCache
    from twin_pipelines.serving.chats import Chats
    from twin_pipelines.serving.chats_api import chat_routes
    from twin_pipelines.serving.engine import Engine
    from twin_pipelines.serving.follow import Follower
    from twin_pipelines.serving.learner import Learner
    from twin_pipelines.serving.owner_api import owner_routes
    from twin_pipelines.serving.page.routes import page_routes
    from twin_pipelines.serving.recollection import Recollection

    engine = Engine(settings.serving.batch_size, settings.serving.waiting)
    spares = Spares(settings)
    follower = Follower(engine, url, settings, spares)
    chats = Chats(url, settings)
    learner = Learner(url, settings)

    def changed() -> None:
        follower.look_now()
        learner.refresh()

    token = bearer_token(settings)
    app = create_app(
        engine,
        token,
        settings.serving,
        follower,
        Recollection(url, settings),
        chain=make_chain(settings, engine, spares),
        chats=chats,
        guard=learner.guard,
        cache=AnswerCache(settings.serving),
        workers=(learner,),
        closing=(chats,),
        routers=(chat_routes(chats), owner_routes(url, changed)),
        open_routers=(page_routes(),),
    )
    return Server(app, engine, follower, token)


@contextmanager
def listening(settings: TwinSettings, port: int | None) -> Iterator[socket.socket]:
    """A socket bound to this machine's loopback address; port 0 takes any free one.

    Raises TwinError when the port is taken.
    """
    wanted = settings.serving.port if port is None else port
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, wanted))
        except OSError as error:
            raise TwinError(
                f"Port {wanted} on {HOST} cannot be used ({error.strerror}); name another one "
                "with --port."
            ) from error
        yield listener


def run_server(app: FastAPI, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, and return then. No address is logged: one holds a token."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:  # uvicorn stops at these signals and then raises them again, for whoever came before it
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
