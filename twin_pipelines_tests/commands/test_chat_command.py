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

MEMORIES = [
    {"kind": "recalled", "text": "- “I like [tea]”", "memory_ids": ["m"], "why": "says tea"},
    {"kind": "said", "text": "- ฝนตก", "memory_ids": [], "message_ids": ["t"]},
    {"kind": "session", "text": "- “mali: hi”", "memory_ids": [], "message_ids": ["u"]},
]


class Scripted:
    """A server that streams the same answer and keeps what it was asked and told."""

    def __init__(self, token: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.fails = False
        self.ending: dict[str, Any] = {"backend": "champion", "problem": ""}
        self.may_learn = True
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers["authorization"] == f"Bearer {token}"
                self.send_response(200 if known else 401)
                self.end_headers()
                self.wfile.write(json.dumps({"may_learn": scripted.may_learn}).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path.startswith("/twin/") and not scripted.fails:
                    scripted.told.append((self.path, json.loads(body)))
                    self.send_response(200)
                    self.end_headers()
                    new = {"memory": {"memory_id": "m2"}, "replaced": "m"}
                    self.wfile.write(json.dumps(new if "correct" in self.path else {}).encode())
                    return
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
        yield {**head, "choices": [choice], "twin": {"memories": MEMORIES, **self.ending}}


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
    assert shown.count("made without memories") == 2
    assert "says tea" in shown
    first, second, third = (asked["messages"] for asked in scripted.asked)
    assert [turn["content"] for turn in first] == ["hi"]
    assert [turn["content"] for turn in second] == ["hi", "hello [bold]you", "and you?"]
    assert [turn["content"] for turn in third] == ["hey"]
    assert scripted.asked[0]["stream"] is True
    chats = [asked["twin"].pop("chat") for asked in scripted.asked]
    assert chats[0] == chats[1] != chats[2]
    assert scripted.asked[0]["twin"] == {"memories": True, "consent": False}


def test_a_chat_that_the_server_keeps_is_sent_turn_by_turn(
    twin_home: TwinSettings, scripted: Scripted
) -> None:
    scripted.ending["place"] = 1
    talk(twin_home, scripted.port, ["hi", "and you?"])
    second = scripted.asked[1]["messages"]
    assert [turn["content"] for turn in second] == ["and you?"]


def test_answers_are_judged_and_memories_decided_on(
    twin_home: TwinSettings, scripted: Scripted
) -> None:
    scripted.ending["place"] = 1
    wishes = ["/good", "/bad", "/correct ไม่เอา ขอบคุณ", "/pin 1", "/unpin 1", "/forget 2"]
    wishes += ["/remember 2", "/fix 1 I like coffee", "/forget 1"]
    shown = talk(twin_home, scripted.port, ["hi", *wishes])
    assert "Corrected, and pinned." in shown and "never recalled again" in shown
    paths = [path.removeprefix("/twin/") for path, _ in scripted.told]
    assert paths == [
        *("thumb", "thumb", "correct", "memories/m/pin", "memories/m/unpin"),
        *("messages/t/forget", "messages/t/remember", "memories/m/correct", "memories/m2/forget"),
    ]
    chat = scripted.asked[0]["twin"]["chat"]
    assert scripted.told[0][1] == {"chat": chat, "place": 1, "thumb": 1}
    assert scripted.told[2][1] == {"chat": chat, "place": 1, "text": "ไม่เอา ขอบคุณ"}
    assert scripted.told[7][1] == {"text": "I like coffee"}


def test_a_wish_that_fits_nothing_is_one_sentence(
    twin_home: TwinSettings, scripted: Scripted
) -> None:
    told = {
        "/pin 9": "There is no memory 9; the last answer has 3, see /memories.",
        "/pin tea": "Say which memory by its number in /memories, as in: /pin 2",
        "/pin 2": "Line 2 is no memory of its own; it cannot be pinned.",
        "/forget 3": "Line 3 is no memory of its own; it cannot be forgotten.",
        "/fix 1": "Say which memory, and what is true",
        "/correct": "Say what it should have answered",
        "/good": "There is no answer that was kept; ask something first.",
    }
    shown = talk(twin_home, scripted.port, ["hi", *told])
    for sentence in told.values():
        assert sentence in shown
    assert scripted.told == []


def test_nothing_is_learnt_unless_somebody_allowed_it(
    twin_home: TwinSettings, scripted: Scripted
) -> None:
    scripted.ending["place"] = 1
    shown = talk(twin_home, scripted.port, ["/learn", "hi", "/private", "/new", "hi"])
    assert "becomes part of its history" in shown
    assert [asked["twin"]["consent"] for asked in scripted.asked] == [True, False]
    chat = scripted.asked[0]["twin"]["chat"]
    assert scripted.told == [(f"/twin/chats/{chat}/consent", {"consented": False})]
    scripted.may_learn = False
    assert "set serving.chat_consent" in talk(twin_home, scripted.port, ["/learn"])


def test_who_answered_in_its_place_is_told(twin_home: TwinSettings, scripted: Scripted) -> None:
    why = "The twin took longer than 60 s."
    scripted.ending |= {"backend": "memories", "tried": [{"backend": "champion", "why": why}]}
    shown = talk(twin_home, scripted.port, ["hi"])
    assert "Answered by memories." in shown and why in shown


def test_a_refused_message_is_told_and_not_kept(
    twin_home: TwinSettings, scripted: Scripted
) -> None:
    scripted.fails = True
    shown = talk(twin_home, scripted.port, ["hi", "/what", "/help"])
    assert "8 requests wait already; ask again later." in shown
    assert "There is no /what; /help shows what there is." in shown
    scripted.fails = False
    scripted.ending["problem"] = "The database is gone."
    shown = talk(twin_home, scripted.port, ["hi again"])
    assert [turn["content"] for turn in scripted.asked[-1]["messages"]] == ["hi again"]
    assert "The database is gone." in shown


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
