"""Made-up chats as turns, and the rows of the database that stand behind them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import psycopg
import pytest

from twin_pipelines.features.turns import TURNS
from twin_pipelines.foundation.database import copy_frame

START = datetime(2018, 5, 1, 12, tzinfo=UTC)
SUBJECT = "sue"
SOURCE_IDS: dict[str, str] = {}  # by raw_messages.id
Said = tuple[str, str] | tuple[str, str, float]  # speaker, text, minutes since the last


def identity(name: str) -> str:
    return str(uuid.UUID(hashlib.md5(name.encode()).hexdigest()))


def turns_of(
    said: Sequence[Said], start: datetime = START, chat: str = "chat", language: str = "en"
) -> pl.DataFrame:
    """One session as turns; a turn comes a minute after the last unless it says otherwise."""
    rows, now, places = [], start, {}
    for number, (speaker, text, *gap) in enumerate(said):
        now += timedelta(minutes=gap[0] if gap else 1)
        place = places[now.date()] = places.get(now.date(), -1) + 1
        name = f"{chat}/{start.isoformat()}/{number}"
        raw = identity(f"made\x1f{name}")
        SOURCE_IDS[raw] = name
        rows.append(
            {
                "id": raw,
                "source": "made",
                "conversation_id": chat,
                "session_id": identity(f"{chat}/{start.isoformat()}"),
                "speaker": speaker,
                "text": text,
                "sent_at": now,
                "ended_at": now,
                "day": now.date(),
                "place": place,
                "language": language,
                "words": len(text.split()),
                "content_hash": hashlib.md5(text.encode()).hexdigest(),
                "raw_ids": [raw],
            }
        )
    return pl.DataFrame(rows, schema=TURNS)


@pytest.fixture
def talk() -> Callable[..., pl.DataFrame]:
    return turns_of


@pytest.fixture
def land() -> Callable[[psycopg.Connection, pl.DataFrame], None]:
    """Puts turns, and the raw messages and the consent behind them, into the database."""

    def put(connection: psycopg.Connection, turns: pl.DataFrame) -> None:
        connection.execute(
            "insert into consents (source, kind, location, granted) "
            "values ('made', 'file', 'made up', 'the authors of this test') on conflict do nothing"
        )
        connection.execute(
            "insert into subjects (speaker, name, chosen_by) values (%s, 'Sue', 'settings') "
            "on conflict do nothing",
            (SUBJECT,),
        )
        raw = turns.select(
            "source",
            pl.col("id").replace_strict(SOURCE_IDS).alias("source_message_id"),
            "conversation_id",
            "speaker",
            "text",
            "sent_at",
            "day",
        )
        copy_frame(connection, "raw_messages", raw)
        copy_frame(connection, "cleaned_messages", turns)
        connection.commit()

    return put
