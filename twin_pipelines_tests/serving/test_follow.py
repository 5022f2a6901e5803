"""The engine stays on the release in force, and on the one before while that cannot be loaded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from twin_pipelines.commands.blind import blind
from twin_pipelines.commands.serve import listening, serve
from twin_pipelines.foundation.database import connect
from twin_pipelines.promotion.release import rollback
from twin_pipelines.serving import follow
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.follow import Follower
from twin_pipelines.settings import TwinError, TwinSettings


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(batch_size=4, waiting=8)
    made.start()
    yield made
    made.stop()


def test_new_core_memories_are_taken_up_without_loading_the_weights_again(
    served: TwinSettings, connection: psycopg.Connection, database_url: str, engine: Engine
) -> None:
    follower = Follower(engine, database_url, served)
    follower.look(connection)
    first = engine.voice
    assert first and "- I like thing 2" in first.system
    connection.execute("update core_memories set content = 'I like tea'")
    follower.look(connection)
    second = engine.voice
    assert second and "- I like tea" in second.system
    assert second.model is first.model
    assert second.name != first.name
    follower.look(connection)
    assert engine.voice is second, "nothing changed"


def test_a_release_that_cannot_be_loaded_leaves_the_other_one_serving(
    served: TwinSettings,
    connection: psycopg.Connection,
    database_url: str,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    follower = Follower(engine, database_url, served)
    follower.look(connection)
    serving = engine.voice
    connection.execute("update adapters set path = 'adapters/gone' where adapter_id = 'a1'")
    rollback(connection)
    follower.look(connection)
    assert engine.voice is serving
    assert "The adapter of release 1 is missing" in engine.problem
    connection.execute("update adapters set path = 'adapters/a1' where adapter_id = 'a1'")
    follower.look(connection)
    assert engine.voice is serving, "it is not tried again at every look"
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.0)
    follower._failed = ("", 0.0)
    follower.look(connection)
    assert engine.voice and engine.voice.release.release_id == 1
    assert engine.problem == ""


def test_a_base_with_other_weights_than_it_was_trained_on_is_refused(
    served: TwinSettings, connection: psycopg.Connection, database_url: str, engine: Engine
) -> None:
    connection.execute("update releases set base_sha256 = 'other'")
    Follower(engine, database_url, served).look(connection)
    assert engine.voice is None
    assert "is not the base that release 2 was trained on" in engine.problem


def test_it_is_told_by_the_database_and_survives_the_loss_of_its_connection(
    served: TwinSettings,
    connection: psycopg.Connection,
    database_url: str,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "LOOK_SECONDS", 30.0)  # nothing but a notification is so quick
    follower = Follower(engine, database_url, served)
    follower.start()
    _until(lambda: _serves(engine, 2))
    with connect(database_url) as other:
        rollback(other)
        other.commit()
    _until(lambda: _serves(engine, 1))
    monkeypatch.setattr(follow, "LOOK_SECONDS", 0.1)
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    connection.execute("update releases set status = 'retired'")
    connection.commit()
    _until(lambda: engine.voice is None)
    follower.stop()
    follower.join(timeout=5)
    assert not follower.is_alive()


def test_a_taken_port_and_a_comparison_without_an_evaluation_are_one_sentence(
    twin_home: TwinSettings, tmp_path: Path
) -> None:
    console = Console(quiet=True)
    with listening(twin_home, 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TwinError, match=f"Port {port} on 127.0.0.1 cannot be used"):
            serve(twin_home, port, console)
    with pytest.raises(TwinError, match="Nothing was evaluated yet"):
        blind(twin_home, 0, console)


def _serves(engine: Engine, release: int) -> bool:
    return engine.voice is not None and engine.voice.release.release_id == release


def _until(true: object, seconds: float = 20.0) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
