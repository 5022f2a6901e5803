"""A re-run touches nothing that did not change, so vectors of unchanged turns survive it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from raw_frames import DAY, at, raw_frame

from twin_pipelines.features import refresh, store
from twin_pipelines.features.refresh import refresh_days, slices
from twin_pipelines.foundation.database import connect, copy_frame
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.store import load_messages

NEXT = DAY + timedelta(days=1)
SETTINGS = TwinSettings()
TODAY = DayRange(DAY, DAY)


def land(connection: psycopg.Connection, messages: Iterable[dict[str, Any]]) -> pl.DataFrame:
    raw = raw_frame(messages)
    for source in raw["source"].unique():
        connection.execute(
            "insert into consents values (%s, 'file', 'here', 'me') on conflict do nothing",
            [source],
        )
    copy_frame(connection, "raw_messages", raw.drop("id"))
    connection.commit()
    return raw


def conversation(count: int = 6, **more: Any) -> list[dict[str, Any]]:
    return [
        {"speaker": "ann" if number % 2 else "bob", "sent_at": at(1, number)} | more
        for number in range(count)
    ]


def places(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Physical place and writer of every row: equal only where nothing was touched."""
    turns = connection.execute("select ctid, xmin, id from cleaned_messages order by id").fetchall()
    query = "select ctid, xmin, raw_id from dropped_messages order by raw_id"
    return turns + connection.execute(query).fetchall()


def embed_all(connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into message_embeddings select id, 'model', content_hash, '[1,0]' "
        "from cleaned_messages"
    )
    connection.commit()


def embedded(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute("select message_id::text from message_embeddings").fetchall()
    return {row[0] for row in rows}


def test_a_rerun_touches_no_row(connection: psycopg.Connection) -> None:
    land(connection, [*conversation(), {"text": " ", "sent_at": at(2)}])
    first = refresh_days(connection, SETTINGS, TODAY)
    before = places(connection)
    embed_all(connection)
    again = refresh_days(connection, SETTINGS, TODAY)
    assert (first.written, again.written) == (7, 0)
    assert places(connection) == before
    assert len(embedded(connection)) == 6


def test_only_what_changed_is_written_and_loses_its_vector(connection: psycopg.Connection) -> None:
    raw = land(connection, conversation())
    refresh_days(connection, SETTINGS, TODAY)
    embed_all(connection)
    connection.execute("update raw_messages set text = 'changed' where id = %s", [raw["id"][1]])
    connection.execute("delete from raw_messages where id = %s", [raw["id"][5]])
    connection.commit()
    assert refresh_days(connection, SETTINGS, TODAY).written == 2
    turns = store.load_turns(connection, TODAY)
    assert turns["id"].to_list() == raw["id"].to_list()[:5]
    assert turns["text"][1] == "changed"
    assert embedded(connection) == set(raw["id"].to_list()[:5])


def test_a_day_whose_messages_are_gone_is_emptied(connection: psycopg.Connection) -> None:
    land(connection, [*conversation(), {"text": "", "sent_at": at(2)}])
    land(connection, conversation(sent_at=at(30), source="mail"))
    refresh_days(connection, SETTINGS, DayRange(DAY, NEXT))
    connection.execute("delete from raw_messages where day = %s", [DAY])
    connection.commit()
    refreshed = refresh_days(connection, SETTINGS, TODAY)
    assert refreshed.days.is_empty()
    assert refreshed.languages.is_empty()
    assert store.load_turns(connection, TODAY).is_empty()
    counts = store.cleaning_counts(connection)
    assert (counts.messages, counts.dropped) == (6, {})


def test_days_without_messages_succeed(connection: psycopg.Connection) -> None:
    refreshed = refresh_days(connection, SETTINGS, DayRange(date(2018, 4, 10), date(2018, 4, 12)))
    assert refreshed.written == 0
    assert refreshed.days.is_empty() and refreshed.dropped.is_empty()
    counts = store.cleaning_counts(connection)
    assert (counts.turns, counts.sessions, counts.languages, counts.dropped) == (0, 0, {}, {})


def test_a_message_that_moves_to_another_day_is_not_lost(connection: psycopg.Connection) -> None:
    """A corrected time zone moves messages; days may then be cleaned in any order."""
    land(connection, conversation())
    refresh_days(connection, SETTINGS, TODAY)
    connection.execute("update raw_messages set day = day + 1")
    connection.commit()
    refresh_days(connection, SETTINGS, DayRange(NEXT, NEXT))
    refresh_days(connection, SETTINGS, TODAY)
    assert store.load_turns(connection, TODAY).is_empty()
    assert store.load_turns(connection, DayRange(NEXT, NEXT)).height == 6


def test_a_failed_write_leaves_the_old_day(connection: psycopg.Connection) -> None:
    land(connection, conversation())
    refresh_days(connection, SETTINGS, TODAY)
    before = places(connection)
    connection.commit()
    turns = store.load_turns(connection, TODAY).with_columns(speaker=pl.lit(None, pl.String))
    with pytest.raises(psycopg.errors.NotNullViolation):
        store.rewrite_days(connection, TODAY, turns, pl.DataFrame())
    assert places(connection) == before


def test_finished_slices_are_committed(connection: psycopg.Connection, database_url: str) -> None:
    """A run killed in its second slice keeps the first: seen from another connection."""
    land(connection, conversation())
    land(connection, conversation(source="mail", sent_at=at(25)))
    seen = []

    def look(part: DayRange, messages: int) -> None:
        with connect(database_url) as other:
            days = other.execute("select distinct day from cleaned_messages order by 1").fetchall()
        seen.append((part.first, part.last, messages, [day for (day,) in days]))

    refresh_days(connection, SETTINGS, DayRange(DAY, NEXT), look, most_messages=1)
    assert seen == [(DAY, DAY, 6, [DAY]), (NEXT, NEXT, 6, [DAY, NEXT])]


def test_turns_of_equal_times_come_back_in_their_order(connection: psycopg.Connection) -> None:
    land(connection, [{"speaker": f"s{place}", "sent_at": at(1)} for place in range(12)])
    refresh_days(connection, SETTINGS, TODAY)
    expected = [f"s{place}" for place in range(12)]
    assert store.load_turns(connection, TODAY)["speaker"].to_list() == expected
    assert store.load_session_turns(connection, TODAY)["speaker"].to_list() == expected


def test_whole_sessions_are_loaded_past_midnight(connection: psycopg.Connection) -> None:
    times = [at(20), at(23.9), at(24.1), at(30)]
    raw = land(connection, [{"sent_at": time} for time in times])
    refresh_days(connection, SETTINGS, DayRange(DAY, NEXT))
    for day, expected in ((DAY, [0, 1, 2]), (NEXT, [1, 2, 3])):
        loaded = store.load_session_turns(connection, DayRange(day, day))
        assert loaded["id"].to_list() == raw["id"].gather(expected).to_list()


def test_loading_gives_back_what_was_cleaned(connection: psycopg.Connection) -> None:
    land(connection, [{"text": 'ครับ "a", {b}\\n\nx', "sent_at": at(1)}, {"sent_at": at(1, 1)}])
    raw = load_messages(connection, TODAY)
    cleaned = refresh.clean(raw, TODAY, SETTINGS.cleaning)
    store.rewrite_days(connection, TODAY, cleaned.turns, cleaned.dropped)
    assert store.load_turns(connection, TODAY).equals(cleaned.turns)
    assert store.load_turns(connection, None).equals(cleaned.turns)


def test_counts_for_the_status(connection: psycopg.Connection) -> None:
    land(
        connection,
        [
            *conversation(4),
            {"sent_at": at(1, 10), "conversation_id": "alone", "text": "สวัสดีครับ"},
            {"sent_at": at(1, 11), "conversation_id": "alone", "text": "meeting พรุ่งนี้"},
            {"sent_at": at(1, 12), "conversation_id": "alone", "text": ""},
        ],
    )
    refresh_days(connection, SETTINGS, TODAY)
    counts = store.cleaning_counts(connection)
    assert counts == store.CleaningCounts(
        messages=6,
        turns=5,
        sessions=2,
        conversations=2,
        one_speaker_conversations=1,
        languages={"en": 4, "th+en": 1},
        dropped={"empty": 1},
    )


def volume(**messages: int) -> pl.DataFrame:
    rows = [(DAY + timedelta(days=int(day[1:])), count, count) for day, count in messages.items()]
    return pl.DataFrame(rows, ["day", "messages", "bytes"], orient="row")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({}, [(0, 4)]),
        ({"d0": 3, "d1": 3, "d2": 3, "d3": 3}, [(0, 2), (3, 4)]),
        ({"d0": 50, "d1": 2, "d2": 2}, [(0, 0), (1, 1), (2, 4)]),
        ({"d-1": 9, "d0": 1, "d1": 1}, [(0, 0), (1, 4)]),
        ({"d4": 50}, [(0, 3), (4, 4)]),
    ],
)
def test_slices_cover_every_day_within_the_limit(
    sizes: dict[str, int], expected: list[tuple[int, int]]
) -> None:
    days = DayRange(DAY, DAY + timedelta(days=4))
    cut = slices(days, volume(**sizes), most_messages=10, most_bytes=10)
    found = [((part.first - DAY).days, (part.last - DAY).days) for part in cut]
    assert found == expected


def test_long_texts_make_short_slices() -> None:
    days = DayRange(DAY, NEXT)
    heavy = volume(d0=5, d1=5).with_columns(messages=1)
    assert len(list(slices(days, heavy, most_messages=10, most_bytes=9))) == 2
