"""A chat in the terminal: through the server that runs, and what is said when there is none."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from rich.console import Console

from twin_pipelines.commands.chat import chat
from twin_pipelines.serving.access import bearer_token
from twin_pipelines.settings import TwinError, TwinSettings, load_settings

MEMORIES = [{"kind": "recalled", "text": "- “I like [tea]”", "memory_ids": ["m"]}]


class Scripted:
    """A server that streams the same answer and keeps what it was asked."""

    def __init__(self, token: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.fails = False
        self.problem = ""
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers["authorization"] == f"Bearer {token}"
                self.send_response(200 if known else 401)
                self.end_headers()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                scripted.asked.append(json.loads(body))
                if scripted.fails:
                    self.send_response(429)
                    self.send_header("content-type", "application/json")
                    self.end_headers()
                    error = {"message": "8 requests wait already; ask again later."}
                    self.wfile.write(json.dumps({"error": error}).encode())
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                for chunk in scripted.chunks():
                    self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, *given: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    def chunks(self) -> Iterator[dict[str, Any]]:
        head = {"id": "1", "created": 1, "model": "twin-v1", "object": "chat.completion.chunk"}
        for piece in ("hello ", "[bold]you"):
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            yield {**head, "choices": [choice]}
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        told = {"memories": MEMORIES, "problem": self.problem}
        yield {**head, "choices": [choice], "twin": told}


@pytest.fixture
def scripted(twin_home: TwinSettings) -> Iterator[Scripted]:
    made = Scripted(bearer_token(twin_home))
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()


def talk(settings: TwinSettings, port: int | None, words: list[str]) -> str:
    """What stands in the terminal after these lines and the end of the input."""
    lines = iter(words)

    class Typed(Console):
        def input(self, *given: Any, **named: Any) -> str:
            try:
                return next(lines)
            except StopIteration:
                raise EOFError from None

    console = Typed(file=io.StringIO(), width=100)
    chat(settings, port, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_talk_goes_on_shows_memories_and_begins_anew(
    twin_home: TwinSettings, scripted: Scripted
) -> None:
    words = ["/memories", "hi", "", "and you?", "/memories", "/new", "/memories", "hey", "/quit"]
    shown = talk(twin_home, scripted.port, [*words, "never said"])
    assert shown.count("hello [bold]you") == 3
    assert shown.count("recalled  “I like [tea]”") == 1
    assert shown.count("asked without memories") == 2
    first, second, third = (asked["messages"] for asked in scripted.asked)
    assert [turn["content"] for turn in first] == ["hi"]
    assert [turn["content"] for turn in second] == ["hi", "hello [bold]you", "and you?"]
    assert [turn["content"] for turn in third] == ["hey"]
    assert scripted.asked[0]["twin"] == {"memories": True, "recall": 5}
    assert scripted.asked[0]["stream"] is True


def test_a_refused_message_is_told_and_not_kept(
    twin_home: TwinSettings, scripted: Scripted
) -> None:
    scripted.fails = True
    shown = talk(twin_home, scripted.port, ["hi", "/what", "/help"])
    assert "8 requests wait already; ask again later." in shown
    assert "There is no /what." in shown
    scripted.fails = False
    scripted.problem = "The database is gone."
    shown = talk(twin_home, scripted.port, ["hi again"])
    assert [turn["content"] for turn in scripted.asked[-1]["messages"]] == ["hi again"]
    assert "Nothing was recalled: The database is gone." in shown


def test_a_port_without_a_server_of_this_twin_is_one_sentence(
    twin_home: TwinSettings, scripted: Scripted
) -> None:
    stranger = Scripted("another token")
    threading.Thread(target=stranger.server.serve_forever, daemon=True).start()
    with pytest.raises(TwinError, match="No server of this state folder answers at"):
        talk(twin_home, stranger.port, ["hi"])
    stranger.server.shutdown()
    stranger.server.server_close()
    with pytest.raises(TwinError, match="start `twin serve`, or leave --port out"):
        talk(twin_home, stranger.port, ["hi"])


def test_without_a_server_and_a_release_the_reason_is_told(
    twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWIN_SERVING__PORT", "0")
    load_settings.cache_clear()
    with pytest.raises(TwinError, match="No release is in force yet"):
        talk(load_settings(), None, ["hi"])
