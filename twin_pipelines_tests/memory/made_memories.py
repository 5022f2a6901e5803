"""Made-up memories for tests that need no messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import polars as pl

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory.records import MEMORIES, memory_identity

BEGAN = datetime(2018, 5, 1, 12, tzinfo=UTC)


def statement(kind: str, text: str, day: int = 0, **other: object) -> dict[str, object]:
    """A memory of something sue said on a day, in a session of its own."""
    bare = pl.select(normal_text(pl.lit(text))).item()
    at = BEGAN + timedelta(days=day)
    message = memory_identity("message", "sue", kind, f"{text}{day}")
    return {
        "memory_id": memory_identity("episodic", "sue", kind, f"{text}{day}"),
        "type": "episodic",
        "kind": kind,
        "title": kind,
        "content": text,
        "about": "sue",
        "people": ["sue"],
        "language": "en",
        "importance": 0.6,
        "importance_parts": "{}",
        "confidence": 0.9,
        "sessions": 1,
        "day": at.date(),
        "first_at": at,
        "last_at": at,
        "status": "active",
        "status_reason": "",
        "pinned": False,
        "origin": "extracted",
        "message_ids": [message],
        "source_ids": [],
        "details": json.dumps({"bare": bare, "session_id": f"session {day} {text}"}),
        **other,
    }


def memories(*rows: dict[str, object]) -> pl.DataFrame:
    """Rows as MEMORIES."""
    return pl.DataFrame(rows, schema=MEMORIES)
