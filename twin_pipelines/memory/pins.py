"""What the owner decides about single memories: which stay whatever happens."""

from __future__ import annotations

from typing import Any

import psycopg

from twin_pipelines.memory import ledger, store
from twin_pipelines.settings import TwinError

LEAST_DIGITS = 4
_SHOWN = 60  # characters of a memory in a message


def memory_by(connection: psycopg.Connection, reference: str) -> dict[str, Any]:
    """The memory (`records.MEMORIES`) with this id or the only one whose id begins so.

    Raises TwinError when there is none or several.
    """
    wanted = reference.strip().lower()
    if len(wanted) < LEAST_DIGITS:
        raise TwinError(
            f"{reference!r} is no memory's id; give its first {LEAST_DIGITS} digits or more, as "
            "`twin memory list` shows them."
        )
    found = store.matching_memories(connection, wanted, 2)
    if found.is_empty():
        raise TwinError(
            f"There is no memory {reference}; `twin memory list` and `twin memory search` show ids."
        )
    if found.height > 1:
        raise TwinError(f"Several memories' ids begin with {reference}; give more digits.")
    return found.row(0, named=True)


def pin(connection: psycopg.Connection, reference: str) -> dict[str, Any]:
    """Keep a memory whatever happens, and recall it again if it was archived; the caller commits.

    Returns it as it is then. Raises TwinError for one that is part of another, suspicious or
    forgotten.
    """
    memory = memory_by(connection, reference)
    if memory["status"] in ("merged", "quarantined", "forgotten"):
        why = memory["status_reason"] or "no reason is known"
        raise TwinError(
            f"Memory {memory['memory_id'][:8]} is {memory['status']} ({why}) and is not recalled, "
            "pinned or not; `twin memory why` tells more."
        )
    return _set(connection, memory, pinned=True)


def unpin(connection: psycopg.Connection, reference: str) -> dict[str, Any]:
    """Let a memory fade like any other again; the caller commits. Returns it as it is then."""
    return _set(connection, memory_by(connection, reference), pinned=False)


def _set(connection: psycopg.Connection, memory: dict[str, Any], *, pinned: bool) -> dict[str, Any]:
    did = "pinned" if pinned else "unpinned"
    with ledger.run(connection, "owner", f"{did} “{memory['content'][:_SHOWN]}”"):
        store.set_pinned(connection, memory["memory_id"], pinned)
    return memory_by(connection, memory["memory_id"])
