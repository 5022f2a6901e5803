"""Kept chats over HTTP: listed, read, allowed, deleted; and what the server counts of answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.cached import AnswerCache
from twin_pipelines.serving.chats import Chats
from twin_pipelines.serving.chats_api import chat_routes
from twin_pipelines.serving.engine import Engine, Reply, Sampling
from twin_pipelines.serving.metrics import Metrics, Present
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Backend, Serving, TwinSettings

TOKEN = "not-a-secret"
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def engine(make_voice: Callable[[int], Voice]) -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.switch(make_voice(1))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def call(engine: Engine, database_url: str) -> Iterator[Callable[..., httpx.Response]]:
    serving = Serving(chat_consent="Ann, 1 May 2024", max_new_tokens=4)
    chats = Chats(database_url, TwinSettings(serving=serving))
    app = create_app(
        engine,
        TOKEN,
        serving,
        chats=chats,
        cache=AnswerCache(serving),
        routers=(chat_routes(chats),),
    )

    def made(method: str, path: str, **given: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
                headers = {"authorization": f"Bearer {TOKEN}"}
                return await one.request(method, path, **{"headers": headers, **given})

        return asyncio.run(run())

    yield made
    chats.close()


def asked(text: str, **wishes: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "twin": wishes}


def test_a_chat_is_listed_read_allowed_and_deleted(call: Callable[..., httpx.Response]) -> None:
    empty = call("GET", "/twin/chats").json()
    assert (empty["data"], empty["subject"], empty["may_learn"]) == ([], "", True)
    told = call("POST", CHAT, json=asked("สวัสดี hello", chat="new", partner="ann")).json()
    chat, answer = told["twin"]["chat"], told["choices"][0]["message"]["content"]
    assert told["twin"]["place"] == 1 and told["twin"]["may_learn"] is True
    (listed,) = call("GET", "/twin/chats").json()["data"]
    assert (listed["chat"], listed["partner"], listed["turns"]) == (chat, "ann", 2)
    read = call("GET", f"/twin/chats/{chat}").json()
    assert [(turn["role"], turn["content"]) for turn in read["turns"]] == [
        ("user", "สวัสดี hello"),
        ("assistant", answer),
    ]
    assert read["turns"][1]["backend"] == "champion"
    assert read["turns"][1]["release"].startswith("twin-v1-") and read["consented"] is False
    allowed = call("POST", f"/twin/chats/{chat}/consent", json={"consented": True})
    assert allowed.json() == {"chat": chat, "consented": True}
    assert call("GET", f"/twin/chats/{chat}").json()["consented"] is True
    assert call("DELETE", f"/twin/chats/{chat}").status_code == 204
    for method, path in (
        ("GET", chat),
        ("DELETE", chat),
        ("POST", f"{chat}/consent"),
        ("GET", uuid4()),
    ):
        gone = call(method, f"/twin/chats/{path}", json={"consented": True})
        assert gone.status_code == 404
        assert "is kept; it was never kept" in gone.json()["error"]["message"]
    assert call("GET", "/twin/chats/yesterday").status_code == 400


def test_a_request_that_names_no_chat_leaves_nothing_behind(
    call: Callable[..., httpx.Response], connection: psycopg.Connection
) -> None:
    for sent in (asked("hello"), asked("hello", cached=True), asked("hello", memories=True)):
        assert "chat" not in call("POST", CHAT, json=sent).json()["twin"]
    for table in ("chats", "chat_turns", "raw_messages"):
        assert connection.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_a_stream_tells_the_chat_in_the_event_that_ends_it(
    call: Callable[..., httpx.Response],
) -> None:
    chat = str(uuid4())
    text = call("POST", CHAT, json={**asked("hello", chat=chat), "stream": True}).text
    assert re.findall(r'"chat": "([^"]+)", "place": (\d+)', text) == [(chat, "1")]


def test_what_was_answered_and_cached_is_counted(call: Callable[..., httpx.Response]) -> None:
    for _ in range(3):
        call("POST", CHAT, json=asked("hello", cached=True))
    counted = call("GET", "/metrics").text
    assert 'twin_cache_total{cache="answers",outcome="hit"} 2' in counted
    assert 'twin_cache_total{cache="answers",outcome="miss"} 1' in counted
    assert 'twin_answers_total{backend="champion"} 1' in counted
    assert 'twin_answers_total{backend="cache"} 2' in counted
    assert 'twin_first_words_seconds_count{backend="champion"} 1' in counted
    assert 'twin_backend_asked{backend="champion"} 1' in counted


def test_every_metric_is_told_once_with_its_kind() -> None:
    metrics = Metrics()
    metrics.answered('a"b', 0.2)
    metrics.fell_back("champion", "deadline")
    metrics.recalled(0.004)
    metrics.cache("answers", hit=True)
    caches = {"finds": (3, 1), "answers": (1, 0)}
    text = metrics.text(Present(0, "", False, {"champion": False, "base": True}, caches))
    lines = text.splitlines()
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert {line.split()[2] for line in lines if line.startswith("# HELP")} == set(names)
    for line in (
        'twin_answers_total{backend="a\\"b"} 1',
        'twin_passed_over_total{backend="champion",why="deadline"} 1',
        'twin_recall_seconds_bucket{le="0.005"} 1',
        "twin_recall_seconds_count 1",
        'twin_cache_total{cache="answers",outcome="hit"} 2',
        'twin_cache_total{cache="finds",outcome="miss"} 1',
        'twin_backend_asked{backend="champion"} 0',
        'twin_backend_asked{backend="base"} 1',
    ):
        assert line in lines, line


GREEDY = Sampling(temperature=0, top_p=1, max_new_tokens=4)
REPLY = Reply("hi", "stop", 3, 1)


def test_the_cache_knows_what_makes_a_request_another() -> None:
    cache = AnswerCache(Serving())
    messages = [{"role": "user", "content": "hello"}]
    key = cache.key(messages, [], GREEDY, "twin-v1", 7)
    assert key
    others = [
        cache.key([{"role": "user", "content": "hullo"}], [], GREEDY, "twin-v1", 7),
        cache.key(messages, [], GREEDY, "twin-v2", 7),
        cache.key(messages, [], GREEDY, "twin-v1", 8),
        cache.key(messages, [], Sampling(0, 1, 5), "twin-v1", 7),
        cache.key(messages, [], Sampling(0, 1, 4, stops=("x",)), "twin-v1", 7),
        cache.key(messages, [], Sampling(0.8, 1, 4, seed=1), "twin-v1", 7),
    ]
    assert len({key, *others}) == 7 and None not in others
    assert cache.key(messages, [], Sampling(0, 0.5, 4, seed=3), "twin-v1", 7) == key
    assert cache.key(messages, [], Sampling(0.8, 1, 4), "twin-v1", 7) is None
    assert cache.key(messages, [], GREEDY, "twin-v1", None) is None


def test_the_cache_keeps_what_was_used_last_and_only_of_the_first_backend() -> None:
    cache = AnswerCache(Serving(), entries=2)
    for key in ("a", "b", "c"):
        cache.put(key, REPLY, "champion")
        assert cache.get("a" if key != "c" else "c")
    assert cache.get("a") and cache.get("c") and cache.get("b") is None
    cache.put("d", REPLY, "base")
    assert cache.get("d") is None
    remote = Backend(kind="openai", url="http://127.0.0.1:1/v1", model="m")
    other = AnswerCache(Serving(backends=(remote,)))
    other.put("a", REPLY, "openai:m")
    assert other.get("a") == REPLY
