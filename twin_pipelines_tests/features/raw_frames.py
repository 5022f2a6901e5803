"""Builds raw messages for the tests of this room."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

MIDNIGHT = datetime(2018, 5, 2, tzinfo=UTC)
DAY = date(2018, 5, 2)
RAW_SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "source": pl.String,
    "source_message_id": pl.String,
    "conversation_id": pl.String,
    "speaker": pl.String,
    "text": pl.String,
    "sent_at": pl.Datetime("us", "UTC"),
    "day": pl.Date,
    "reply_to": pl.String,
    "metadata": pl.String,
}


def at(hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
    """A time counted from the first midnight."""
    return MIDNIGHT + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def raw_id(source: str, source_message_id: str) -> str:
    """The identity PostgreSQL generates."""
    name = f"{source}\x1f{source_message_id}".encode()
    return str(uuid.UUID(hashlib.md5(name, usedforsecurity=False).hexdigest()))


def raw_frame(messages: Iterable[Mapping[str, Any]], zone: ZoneInfo | None = None) -> pl.DataFrame:
    """Raw messages as `sources.store.load_messages` gives them; what is not said is made up."""
    rows = []
    for number, message in enumerate(messages):
        row = {
            "source": "chat",
            "source_message_id": f"m/{number}",
            "conversation_id": "c",
            "speaker": "ann",
            "text": f"message {number}",
            "sent_at": at(minutes=number),
            "reply_to": None,
            "metadata": None,
        } | dict(message)
        row["id"] = raw_id(row["source"], row["source_message_id"])
        row["day"] = row["sent_at"].astimezone(zone or UTC).date()
        rows.append(row)
    return pl.DataFrame(rows, schema=RAW_SCHEMA)
