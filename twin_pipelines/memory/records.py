"""What a memory is: the columns every module of the room hands on, and the words for its states."""

from __future__ import annotations

import uuid
from typing import Any

import polars as pl

_TIME = pl.Datetime("us", "UTC")
MEMORIES: dict[str, Any] = {
    "memory_id": pl.String,
    "type": pl.String,
    "kind": pl.String,
    "title": pl.String,
    "content": pl.String,
    "about": pl.String,
    "people": pl.List(pl.String),
    "language": pl.String,
    "importance": pl.Float32,
    "importance_parts": pl.String,  # JSON
    "confidence": pl.Float32,
    "sessions": pl.Int32,
    "day": pl.Date,
    "first_at": _TIME,
    "last_at": _TIME,
    "valid_from": _TIME,
    "valid_until": _TIME,
    "superseded_by": pl.String,
    "happens_on": pl.Date,
    "status": pl.String,
    "status_reason": pl.String,
    "pinned": pl.Boolean,
    "origin": pl.String,
    "source_ref": pl.String,
    "message_ids": pl.List(pl.String),
    "source_ids": pl.List(pl.String),
    "details": pl.String,  # JSON
}
TYPES = ("short_term", "episodic", "emotional", "knowledge", "core", "procedural", "dream")
STATES = ("active", "merged", "archived", "quarantined", "forgotten")


def memory_identity(type: str, about: str, kind: str, key: str) -> str:
    """The identity of a memory: the same for the same type, person, kind and key, for ever.

    `key` is what must not change when the memory is derived again: the normalised first wording of
    a statement, the session of an episode, the row of an imported table.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\x1f".join((type, about, kind, key))))
