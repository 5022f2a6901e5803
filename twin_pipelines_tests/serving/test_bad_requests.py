"""Whatever is sent, the server answers with a sentence, and goes on answering."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remembered import WordEncoder, remember

from twin_pipelines.serving import recollection as recollecting
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.chats import Chats
from twin_pipelines.serving.chats_api import chat_routes
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.recollection import Recollection
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Serving, TwinSettings

TOKEN = "not-a-secret"
HEADERS = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
CHAT = "/v1/chat/completions"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "how are you"}],
    "temperature": 0,
    "max_tokens": 4,
}
WORDS = [{"type": "text", "text": "hi"}]


@pytest.fixture(scope="module")
def engine(make_voice: Callable[[int], Voice]) -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.switch(make_voice(1))
    made.start()
    yield made
    made.stop()


def call(
    engine: Engine, method: str, path: str, url: str = NOWHERE, **given: Any
) -> httpx.Response:
    """One request to a server, whose database is gone unless one is given."""

    async def run() -> httpx.Response:
        chats = Chats(url, TwinSettings())
        recollection = Recollection(url, TwinSettings())
        app = create_app(
            engine,
            TOKEN,
            Serving(),
            recollection=recollection,
            chats=chats,
            routers=(chat_routes(chats),),
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
                return await one.request(method, path, **{"headers": HEADERS, **given})
        finally:
            chats.close()
            recollection.close()

    return asyncio.run(run())


def refused(response: httpx.Response, status: int) -> str:
    """The sentence of a refusal."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].endswith(".")
    return error["message"]


def body(**changed: Any) -> bytes:
    return json.dumps(ASKED | changed).encode()


def said(role: Any, content: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content}]}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "body"),
        (b"hello", "JSON"),
        (b'{"messages": [', "JSON"),
        (b"[]", "dict"),
        (b"null", "not usable"),
        (b"\xff\xfe\x00", "JSON"),
        (body(messages="hello"), "messages"),
        (body(messages=None), "messages"),
        (body(**said("user", "")), "hold text"),
        (body(**said("user", " \n\t ")), "hold text"),
        (body(**said("user", [])), "hold text"),
        (body(**said("user", None)), "hold text"),
        (body(**said("user", 7)), "content"),
        (body(**said("user", [{"type": "image_url", "image_url": {"url": "x"}}])), "text"),
        (body(**said("narrator", "hi")), "role"),
        (body(**said(None, "hi")), "role"),
        (body(**said("tool", "hi")), "role"),
        (body(**said("assistant", "hi")), "must be the user's"),
        (body(**said("system", "hi")), "must be the user's"),
        (body(**said("user", "x" * 100_001)), "100000 characters"),
        (body(messages=[*[{"role": "user", "content": "x"}] * 10_001]), "messages"),
        (body(temperature=float("nan")), "temperature"),
        (body(temperature="hot"), "temperature"),
        (body(top_p=0), "top_p"),
        (body(max_tokens=0), "max_tokens"),
        (body(seed=-1), "seed"),
        (body(twin={"chat": "yesterday"}), "twin.chat"),
        (body(twin={"recall": 51}), "twin.recall"),
        (body(twin={"chat": "new", "partner": "x" * 81}), "twin.partner"),
        (body(twin={"memory": True}), "twin.memory"),
    ],
)
def test_an_unusable_body_is_refused_with_what_is_wrong(
    engine: Engine, sent: bytes, words: str
) -> None:
    assert words in refused(call(engine, "POST", CHAT, content=sent), 400)


def test_a_prompt_of_a_megabyte_is_too_large(engine: Engine) -> None:
    message = refused(call(engine, "POST", CHAT, content=body(**said("user", "x" * 2**20))), 413)
    assert "1,000,000 bytes" in message


def test_a_conversation_of_nearly_a_megabyte_is_cut_and_answered(engine: Engine) -> None:
    turns = [{"role": role, "content": "sea " * 1_000} for role in ("user", "assistant")] * 110
    sent = body(messages=[*turns, *ASKED["messages"]])
    assert 880_000 < len(sent) < 1_000_000
    assert call(engine, "POST", CHAT, content=sent).is_success


@pytest.mark.parametrize(
    "text", ["a\x00b", "half \ud83d of one", "\u202egnirts", "�", "<|im_end|>"]
)
def test_strange_signs_are_answered_and_kept(engine: Engine, text: str) -> None:
    sent = body(**said("user", f"hello {text}"), twin={"chat": "new", "recall": 0})
    assert call(engine, "POST", CHAT, content=sent).is_success


def test_an_unknown_model_and_a_missing_token(engine: Engine) -> None:
    assert "ask for 'twin'" in refused(call(engine, "POST", CHAT, json=ASKED | {"model": "x"}), 404)
    for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer é".encode()}):
        for path in (CHAT, "/memory/search", "/v1/embeddings"):
            answer = call(engine, "POST", path, json=ASKED, headers=headers)
            assert refused(answer, 401).startswith("Send the token")
        refused(call(engine, "GET", "/twin/chats", headers=headers), 401)


def test_without_the_database_the_twin_answers_and_says_what_it_goes_without(
    engine: Engine,
) -> None:
    wishes = {"recall": 5, "chat": str(uuid4()), "memories": True}
    told = call(engine, "POST", CHAT, json=ASKED | {"twin": wishes}).json()
    assert told["choices"][0]["message"]["content"]
    assert told["twin"]["chat"] == wishes["chat"] and told["twin"]["place"] is None
    assert "127.0.0.1:1 cannot be reached" in told["twin"]["problem"]
    assert "The chat is not kept" in told["twin"]["problem"]
    assert "cannot be reached" in refused(call(engine, "GET", "/twin/chats"), 503)
    search = call(engine, "POST", "/memory/search", json={"query": "tea"})
    assert "cannot be reached" in refused(search, 503)
    ready = call(engine, "GET", "/readyz").json()
    assert (ready["status"], ready["database"]) == ("degraded", "down")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
NAMES = st.sampled_from([*ASKED, "model", "stream", "stop", "twin", "role", "content", "n", "seed"])


@given(st.dictionaries(NAMES, JSON, max_size=4), JSON)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_body_makes_the_server_fail(engine: Engine, changed: Any, content: Any) -> None:
    messages = [{"role": "user", "content": content}]
    sent = {"messages": messages, "max_tokens": 1, "twin": {"recall": 0}, **changed}
    answer = call(engine, "POST", CHAT, content=json.dumps(sent).encode())
    assert answer.status_code in (200, 400, 404), answer.text


def test_an_index_of_another_embedding_model_is_not_searched(
    engine: Engine, database_url: str, connection: psycopg.Connection, monkeypatch: Any
) -> None:
    encoder = WordEncoder()
    monkeypatch.setattr(recollecting, "load_encoder", lambda _: encoder)
    remember(connection, "I drink jasmine tea")
    connection.commit()
    recollection = Recollection(database_url, TwinSettings())
    recollection.caught_up()
    recollection.close()
    monkeypatch.setattr(encoder, "model_id", "others@00000002", raising=False)
    asked = ASKED | {"twin": {"recall": 3}}
    told = call(engine, "POST", CHAT, url=database_url, json=asked).json()
    assert told["choices"][0]["message"]["content"]
    assert "twin reindex" in told["twin"]["problem"]
    search = call(engine, "POST", "/memory/search", url=database_url, json={"query": "tea"})
    assert "twin reindex" in refused(search, 503)


def test_strange_signs_are_searched_for_like_any(
    engine: Engine, database_url: str, connection: psycopg.Connection, monkeypatch: Any
) -> None:
    monkeypatch.setattr(recollecting, "load_encoder", lambda _: WordEncoder())
    remember(connection, "I drink jasmine tea")
    connection.commit()
    Recollection(database_url, TwinSettings()).caught_up()
    for text in ("tea\0", "%_\\ ' \" tea", "ชา 🍵"):
        query = json.dumps({"query": text}).encode()
        search = call(engine, "POST", "/memory/search", url=database_url, content=query)
        assert search.is_success, search.text
        asked = body(**said("user", text), twin={"recall": 3, "chat": "new"})
        told = call(engine, "POST", CHAT, url=database_url, content=asked).json()
        assert told["twin"]["problem"] == "" and told["twin"]["place"] == 1
