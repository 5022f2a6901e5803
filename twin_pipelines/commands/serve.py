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
    with open_databases(settings) as databases, listening(settings, port) as listener:
        app = server(settings, databases.twin).app
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        console.print(f"The twin answers at {address}/v1", soft_wrap=True)
        console.print(f"Its token (as api_key) is in {token_file(settings)}", soft_wrap=True)
        run_server(app, listener)
    console.print("Stopped.")


@dataclass(frozen=True)
class Server:
    """The parts of a server; engine and follower begin to work when the application runs."""

    app: FastAPI
    engine: Engine
    follower: Follower


def server(settings: TwinSettings, url: str) -> Server:
    """A server of whichever release is in force in the twin's database at `url`."""
    from twin_pipelines.serving.app import create_app
    from twin_pipelines.serving.engine import Engine
    from twin_pipelines.serving.follow import Follower
    from twin_pipelines.serving.recollection import Recollection

    engine = Engine(settings.serving.batch_size, settings.serving.waiting)
    follower = Follower(engine, url, settings)
    recollection = Recollection(url, settings)
    token = bearer_token(settings)
    app = create_app(engine, token, settings.serving, follower, recollection)
    return Server(app, engine, follower)


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
