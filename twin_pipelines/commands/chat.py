"""`twin chat`: talk with the twin in a terminal, through the server that runs or one of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console

from twin_pipelines.commands.serve import HOST, listening, server
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.serving.access import bearer_token
from twin_pipelines.serving.wire import MODEL
from twin_pipelines.settings import TwinError, TwinSettings

if TYPE_CHECKING:
    from openai import OpenAI

RECALLED = 5  # memories looked up for an answer
LOOK_SECONDS = 2.0  # for a server that may not be there
HELP = "/memories shows what the last answer was asked with; /new begins anew; /quit ends."


@dataclass
class Talk:
    """A conversation, and which memories the last answer was asked with."""

    client: OpenAI
    messages: list[dict[str, str]] = field(default_factory=list)
    memories: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""

    def answer(self, words: str) -> Iterator[str]:
        """The twin's answer piece by piece; it is kept, as far as it was heard.

        Raises TwinError with the server's sentence; what was said is then taken back.
        """
        from openai import APIConnectionError, APIError

        self.messages.append({"role": "user", "content": words})
        asked: Any = self.messages
        heard: list[str] = []
        try:
            stream = self.client.chat.completions.create(
                model=MODEL,
                messages=asked,
                stream=True,
                extra_body={"twin": {"memories": True, "recall": RECALLED}},
            )
            with stream:
                for chunk in stream:
                    self._note(chunk.model_extra or {})
                    piece = chunk.choices[0].delta.content if chunk.choices else None
                    if piece:
                        heard.append(piece)
                        yield piece
        except APIConnectionError as error:
            raise TwinError("The server is gone; start `twin serve` and ask again.") from error
        except APIError as error:
            raise TwinError(_sentence(error.body) or error.message) from error
        finally:
            if heard:
                self.messages.append({"role": "assistant", "content": "".join(heard)})
            else:
                self.messages.pop()

    def forget(self) -> None:
        """Begin anew."""
        self.messages.clear()
        self.memories.clear()
        self.problem = ""

    def _note(self, extra: dict[str, Any]) -> None:
        told = extra.get("twin")
        if told:
            self.memories, self.problem = told["memories"], told["problem"]


def chat(settings: TwinSettings, port: int | None, console: Console) -> None:
    """Talk until /quit, the end of the input or Ctrl-C; Ctrl-C while it answers stops the answer.

    Raises TwinError when `port` is given and no server of this state folder answers there, or when
    no release can be loaded.
    """
    with _server(settings, port, console) as client:
        talk = Talk(client)
        console.print(HELP, style="dim", highlight=False)
        while (words := _ask(console)) is not None:
            if words in COMMANDS:
                COMMANDS[words](talk, console)
            elif words.startswith("/"):
                console.print(f"There is no {words.split()[0]}. {HELP}", markup=False)
            elif words:
                _show_answer(talk, words, console)


def _ask(console: Console) -> str | None:
    """What is said next, None for the end."""
    try:
        words = console.input("[bold]you[/bold]  ").strip()
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None
    return None if words == "/quit" else words


def _show_answer(talk: Talk, words: str, console: Console) -> None:
    console.print("[bold]twin[/bold] ", end=" ")
    try:
        for piece in talk.answer(words):
            console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
        console.print()
    except KeyboardInterrupt:
        console.print(" …")
    except TwinError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
    if talk.problem:
        console.print(
            f"Nothing was recalled: {talk.problem}", style="dim", markup=False, highlight=False
        )


def _show_memories(talk: Talk, console: Console) -> None:
    if not talk.memories:
        console.print("The last answer was asked without memories.", style="dim")
    for memory in talk.memories:
        line = f"{memory['kind']:<9} {memory['text'].removeprefix('- ')}"
        console.print(line, style="dim", markup=False, highlight=False)


def _begin_anew(talk: Talk, console: Console) -> None:
    talk.forget()
    console.print("A new conversation.", style="dim")


def _show_help(_: Talk, console: Console) -> None:
    console.print(HELP, style="dim", highlight=False)


COMMANDS = {"/memories": _show_memories, "/new": _begin_anew, "/help": _show_help}


@contextmanager
def _server(settings: TwinSettings, port: int | None, console: Console) -> Iterator[OpenAI]:
    """A client of the server that runs at the port, or of one that runs as long as this."""
    wanted = settings.serving.port if port is None else port
    token = bearer_token(settings)
    if wanted and _answers(wanted, token):
        yield _client(wanted, token)
        return
    if port is not None:
        raise TwinError(
            f"No server of this state folder answers at {HOST}:{port}; start `twin serve`, or "
            "leave --port out."
        )
    console.print("No server runs; the release is loaded here.", style="dim")
    with _own_server(settings) as own:
        yield _client(own, token)


@contextmanager
def _own_server(settings: TwinSettings) -> Iterator[int]:
    """The port of a server in this process. Raises TwinError when no release can be loaded."""
    import uvicorn

    from twin_pipelines.serving.engine import NO_RELEASE

    with open_databases(settings) as databases, listening(settings, 0) as listener:
        own = server(settings, databases.twin)
        with connect(databases.twin) as connection:
            own.follower.look(connection)
        if own.engine.voice is None:
            raise TwinError(own.engine.problem or NO_RELEASE)
        web = uvicorn.Server(uvicorn.Config(own.app, log_level="warning", access_log=False))
        thread = threading.Thread(target=web.run, args=([listener],), name="server", daemon=True)
        thread.start()
        try:
            while not web.started:
                if not thread.is_alive():
                    raise TwinError("The server ended as it began; `twin serve` says why.")
                time.sleep(0.02)
            yield listener.getsockname()[1]
        finally:
            web.should_exit = True
            thread.join()


def _answers(port: int, token: str) -> bool:
    """Whether a server that takes this token is there."""
    import httpx

    try:
        told = httpx.get(
            f"http://{HOST}:{port}/v1/models",
            headers={"authorization": f"Bearer {token}"},
            timeout=LOOK_SECONDS,
        )
    except httpx.TransportError:
        return False
    return told.is_success


def _client(port: int, token: str) -> OpenAI:
    from openai import OpenAI

    return OpenAI(base_url=f"http://{HOST}:{port}/v1", api_key=token, max_retries=0)


def _sentence(body: object) -> str:
    """The server's own words in the body of an error."""
    words = body.get("message") if isinstance(body, dict) else None
    return words if isinstance(words, str) else ""
