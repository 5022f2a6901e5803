"""What is said in a followed source is found here at the next step; what is taken back is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from followed import say

sys.path.append(str(Path(__file__).parents[1] / "retrieval"))
from searched_history import ENCODER

from twin_pipelines.automation import live as module
from twin_pipelines.automation.live import Derived, Deriving, Due, Landing
from twin_pipelines.foundation.database import connect
from twin_pipelines.retrieval.find import find
from twin_pipelines.retrieval.index.refresh import Step
from twin_pipelines.retrieval.records import Question
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.feeds import Feed
from twin_pipelines.sources.capture.looking import Look, Lookout


class Live:
    """Lands and derives by turns, as `twin follow` does side by side."""

    def __init__(self, settings: TwinSettings, url: str) -> None:
        self.due = Due()
        self.landing = Landing(settings, url, self.due)
        self.deriving = Deriving(settings, url, ENCODER)

    def step(self) -> tuple[tuple[Look, ...], Derived]:
        looks = self.landing.look()
        days = self.due.take()
        made = self.deriving.derive(days) if days else Derived()
        left = made.left
        while left:
            more = self.deriving.derive(set())
            made.indexed, left = made.indexed + more.indexed, more.left
        return looks, made

    def close(self) -> None:
        self.landing.close()
        self.deriving.close()


@pytest.fixture
def live(following: TwinSettings, database_url: str, source: psycopg.Connection) -> Iterator[Live]:
    """A follower of the source."""
    opened = Live(following, database_url)
    yield opened
    opened.close()


def found(connection: psycopg.Connection, settings: TwinSettings, question: str) -> list[str]:
    (hits,) = find(connection, ENCODER, [Question(question)], k=5, settings=settings)
    connection.rollback()
    return [hit.text for hit in hits]


def test_what_came_last_is_found_before_the_rest_of_a_burst(
    live: Live,
    source: psycopg.Connection,
    connection: psycopg.Connection,
    following: TwinSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live.step()
    monkeypatch.setattr(module, "STEPS", (Step(1), Step(1, oldest=True)))
    monkeypatch.setattr(module, "REST", 0.0)
    for number in range(9):
        say(source, f"I bought {number} books about zebras", day=3 + number)
    live.landing.look()
    first = live.deriving.derive(live.due.take())
    assert first.left and first.indexed <= 4
    say(source, "My dog Rex ate the zucchini", day=20)
    live.landing.look()
    second = live.deriving.derive(live.due.take())
    assert second.left
    assert "My dog Rex ate the zucchini" in found(connection, following, "What did the dog eat?")
    while second.left:
        second = live.deriving.derive(set())
    assert len(found(connection, following, "books about zebras")) == 5


def test_a_large_day_is_not_cleaned_again_and_again_while_a_burst_waits(
    live: Live,
    source: psycopg.Connection,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live.step()
    monkeypatch.setattr(module, "STEPS", (Step(1),))
    monkeypatch.setattr(module, "REST", 1e9)
    for number in range(4):
        say(source, f"I bought {number} books about zebras", day=3 + number)
    live.landing.look()
    made = live.deriving.derive(live.due.take())
    assert made.left and made.turns
    say(source, "My dog Rex ate the zucchini", day=20)
    live.landing.look()
    made = live.deriving.derive(live.due.take())
    assert not made.turns, "the burst is indexed first"
    cleaned = {}
    while made.left:
        made = live.deriving.derive(set())
        cleaned |= made.turns
    assert list(cleaned.values()) == [1]
    waiting = connection.execute("select count(*) from search_queue").fetchone()
    assert waiting == (0,)


def test_vectors_of_turns_are_made_once_there_is_time(
    live: Live, source: psycopg.Connection, connection: psycopg.Connection
) -> None:
    live.step()
    live.deriving.catch_up()
    connection.execute("delete from message_embeddings")
    connection.commit()
    say(source, "My dog Rex ate the zucchini", day=3)
    _, derived = live.step()
    assert derived.indexed and not live.deriving.owes
    turns = "select count(*) from cleaned_messages"
    vectors = "select count(*) from message_embeddings"
    assert connection.execute(vectors).fetchone() == (0,)
    connection.rollback()
    assert live.deriving.catch_up() > 0
    assert connection.execute(vectors).fetchone() == connection.execute(turns).fetchone()
    assert live.deriving.catch_up() == 0


def test_a_message_can_be_found_after_one_step_and_not_after_its_deletion(
    live: Live, source: psycopg.Connection, connection: psycopg.Connection, following: TwinSettings
) -> None:
    live.step()
    identity = say(source, "My dog Rex ate the zucchini", day=3)
    say(source, "We had pasta for dinner", day=3, speaker="david")
    _, made = live.step()
    assert made.indexed > 0
    assert "My dog Rex ate the zucchini" in found(connection, following, "What did the dog eat?")
    source.execute("delete from conversations where conversation_id = %s", [identity])
    live.step()
    assert "My dog Rex ate the zucchini" not in found(connection, following, "the dog?")


def test_the_days_stay_queued_for_the_run_that_derives_the_rest(
    live: Live, source: psycopg.Connection, connection: psycopg.Connection
) -> None:
    say(source, "Where do you live?", day=3)
    assert live.step()[1].turns
    assert capture_store.touched(connection).height == 1
    connection.rollback()
    assert not live.step()[1].turns


def test_one_that_was_killed_leaves_its_days_to_the_next(
    following: TwinSettings,
    database_url: str,
    source: psycopg.Connection,
    connection: psycopg.Connection,
) -> None:
    say(source, "My puppy is called Rex", day=3)
    killed = Live(following, database_url)
    killed.landing.look()  # and nothing was derived
    killed.close()
    heir = Live(following, database_url)
    heir.step()
    heir.close()
    assert found(connection, following, "puppy") == ["My puppy is called Rex"]


def test_it_and_another_reader_can_run_at_once(
    live: Live,
    source: psycopg.Connection,
    connection: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
    database_url: str,
) -> None:
    live.step()
    with connect(database_url) as other, capture_store.only_reader(other, feed):
        ((look,), _) = live.step()
        assert "another process" in look.problem


def test_a_source_that_breaks_off_is_told_and_followed_again(
    live: Live,
    source: psycopg.Connection,
    connection: psycopg.Connection,
    following: TwinSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("twin_pipelines.sources.capture.looking.RETRY_SECONDS", 0.0)
    live.step()
    source.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    ((broken,), _) = live.step()
    assert "broke off" in broken.problem
    say(source, "The cat is back", day=4)
    live.step()
    assert found(connection, following, "cat") == ["The cat is back"]


def test_what_another_reader_brought_in_between_is_derived_here_too(
    live: Live,
    source: psycopg.Connection,
    connection: psycopg.Connection,
    following: TwinSettings,
) -> None:
    live.step()
    say(source, "The parrot can sing", day=4)
    with Lookout(following) as sensor:
        sensor.look(connection)
    live.step()
    assert found(connection, following, "parrot") == ["The parrot can sing"]


def test_another_twin_toml_is_gone_by_without_a_restart(
    live: Live, source: psycopg.Connection, following: TwinSettings
) -> None:
    live.step()
    (table,) = following.sources
    off = table.model_copy(update={"capture": False})
    live.landing.go_by(following.model_copy(update={"sources": (off,)}))
    ((left,), _) = live.step()
    assert "followed no longer" in left.problem
    slots = "select count(*) from pg_replication_slots where database = current_database()"
    assert source.execute(slots).fetchone() == (0,)
