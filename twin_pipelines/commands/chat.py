"""`twin chat`: talk with the twin in a terminal, through the server that runs or one of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from twin_pipelines.commands.serve import HOST, listening, server
from twin_pipelines.commands.talk import Talk
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.serving.access import bearer_token
from twin_pipelines.settings import TwinError, TwinSettings

LOOK_SECONDS = 2.0  # for a server that may not be there
WISH_SECONDS = 30.0  # for one that indexes what was changed
INTRODUCTION = "You talk with an AI twin. /help shows what else can be typed; /quit ends."
HELP = """\
/memories          what the last answer was made with, and why
/pin 2  /unpin 2   keep memory 2 of them whatever happens, or no longer
/fix 2 TEXT        say what is true instead of memory 2
/forget 2          never recall memory 2 again; /remember 2 takes that back
/good  /bad        keep your opinion of the last answer
/correct TEXT      say what it should have answered
/learn  /private   let what you say from now on become part of its history, or not
/new               begin anew
/quit              end; Ctrl-C stops an answer"""


def chat(settings: TwinSettings, port: int | None, console: Console) -> None:
    """Talk until /quit, the end of the input or Ctrl-C; Ctrl-C while it answers stops the answer.

    Raises TwinError when `port` is given and no server of this state folder answers there, or when
    no release can be loaded.
    """
    with _server(settings, port, console) as talk:
        console.print(INTRODUCTION, style="dim", highlight=False)
        while (words := _ask(console)) is not None:
            if words.startswith("/"):
                _obey(talk, words, console)
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
        _tell(str(error), console, "red")
    if talk.stands_in:
        _tell(f"Answered by {talk.stands_in}.", console, "yellow")
    for one in talk.told.get("tried", []):
        _tell(one["why"], console)
    if talk.told.get("problem"):
        _tell(talk.told["problem"], console)


def _tell(words: str, console: Console, style: str = "dim") -> None:
    console.print(words, style=style, markup=False, highlight=False, soft_wrap=True)


def _obey(talk: Talk, words: str, console: Console) -> None:
    """Do what a line that begins with a slash says, and tell what came of it."""
    name, _, rest = words.partition(" ")
    wish = WISHES.get(name)
    if wish is None:
        _tell(f"There is no {name}; /help shows what there is.", console)
        return
    try:
        _tell(wish(talk, rest.strip()), console)
    except TwinError as error:
        _tell(str(error), console, "red")


def _memories(talk: Talk, _: str) -> str:
    if not talk.memories:
        return "The last answer was made without memories."
    lines = []
    for number, memory in enumerate(talk.memories, 1):
        lines.append(f"{number:>2}  {memory['kind']:<9} {memory['text'].removeprefix('- ')}")
        if memory.get("why"):
            lines.append(f"{'':<14}{memory['why']}")
    return "\n".join(lines)


def _decision(verb: str, done: str) -> Callable[[Talk, str], str]:
    """What is done about the memory of a number."""

    def decide(talk: Talk, rest: str) -> str:
        talk.decide(_number(rest, verb), verb)
        return done

    return decide


def _fix(talk: Talk, rest: str) -> str:
    number, _, text = rest.partition(" ")
    if not text.strip():
        raise TwinError("Say which memory, and what is true, as in: /fix 2 I like tea.")
    talk.decide(_number(number, "fix"), "correct", text.strip())
    return "Corrected, and pinned."


def _number(text: str, name: str) -> int:
    if not text.isdecimal():
        raise TwinError(f"Say which memory by its number in /memories, as in: /{name} 2")
    return int(text)


def _thumb(value: int) -> Callable[[Talk, str], str]:
    def judge(talk: Talk, _: str) -> str:
        talk.judge(value)
        return "Kept."

    return judge


def _correct(talk: Talk, text: str) -> str:
    if not text:
        raise TwinError("Say what it should have answered, as in: /correct Not today, sorry!")
    talk.correct(text)
    return "Kept; it learns from it at the next training."


def _learn(talk: Talk, _: str) -> str:
    talk.allow(True)
    return "What you say from now on becomes part of its history. /private ends that."


def _private(talk: Talk, _: str) -> str:
    talk.allow(False)
    return "What you say from now on is forgotten when the chat is over."


def _begin_anew(talk: Talk, _: str) -> str:
    talk.begin_anew()
    return "A new conversation."


WISHES: dict[str, Callable[[Talk, str], str]] = {
    "/memories": _memories,
    "/pin": _decision("pin", "Pinned."),
    "/unpin": _decision("unpin", "No longer pinned."),
    "/fix": _fix,
    "/forget": _decision("forget", "Forgotten: it is never recalled again."),
    "/remember": _decision("remember", "Remembered again."),
    "/good": _thumb(1),
    "/bad": _thumb(-1),
    "/correct": _correct,
    "/learn": _learn,
    "/private": _private,
    "/new": _begin_anew,
    "/help": lambda *_: HELP,
}


@contextmanager
def _server(settings: TwinSettings, port: int | None, console: Console) -> Iterator[Talk]:
    """A talk with the server that runs at the port, or of one that runs as long as this."""
    wanted = settings.serving.port if port is None else port
    token = bearer_token(settings)
    if wanted and _answers(wanted, token):
        with _talk(wanted, token) as talk:
            yield talk
        return
    if port is not None:
        raise TwinError(
            f"No server of this state folder answers at {HOST}:{port}; start `twin serve`, or "
            "leave --port out."
        )
    console.print("No server runs; the release is loaded here.", style="dim")
    with _own_server(settings) as own, _talk(own, token) as talk:
        yield talk


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


@contextmanager
def _talk(port: int, token: str) -> Iterator[Talk]:
    import httpx
    from openai import OpenAI

    base = f"http://{HOST}:{port}"
    headers = {"authorization": f"Bearer {token}"}
    with (
        OpenAI(base_url=f"{base}/v1", api_key=token, max_retries=0) as client,
        httpx.Client(base_url=base, headers=headers, timeout=WISH_SECONDS) as wishes,
    ):
        yield Talk(client, wishes)
