"""Turns that refer back, what the owner says they mean, and the recall that is measured on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest
from remembered import WordEncoder
from rich.console import Console
from searched_history import add_turns

from twin_pipelines.commands import confirm as command
from twin_pipelines.commands.confirm import confirm
from twin_pipelines.commands.report import _recall
from twin_pipelines.commands.status import _searched
from twin_pipelines.retrieval import figures_store
from twin_pipelines.retrieval.figures import measured
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.retrieval.references import references
from twin_pipelines.settings import TwinSettings

SAID = [
    ("ann", "I finally sold my green sailing boat to a dentist from Lisbon", 0),
    ("ben", "nice", 0),
    ("ann", "เมื่อวานฉันไปกินก๋วยเตี๋ยวเรือที่อยุธยากับน้องสาว", 1),
    ("ben", "I practise the cello every Thursday with a neighbour", 1),
    ("ben", "you said you sold the green boat, do you miss sailing it", 2),
    ("ann", "hardly, a boat is work", 2),
    ("ben", "ก๋วยเตี๋ยวเรือที่เล่าให้ฟังคราวก่อน อยุธยาอร่อยไหม", 3),
]


def count_words(lines: Sequence[str]) -> list[int]:
    return [len(line.split()) for line in lines]


@pytest.fixture
def history(twin_home: TwinSettings, connection: psycopg.Connection) -> psycopg.Connection:
    add_turns(connection, SAID)
    connection.execute(
        "insert into consents (source, kind, location, granted) values ('file', 'file', '', 'me')"
    )
    connection.execute(
        "insert into raw_messages"
        " (source, source_message_id, conversation_id, speaker, text, sent_at, day)"
        " select source, id::text, conversation_id, speaker, text, sent_at, day"
        " from cleaned_messages"
    )
    connection.execute(
        "update cleaned_messages set raw_ids = array[raw.id] from raw_messages as raw"
        " where raw.source_message_id = cleaned_messages.id::text"
    )
    connection.commit()
    index_queued(connection, WordEncoder())
    return connection


@pytest.fixture
def judge(
    history: psycopg.Connection,
    database_url: str,
    twin_home: TwinSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str]]:
    """Answer what is shown with these keys; how many were kept, and what was shown."""
    monkeypatch.setattr(command, "load_encoder", lambda _: WordEncoder())

    def answer(*keys: str) -> tuple[int, str]:
        history.rollback()
        given: Iterator[str] = iter(keys)
        console = Console(record=True, width=200)
        kept = confirm(twin_home, database_url, console, lambda _: next(given))
        return kept, console.export_text()

    return answer


def test_a_turn_that_refers_back_is_offered_turns_of_earlier_sessions_only(
    history: psycopg.Connection,
) -> None:
    found = references(figures_store.sampled_turns(history, 100), WordEncoder(), 10)
    assert [one.text for one in found] == [SAID[6][1], SAID[4][1]], "latest first, both languages"
    sold = found[1].offers
    assert SAID[0][1] in [offer.text for offer in sold]
    assert all(offer.sent_at < found[1].sent_at for offer in sold)
    assert len({offer.message_id for offer in sold}) == len(sold)


def test_what_was_judged_is_not_shown_again_and_none_is_an_answer(
    history: psycopg.Connection, judge: Callable[..., tuple[int, str]]
) -> None:
    kept, shown = judge("n", "x", "q")
    assert kept == 1 and "1 of 2" in shown
    kept, shown = judge("s")
    assert kept == 0 and "1 of 1" in shown and "green sailing boat" in shown
    assert figures_store.confirmed_items(history) == []


def test_recall_is_measured_on_what_was_confirmed_among_what_was_said_before(
    history: psycopg.Connection, judge: Callable[..., tuple[int, str]], twin_home: TwinSettings
) -> None:
    before = measured(history, WordEncoder(), twin_home, count_words)
    assert (before.confirmed, before.confirmed_recall) == (0, None)
    [noodles, boat] = references(figures_store.sampled_turns(history, 100), WordEncoder(), 10)
    picks = [
        str(1 + [offer.text for offer in one.offers].index(text))
        for one, text in ((noodles, SAID[2][1]), (boat, SAID[0][1]))
    ]
    assert judge(*picks)[0] == 2
    figures = measured(history, WordEncoder(), twin_home, count_words)
    assert (figures.confirmed, figures.confirmed_recall) == (2, 1.0)
    figures_store.keep(history, figures)
    shown = _searched(history)
    assert shown["retrieval_confirmed_recall_at_10"] == 1.0
    assert _recall(shown)[2].endswith("1.00 of 2 that you confirmed")


def test_a_turn_that_is_gone_is_asked_about_no_more(
    history: psycopg.Connection, judge: Callable[..., tuple[int, str]]
) -> None:
    judge("1", "q")
    assert len(figures_store.confirmed_items(history)) == 1
    history.execute("delete from raw_messages where id in (select answering from known_items)")
    assert figures_store.confirmed_items(history) == []
