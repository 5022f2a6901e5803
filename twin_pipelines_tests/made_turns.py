"""Made-up turns of a subject called Sue and of a partner called bob."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from twin_pipelines.features.turns import TURNS

SOURCE_IDS: dict[str, str] = {}  # by raw_messages.id


def turns_of(sessions: Sequence[Sequence[tuple[str, str]]]) -> pl.DataFrame:
    """Each session on its own day, a turn a minute."""
    rows = []
    for number, session in enumerate(sessions):
        for place, (speaker, text) in enumerate(session):
            said = datetime(2018, 5, 1, 12, place, tzinfo=UTC) + timedelta(days=number)
            name = f"{number}/{place}"
            raw = str(uuid.UUID(hashlib.md5(f"made\x1f{name}".encode()).hexdigest()))
            SOURCE_IDS[raw] = name
            rows.append(
                {
                    "id": raw,
                    "source": "made",
                    "conversation_id": "chat",
                    "session_id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
                    "speaker": speaker,
                    "text": text,
                    "sent_at": said,
                    "ended_at": said + timedelta(seconds=5),
                    "day": said.date(),
                    "place": place,
                    "language": "en",
                    "words": len(text.split()),
                    "content_hash": hashlib.md5(text.encode()).hexdigest(),
                    "raw_ids": [raw],
                }
            )
    return pl.DataFrame(rows, schema=TURNS)


@pytest.fixture
def sessions() -> Callable[..., pl.DataFrame]:
    return turns_of


@pytest.fixture
def source_ids() -> dict[str, str]:
    return SOURCE_IDS
