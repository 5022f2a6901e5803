"""Memories and vectors over HTTP: the newest too, by OpenAI's client, and in the answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import uvicorn
from openai import BadRequestError, NotFoundError, OpenAI
from remembered import WordEncoder, remember

from twin_pipelines.commands.serve import listening
from twin_pipelines.memory.recall.recalls import load_recalls
from twin_pipelines.retrieval.records import Question
from twin_pipelines.serving import recollection as recollecting
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.door import LARGEST_BODY
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.recollection import Recollection
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Serving, TwinSettings
from twin_pipelines.sources.store import Subject, save_subject

TOKEN = "not-a-secret"
HEADERS = {"authorization": f"Bearer {TOKEN}"}
CHAT = "/v1/chat/completions"
BREAD = "My grandmother taught me to bake rye bread"
ASKED = {
    "messages": [{"role": "user", "content": "who taught you to bake bread"}],
    "temperature": 0,
    "max_tokens": 4,
}
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"


@pytest.fixture(scope="module")
def engine(make_voice: Callable[[int], Voice]) -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.switch(make_voice(1))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def recollection(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recollection]:
    monkeypatch.setattr(recollecting, "load_encoder", lambda _: WordEncoder())
    monkeypatch.setattr(recollecting, "LOOK_SECONDS", 3_600.0)  # tests say when it is looked
    made = Recollection(database_url, TwinSettings())
    yield made
    made.close()


@pytest.fixture
def call(engine: Engine, recollection: Recollection) -> Callable[..., httpx.Response]:
    app = create_app(engine, TOKEN, Serving(), recollection=recollection)

    def made(method: str, path: str, **given: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
                return await one.request(method, path, **{"headers": HEADERS, **given})

        return asyncio.run(run())

    return made


@pytest.fixture
def client(engine: Engine, recollection: Recollection) -> Iterator[OpenAI]:
    """OpenAI's own client, on a real server."""
    app = create_app(engine, TOKEN, Serving(), recollection=recollection)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with listening(TwinSettings(), 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with OpenAI(base_url=address, api_key=TOKEN, max_retries=0) as made:
            yield made
        server.should_exit = True
        thread.join()


def test_a_memory_of_this_moment_is_found_and_counts_as_recalled(
    call: Callable[..., httpx.Response],
    recollection: Recollection,
    connection: psycopg.Connection,
) -> None:
    asked = {"query": "who taught you to bake bread?", "k": 1}
    assert call("POST", "/memory/search", json=asked).json()["data"] == []
    told = remember(connection, BREAD, importance=0.9)
    remember(connection, "I had noodles for lunch", about="bob")
    connection.commit()
    assert recollection.caught_up().memories == 2
    (by_body,) = call("POST", "/memory/search", json=asked).json()["data"]
    (by_address,) = call("GET", "/memory/search", params=asked).json()["data"]
    assert by_body == by_address
    assert (by_body["memory_id"], by_body["content"], by_body["rank"]) == (told, BREAD, 1)
    assert (by_body["object"], by_body["importance"]) == ("memory", pytest.approx(0.9))
    assert by_body["last_at"].startswith("2018-11-01T12:00:00")
    assert "bake" in by_body["why"] or "bread" in by_body["why"]
    assert load_recalls(connection).select("memory_id", "recalls").rows() == [(told, 2)]


def test_filters_let_through_what_they_name(
    call: Callable[..., httpx.Response],
    recollection: Recollection,
    connection: psycopg.Connection,
) -> None:
    remember(connection, BREAD)
    bobs = remember(connection, "I bake bread too", about="bob", type="knowledge")
    older = remember(connection, "I baked bread long ago", days=300)
    dreamt = remember(connection, "I dreamt of bread", type="dream")
    connection.commit()
    recollection.caught_up()

    def found(**filters: Any) -> list[str]:
        by_body = call("POST", "/memory/search", json={"query": "bread", **filters}).json()["data"]
        by_address = call("GET", "/memory/search", params={"query": "bread", **filters})
        assert [one["id"] for one in by_address.json()["data"]] == [one["id"] for one in by_body]
        return [one["memory_id"] for one in by_body]

    assert found(about="bob") == found(types=["knowledge"]) == [bobs]
    assert found(before="2018-06-01T00:00:00Z") == [older]
    assert older not in found(since="2018-06-01T00:00:00Z")
    assert found(dreams=True) == [dreamt]
    assert dreamt not in found()
    assert found(kinds=["turn"]) == []
    assert len(found(kinds=["memory"])) == 3


def test_what_is_found_again_comes_from_the_cache_until_something_changes(
    recollection: Recollection, connection: psycopg.Connection
) -> None:
    told = remember(connection, BREAD)
    connection.commit()
    recollection.caught_up()
    question = Question("who taught you to bake bread?")
    assert [hit.ref for hit in recollection.find(question, k=3)] == [told]
    assert [hit.ref for hit in recollection.find(question, k=3)] == [told]
    assert recollection.caches()["finds"] == (1, 1)
    before = recollection.version()
    connection.execute("update memories set pinned = true")
    connection.commit()
    assert before is not None
    assert (recollection.version() or 0) > before
    assert recollection.find(question, k=3)[0].pinned
    connection.execute("update memories set status = 'archived'")
    connection.commit()
    assert recollection.find(question, k=3) == []
    assert recollection.caches()["questions"] == (2, 1)
    assert load_recalls(connection)["recalls"].to_list() == [3]


def test_what_a_prompt_is_told_names_others_and_says_why(
    recollection: Recollection, connection: psycopg.Connection
) -> None:
    save_subject(connection, Subject("sue", "sue", "the test"))
    own = remember(connection, BREAD)
    bobs = remember(connection, "I bake bread too", about="bob")
    connection.commit()
    recollection.caught_up()
    turns = [{"role": "system", "content": "x"}, {"role": "user", "content": "hello"}]
    recalled = recollection.recall("bread?", turns, 5)
    told = {memory.memory_ids[0]: memory for memory in recalled.memories}
    assert (told[own].speaker, told[bobs].speaker) == ("", "bob")
    assert told[own].kind == "recalled"
    assert set(recalled.why) == {own, bobs}
    assert all(recalled.why.values())
    assert not recalled.problem


def test_pinned_memories_stand_ready_the_most_important_first(
    recollection: Recollection, connection: psycopg.Connection
) -> None:
    assert recollection.pinned() == []
    remember(connection, "I like tea")
    minor = remember(connection, "I have a bike", pinned=True, importance=0.2)
    major = remember(connection, "Never call me Susan", pinned=True, importance=0.9)
    remember(connection, "I can fly", type="dream", pinned=True)
    connection.commit()
    pinned = recollection.pinned()
    assert [memory.memory_ids[0] for memory in pinned] == [major, minor]
    assert {memory.kind for memory in pinned} == {"pinned"}
    assert recollection.pinned() is pinned
    connection.execute("update memories set pinned = false")
    connection.commit()
    assert recollection.pinned() == []


def test_what_comes_in_is_indexed_beside_the_answers(
    recollection: Recollection, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recollecting, "LOOK_SECONDS", 0.05)
    recollection.start()
    told = remember(connection, BREAD)
    connection.commit()
    deadline = time.monotonic() + 20
    while not (found := recollection.find(Question("bread"), k=1)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found[0].ref == told


def test_threads_share_connections_and_find_the_same(
    recollection: Recollection, connection: psycopg.Connection
) -> None:
    told = remember(connection, BREAD)
    connection.commit()
    recollection.caught_up()
    with ThreadPoolExecutor(12) as pool:
        asked = [Question(f"bread {number % 5}") for number in range(60)]
        found = list(pool.map(lambda question: recollection.find(question, k=1), asked))
    assert {hits[0].ref for hits in found} == {told}
    assert load_recalls(connection)["recalls"].to_list() == [60]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"query": " "}, "holds no text"),
        ({"query": "x" * 4_001}, "query"),
        ({"query": "tea", "k": 0}, "k:"),
        ({"query": "tea", "k": 101}, "k:"),
        ({"query": "tea", "before": "2018-11-01T12:00:00"}, "before"),
        ({"query": "tea", "limit": 3}, "limit"),
        ({"query": "tea", "kinds": ["song"]}, "kinds"),
        ({}, "query"),
    ],
)
def test_an_unusable_search_is_told_what_is_wrong(
    call: Callable[..., httpx.Response], asked: dict[str, Any], words: str
) -> None:
    for given in ({"method": "POST", "json": asked}, {"method": "GET", "params": asked}):
        response = call(given.pop("method"), "/memory/search", **given)
        assert response.status_code == 400
        assert words in response.json()["error"]["message"]


def test_without_the_token_nothing_is_remembered(call: Callable[..., httpx.Response]) -> None:
    for path, asked in (("/memory/search", {"query": "tea"}), ("/v1/embeddings", {"input": "tea"})):
        assert call("POST", path, json=asked, headers={}).status_code == 401
    assert call("GET", "/memory/search", params={"query": "tea"}, headers={}).status_code == 401


def test_a_search_outlives_a_database_that_cut_its_connection(
    recollection: Recollection, connection: psycopg.Connection
) -> None:
    remember(connection, BREAD)
    connection.commit()
    recollection.caught_up()
    assert recollection.find(Question("bread"), k=1)
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where pid <> pg_backend_pid() and datname = current_database()"
    )
    connection.commit()
    assert recollection.find(Question("bread"), k=1)[0].text == BREAD


def test_without_the_database_search_says_so_and_chat_goes_on(
    engine: Engine, recollection: Recollection, call: Callable[..., httpx.Response]
) -> None:
    recollection._url = recollection._connections._url = NOWHERE
    response = call("POST", "/memory/search", json={"query": "tea"})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "database_down"
    assert "127.0.0.1:1 cannot be reached" in response.json()["error"]["message"]
    answer = call("POST", CHAT, json=ASKED | {"twin": {"recall": 2}}).json()
    assert answer["choices"][0]["message"]["content"]
    assert "127.0.0.1:1 cannot be reached" in answer["twin"]["problem"]
    ready = call("GET", "/readyz", headers={})
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["database"] == "down"


def test_openais_client_gets_the_vectors_of_the_embedding_model(client: OpenAI) -> None:
    texts = ["I like tea", "ฉันชอบชา"]
    expected = WordEncoder().encode(texts)
    for how in ({}, {"encoding_format": "float"}):  # the client's own choice is base64
        made = client.embeddings.create(model="twin-embedding", input=texts, **how)
        assert [one.index for one in made.data] == [0, 1]
        assert np.allclose([one.embedding for one in made.data], expected, atol=1e-6)
    assert made.model == WordEncoder.model_id
    assert made.usage.total_tokens > 3
    one = client.embeddings.create(model=WordEncoder.model_id, input=texts[0], dimensions=64)
    assert np.allclose(one.data[0].embedding, expected[0], atol=1e-6)
    assert "twin-embedding" in [model.id for model in client.models.list()]
    with pytest.raises(NotFoundError, match="ask for 'twin-embedding'"):
        client.embeddings.create(model="text-embedding-3-small", input="tea")
    with pytest.raises(BadRequestError, match="64 dimensions"):
        client.embeddings.create(model="twin-embedding", input="tea", dimensions=8)


@pytest.mark.parametrize(
    ("given", "words"),
    [([1, 2], "token ids"), ([], "0 texts"), (["tea", ""], "empty"), (["a"] * 2_049, "2049 texts")],
)
def test_unusable_texts_are_told_what_is_wrong(
    call: Callable[..., httpx.Response], given: Any, words: str
) -> None:
    response = call("POST", "/v1/embeddings", json={"input": given})
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_an_answer_tells_which_memories_it_was_asked_with(
    client: OpenAI, recollection: Recollection, connection: psycopg.Connection
) -> None:
    told = remember(connection, BREAD)
    connection.commit()
    recollection.caught_up()
    nothing = {"twin": {"recall": 0}}
    plain = client.chat.completions.create(  # type: ignore[call-overload]
        model="twin", extra_body=nothing, **ASKED
    )
    assert "memories" not in plain.model_extra["twin"]
    wishes = {"twin": {"memories": True, "recall": 3}}
    whole = client.chat.completions.create(model="twin", extra_body=wishes, **ASKED)  # type: ignore[call-overload]
    *_, ending = client.chat.completions.create(  # type: ignore[call-overload]
        model="twin", extra_body=wishes, stream=True, **ASKED
    )
    assert ending.choices[0].finish_reason
    assert ending.model_extra["twin"] == whole.model_extra["twin"]
    core, recalled = whole.model_extra["twin"]["memories"]
    assert (core["kind"], core["text"]) == ("core", "- I like thing 1")
    assert (recalled["kind"], recalled["memory_ids"]) == ("recalled", [told])
    assert BREAD in recalled["text"]
    assert whole.usage.prompt_tokens > plain.usage.prompt_tokens
    asked = {"extra_headers": {"x-twin-memories": "1"}, "extra_body": nothing, **ASKED}
    by_header = client.chat.completions.create(model="twin", **asked)  # type: ignore[call-overload]
    assert by_header.usage.prompt_tokens == plain.usage.prompt_tokens
    assert [one["kind"] for one in by_header.model_extra["twin"]["memories"]] == ["core"]


def test_a_request_of_more_than_a_megabyte_is_refused_in_one_sentence(client: OpenAI) -> None:
    url = str(client.base_url).removesuffix("/v1/")

    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    for body in (b"x" * (LARGEST_BODY + 1), b"x" * 3_000_000, pieces()):
        response = httpx.post(f"{url}{CHAT}", content=body, headers=HEADERS)
        assert response.status_code == 413
        error = response.json()["error"]
        assert error["code"] == "request_too_large"
        assert error["message"] == "A request holds at most 1,000,000 bytes; send less."
    huge = [{"role": "user", "content": "sea " * 250_000}]
    with pytest.raises(Exception, match="at most 1,000,000 bytes"):
        client.chat.completions.create(model="twin", messages=huge)  # type: ignore[arg-type]
    assert client.chat.completions.create(model="twin", **ASKED).choices  # type: ignore[call-overload]
