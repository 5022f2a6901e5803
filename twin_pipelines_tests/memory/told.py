"""Statements as extraction leaves them, for tests of what is made of them."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.persona.statements.find import content_words

BEGAN = datetime(2018, 5, 1, 12, tzinfo=UTC)


def message_id(name: str) -> str:
    """raw_messages.id of a message that `with_messages` writes."""
    return str(uuid.UUID(hashlib.md5(f"made\x1f{name}".encode()).hexdigest()))


def said(
    content: str, day: int = 0, *, kind: str = "Likes", about: str = "sue", **changed: Any
) -> dict[str, Any]:
    """A statement (MEMORIES) somebody made on a day of their history, in a session of its own."""
    moment = BEGAN + timedelta(days=day)
    bare = content.lower().replace("'", "").strip("!. ")
    name = f"{about}/{day}/{content}"
    row: dict[str, Any] = {
        **dict.fromkeys(MEMORIES),
        "memory_id": memory_identity("episodic", about, kind, name),
        "type": "episodic",
        "kind": kind,
        "title": kind,
        "content": content,
        "about": about,
        "people": sorted({about, "bob"}),
        "language": "th" if any("\u0e00" <= letter <= "\u0e7f" for letter in content) else "en",
        "importance": 0.4,
        "importance_parts": json.dumps({"emotion": 0.2, "self_reference": 0.5, "repetition": 0}),
        "confidence": 0.8,
        "sessions": 1,
        "day": moment.date(),
        "first_at": moment,
        "last_at": moment,
        "status": "active",
        "status_reason": "",
        "pinned": False,
        "origin": "extracted",
        "message_ids": [message_id(name)],
        "source_ids": [],
        "details": json.dumps(
            {"bare": bare, "gist": content_words(bare), "session_id": f"session {day}"}
        ),
    }
    return row | changed


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=MEMORIES)


def write_told(connection: psycopg.Connection, *rows: dict[str, Any]) -> None:
    """Write memories and the messages they rest on."""
    connection.execute(
        "insert into consents (source, kind, location, granted) values ('made', 'file', '', '') "
        "on conflict do nothing"
    )
    copy_frame(connection, "memories", frame(*rows))
    connection.execute(
        """
        insert into raw_messages
            (source, source_message_id, conversation_id, speaker, text, sent_at, day)
        select 'made', about || '/' || (day - date '2018-05-01') || '/' || content, 'chat', about,
            content, first_at, day
        from memories where day is not null on conflict do nothing
        """
    )
    connection.commit()
