"""A release that learnt what was erased answers nobody, from the moment that is known."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import psycopg
import pytest

from twin_pipelines.foundation.database import connect
from twin_pipelines.generation.prompt import Message
from twin_pipelines.promotion.release import Force, allow_erased
from twin_pipelines.serving import follow
from twin_pipelines.serving.app import create_app
from twin_pipelines.serving.backends.links import make_chain
from twin_pipelines.serving.backends.ollama import Ollama
from twin_pipelines.serving.backends.prompting import Prompting
from twin_pipelines.serving.backends.spares import Spares
from twin_pipelines.serving.engine import Engine, NotReady, Sampling
from twin_pipelines.serving.follow import Follower
from twin_pipelines.serving.voice import Voice
from twin_pipelines.settings import Backend, Serving, TwinSettings
from twin_pipelines.training.blocks_store import block

TOKEN = "not-a-secret"
MESSAGE = "00000000-0000-4000-8000-00000000abcd"
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "how are you"}],
    "temperature": 0,
    "max_tokens": 6,
    "twin": {"cached": True},
}
HELLO: Sequence[Message] = [{"role": "user", "content": "hello"}]
GREEDY = Sampling(0.0, 1.0, 400)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.start()
    yield made
    made.stop()


class Twin:
    """A server's parts over a database, without its threads."""

    def __init__(self, engine: Engine, url: str, settings: TwinSettings) -> None:
        self.engine = engine
        self.settings = settings
        self.spares = Spares(settings)
        self.follower = Follower(engine, url, settings, self.spares)

    def ask(self, *paths: str) -> list[dict[str, Any]]:
        """An answer, and after it what is told at the paths."""

        async def run() -> list[dict[str, Any]]:
            chain = make_chain(self.settings, self.engine, self.spares)
            app = create_app(self.engine, TOKEN, Serving(), chain=chain)
            headers = {"authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers
            ) as client:
                told = [(await client.post("/v1/chat/completions", json=ASKED)).json()]
                told += [(await client.get(path)).json() for path in paths]
            await chain.close()
            return told

        return asyncio.run(run())


@pytest.fixture
def twin(served: TwinSettings, database_url: str, engine: Engine) -> Twin:
    return Twin(engine, database_url, served)


def erase(connection: psycopg.Connection, *adapters: str) -> None:
    """What is erased was learnt by these adapters alone."""
    for adapter in adapters:
        connection.execute(
            "insert into datasets select %(own)s, subject, settings, train, validation, test, "
            "purged, train_until, test_from, path from datasets where version = 'd'",
            {"own": f"d-{adapter}"},
        )
        connection.execute(
            "update adapters set dataset_version = %s where adapter_id = %s",
            (f"d-{adapter}", adapter),
        )
        connection.execute(
            "insert into dataset_pairs (version, pair_id, split) values (%s, %s, 'train')",
            (f"d-{adapter}", MESSAGE),
        )
    blocked = block(connection, f"erasure of {adapters}", [MESSAGE])
    assert [one.adapter_id for one in blocked] == list(adapters)


def test_the_release_before_it_answers_and_it_is_said_why(
    twin: Twin, connection: psycopg.Connection
) -> None:
    twin.follower.look(connection)
    assert twin.ask()[0]["twin"]["backend"] == "champion"
    erase(connection, "a2")
    twin.follower.look(connection)
    answer, ready = twin.ask("/readyz")
    assert answer["twin"]["backend"] == "previous"
    assert answer["twin"]["release"].startswith("twin-v1-")
    why = "Adapter a2 may not answer: it learnt what was erased (1 of train)"
    assert answer["twin"]["problem"].startswith(why)
    assert answer["twin"]["tried"][0]["why"].startswith(why)
    assert ready["status"] == "degraded"
    assert [problem for problem in ready["problems"] if problem.startswith(why)]
    assert ready["backends"][0]["problem"].startswith(why)


def test_when_both_learnt_it_the_base_answers_with_the_persona(
    twin: Twin, connection: psycopg.Connection
) -> None:
    connection.execute("update releases set persona = persona || %s", ('{"identity": "I bake."}',))
    twin.follower.look(connection)
    erase(connection, "a1", "a2")
    twin.follower.look(connection)
    (answer,) = twin.ask()
    assert answer["twin"]["backend"] == "base"
    assert answer["twin"]["release"] == ""
    assert twin.spares.previous.release is None


def test_who_signs_for_it_hears_it_again_and_another_erasure_ends_that(
    twin: Twin, connection: psycopg.Connection
) -> None:
    erase(connection, "a2")
    twin.follower.look(connection)
    assert twin.engine.voice is None and twin.engine.withheld
    allow_erased(connection, "a2", Force("David", "the family agreed", b"k" * 32))
    twin.follower.look(connection)
    (answer,) = twin.ask()
    assert (answer["twin"]["backend"], answer["twin"]["problem"]) == ("champion", "")
    assert twin.engine.problem == ""


def test_a_model_of_it_in_another_program_is_not_asked_either(
    twin: Twin, connection: psycopg.Connection
) -> None:
    twin.follower.look(connection)
    link = Backend(kind="ollama", url="http://127.0.0.1:1", model="mine")
    prompting = Prompting(twin.settings, twin.engine, twin.spares)
    ollama = Ollama("ollama", link, prompting, twin.settings.exports_dir)
    assert ollama.problem() == ""
    erase(connection, "a2")
    twin.follower.look(connection)
    assert "Adapter a2 may not answer" in ollama.problem()
    with pytest.raises(NotReady, match="Adapter a2 may not answer"):
        asyncio.run(prompting.taught())


def test_what_waits_and_what_is_being_written_is_taken_from_it(
    engine: Engine, make_voice: Callable[[int], Voice]
) -> None:
    engine.switch(make_voice(1))
    begun, told = threading.Event(), []

    def piece(text: str) -> None:
        told.append(text)
        begun.set()
        time.sleep(0.02)

    writing = engine.accept(HELLO, GREEDY, piece)
    assert begun.wait(20)
    waiting = engine.accept(HELLO, Sampling(0.0, 1.0, 3))
    engine.withdraw({"a1": "It may not answer."}, "a1")
    for ticket in (writing, waiting):
        with pytest.raises(NotReady, match="It may not answer"):
            ticket.answer.result(timeout=20)
    heard = len(told)
    time.sleep(0.2)
    assert len(told) <= heard + 1, "not another word"
    with pytest.raises(NotReady, match="It may not answer"):
        engine.accept(HELLO, GREEDY, voice=make_voice(1))
    engine.switch(make_voice(2))
    assert engine.accept(HELLO, Sampling(0.0, 1.0, 3)).answer.result(timeout=20).reply_tokens


def test_a_running_server_is_told_and_does_not_wait_until_it_looks(
    twin: Twin,
    connection: psycopg.Connection,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "LOOK_SECONDS", 30.0)  # nothing but a notification is so quick
    twin.follower.start()
    until(lambda: twin.engine.voice is not None)
    with connect(database_url) as other:
        erase(other, "a2")
        assert twin.engine.voice, "nothing is erased before it is committed"
        other.commit()
    until(lambda: twin.engine.voice is None, follow.LOOK_SECONDS / 3)
    twin.follower.stop()
    assert "Adapter a2 may not answer" in twin.engine.problem


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
