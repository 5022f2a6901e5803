"""What a client meets over HTTP: the OpenAI format, a token, and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from twin_pipelines.serving.access import bearer_token, token_file
from twin_pipelines.serving.answers import RELEASE_HEADER
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Serving, TwinError, TwinSettings

TOKEN = "not-a-secret"
CHAT = "/v1/chat/completions"
ASKED = {
    "messages": [{"role": "user", "content": "how are you"}],
    "temperature": 0,
    "max_tokens": 10,
}


@pytest.fixture(scope="module")
def engine(make_voice: Callable[[int], Voice]) -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.switch(make_voice(1))
    made.start()
    yield made
    made.stop()


def call(
    engine: Engine, method: str, path: str, host: str = "127.0.0.1", **given: Any
) -> httpx.Response:
    """One request, with the token unless headers are given."""

    async def run() -> httpx.Response:
        app = create_app(engine, TOKEN, Serving())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = given.pop("headers", {"authorization": f"Bearer {TOKEN}"})
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, headers=headers, **given)

    return asyncio.run(run())


def test_an_answer_names_its_release_in_the_body_and_in_a_header(engine: Engine) -> None:
    response = call(engine, "POST", CHAT, json=ASKED)
    assert response.status_code == 200
    answer = response.json()
    assert engine.voice
    assert answer["model"] == response.headers[RELEASE_HEADER] == engine.voice.name
    assert answer["object"] == "chat.completion"
    choice = answer["choices"][0]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] in {"stop", "length"}
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_holds_the_same_answer_in_pieces(engine: Engine) -> None:
    whole = call(engine, "POST", CHAT, json=ASKED).json()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    response = call(engine, "POST", CHAT, json=ASKED | options)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers[RELEASE_HEADER] == whole["model"]
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    events = [json.loads(line) for line in lines]
    assert {event["model"] for event in events} == {whole["model"]}
    assert events[-1]["usage"] == whole["usage"]
    deltas = [event["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(deltas) == whole["choices"][0]["message"]["content"]
    assert len(deltas) > 3


@pytest.mark.parametrize("given", [{}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}])
def test_without_the_token_nothing_is_told(engine: Engine, given: dict[str, str]) -> None:
    for method, path in (("POST", CHAT), ("GET", "/v1/models")):
        response = call(engine, method, path, headers=given, json=ASKED)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
    assert call(engine, "GET", "/health", headers=given).json()["status"] == "ok"


def test_a_page_that_points_its_own_name_at_this_machine_is_refused(engine: Engine) -> None:
    assert call(engine, "POST", CHAT, host="evil.example", json=ASKED).status_code == 400


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, "must be the user's"),
        ({"messages": [{"role": "user", "content": "  "}]}, "hold text"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "text"),
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "n:"),
        ({"stop": ["a"] * 5}, "more than 4"),
    ],
)
def test_an_unusable_request_is_told_what_is_wrong(
    engine: Engine, change: dict[str, Any], words: str
) -> None:
    response = call(engine, "POST", CHAT, json=ASKED | change)
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_a_conversation_that_cannot_fit_and_a_model_that_is_not_served(engine: Engine) -> None:
    long = {"messages": [{"role": "user", "content": "sea " * 900}]}
    error = call(engine, "POST", CHAT, json=ASKED | long).json()["error"]
    assert error["code"] == "context_length_exceeded"
    response = call(engine, "POST", CHAT, json=ASKED | {"model": "twin-v9-gone"})
    assert response.status_code == 404
    assert "ask for 'twin', which is twin-v1-" in response.json()["error"]["message"]
    assert engine.voice
    assert call(engine, "POST", CHAT, json=ASKED | {"model": engine.voice.name}).is_success


def test_models_are_the_one_in_force_under_both_names(engine: Engine) -> None:
    assert engine.voice
    listed = call(engine, "GET", "/v1/models").json()["data"]
    assert [model["id"] for model in listed] == ["twin", engine.voice.name]


def test_before_the_first_release_the_answer_is_503_with_one_sentence() -> None:
    empty = Engine(batch_size=1, waiting=1)
    empty.start()
    for change in ({}, {"stream": True}):
        response = call(empty, "POST", CHAT, json=ASKED | change)
        assert response.status_code == 503
        message = response.json()["error"]["message"]
        assert message.startswith("No release is in force yet") and message.count(".") == 1
    assert call(empty, "GET", "/v1/models").json()["data"] == []
    assert call(empty, "GET", "/health").json()["status"] == "no release"
    empty.stop()


def test_a_client_who_hangs_up_is_waited_for_no_longer(
    make_voice: Callable[[int], Voice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twin_pipelines.serving.answers.LOOK_SECONDS", 0.05)
    busy = Engine(batch_size=1, waiting=2)  # it never starts to answer
    busy.switch(make_voice(1))
    app = create_app(busy, TOKEN, Serving())
    body = json.dumps(ASKED).encode()
    received = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return received.pop(0) if len(received) > 1 else received[0]

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {"host": "localhost", "authorization": f"Bearer {TOKEN}"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()]
        + [(b"content-type", b"application/json")],
    }
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 10))
    assert sent[0]["status"] == 499
    assert busy._next_batch() is None, "nobody answers a request whose client has gone"


def test_system_words_of_a_request_stand_below_those_of_the_release(engine: Engine) -> None:
    voice = engine.voice
    assert voice
    messages, _ = voice.conversation(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "user", "content": "how are you"},
        ]
    )
    system, last = messages
    assert system["content"].startswith("You are mali.")
    assert "- I like thing 1" in system["content"]
    assert system["content"].endswith("Be brief.")
    assert last["content"] == "hi\nhow are you"


def test_the_token_is_made_once_and_is_for_its_owner_only(tmp_path: Path) -> None:
    settings = TwinSettings(home=tmp_path)
    token = bearer_token(settings)
    assert len(token) > 30
    assert bearer_token(settings) == token
    path = token_file(settings)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o644)
    with pytest.raises(TwinError, match="Others can read the token"):
        bearer_token(settings)
