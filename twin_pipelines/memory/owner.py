"""What the owner decides about single memories besides pinning: forget, correct, let out again.

To forget is no deletion: nothing that says it is recalled again, however often the history is
extracted and consolidated anew, until the owner takes that back (`remember`, or `twin memory undo`
with the run). Erasing somebody's words from the history is another thing.

What else says the same is found by its evidence: the memories it is made of or part of go with it,
and so does whatever rests on the same messages and holds SAYS_IT of its content words, such as the
session's episode. Of the messages those are hidden that hold SAYS_IT of them, and those that repeat
them exactly.
Said anew later, in a new message, it is a new memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.features.language import detect_languages
from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory import ledger, owner_store
from twin_pipelines.memory.consolidation.conflicts import root
from twin_pipelines.memory.pins import memory_by
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.memory.store import load_memories
from twin_pipelines.persona.statements.find import content_words
from twin_pipelines.persona.statements.suspicion import suspicion
from twin_pipelines.settings import TwinError

SAYS_IT = 0.75  # share of the content words
FEW = 6  # messages of a memory in other words than theirs that are all hidden
RELEASED = "let out of quarantine by the owner"
CORRECTED_IMPORTANCE = 0.7  # at least
_SHOWN = 60  # characters of a memory in a message


@dataclass(frozen=True)
class Forgot:
    """What is no longer recalled: memories, and messages whose turns are not found."""

    run_id: int | None  # None: no memory said it, only messages were hidden
    memory_ids: list[str] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Corrected:
    """The owner's memory in place of one that was wrong."""

    memory: dict[str, Any]  # MEMORIES
    replaced: str
    run_id: int


def forget(connection: psycopg.Connection, reference: str) -> Forgot:
    """Never recall a memory again, nor what says the same; the caller commits.

    `reference` is its id or the first digits of it. Raises TwinError when there is no such memory,
    or it is forgotten already.
    """
    memory = _not_forgotten(memory_by(connection, reference))
    with ledger.run(connection, "owner", f"forgot “{memory['content'][:_SHOWN]}”") as run:
        return _forget(connection, run.run_id, memory)


def forget_message(connection: psycopg.Connection, message_id: str) -> Forgot:
    """Never find a message's turn again, nor recall what was remembered of it alone; the caller
    commits. Raises TwinError when it stands in no turn, or is hidden already."""
    turn = owner_store.turn_of(connection, _uuid(message_id))
    if turn is None:
        raise TwinError(f"There is no message {message_id} in the history; nothing was forgotten.")
    _, raw_ids, text = turn
    if owner_store.who_hid(connection, raw_ids[0]):
        raise TwinError(f"The message {message_id} is forgotten already.")
    hidden = owner_store.repeated(connection, raw_ids)
    resting = owner_store.memories_of_messages(connection, hidden)
    said = content_words(_normal([text])[0])
    going = resting.filter(
        [_says(text, content) or _says(content, text) for content in resting["content"].to_list()]
        if said
        else resting["message_ids"].list.len() == 1
    )
    if going.is_empty():
        with connection.transaction():
            owner_store.write_forgotten(connection, None, going, hidden, text)
        return Forgot(None, [], hidden)
    with ledger.run(connection, "owner", f"forgot what “{text[:_SHOWN]}” says") as run:
        owner_store.write_forgotten(connection, run.run_id, going, hidden, text)
    return Forgot(run.run_id, going["memory_id"].to_list(), hidden)


def remember(connection: psycopg.Connection, reference: str) -> ledger.Undone:
    """Take back that a memory was forgotten or corrected; the caller commits.

    Raises TwinError when it is not forgotten, or something later stands in the way.
    """
    memory = memory_by(connection, reference)
    run_id = owner_store.run_that_forgot(connection, memory["memory_id"])
    if run_id is None:
        raise TwinError(f"Memory {memory['memory_id'][:8]} is not forgotten; nothing was changed.")
    return ledger.undo(connection, run_id)


def remember_message(connection: psycopg.Connection, message_id: str) -> int:
    """Find a message again; the caller commits. Returns how many are found again.

    Raises TwinError when it is not hidden.
    """
    runs = owner_store.who_hid(connection, _uuid(message_id))
    if not runs:
        raise TwinError(f"The message {message_id} is not forgotten; nothing was changed.")
    found = owner_store.unhide(connection, message_id)
    for run_id in runs:
        if run_id is not None:
            found += ledger.undo(connection, run_id).restored
    return found


def correct(connection: psycopg.Connection, reference: str, text: str) -> Corrected:
    """Put the owner's words in place of a memory, which is forgotten; the caller commits.

    The new one is pinned. Raises TwinError when there is no such memory, it is forgotten already,
    or the words are empty or read like an instruction to a model.
    """
    memory = _not_forgotten(memory_by(connection, reference))
    said = " ".join(text.split())
    if not said or said == memory["content"]:
        raise TwinError("A correction needs other words than the memory has; write what is true.")
    if why := suspicion(said):
        raise TwinError(
            f"These words would never be put into a prompt ({why}); say it in other words."
        )
    new = _owners(memory, said)
    with ledger.run(connection, "owner", f"corrected “{memory['content'][:_SHOWN]}”") as run:
        _forget(connection, run.run_id, memory)
        owner_store.add_memory(connection, new)
    made = memory_by(connection, new["memory_id"][0])
    return Corrected(made, memory["memory_id"], run.run_id)


def quarantined(connection: psycopg.Connection) -> pl.DataFrame:
    """What waits for the owner's eye (MEMORIES), latest first; the reason is its status's."""
    found = load_memories(connection, states=["quarantined"])
    return found.sort("last_at", "memory_id", descending=[True, False])


def release(connection: psycopg.Connection, reference: str) -> dict[str, Any]:
    """Let a memory out of quarantine for good; the caller commits. Returns it as it is then.

    What reads like an instruction stays out of every prompt all the same. Raises TwinError when it
    is not in quarantine.
    """
    memory = memory_by(connection, reference)
    if memory["status"] != "quarantined":
        raise TwinError(
            f"Memory {memory['memory_id'][:8]} is not in quarantine; it is {memory['status']}."
        )
    with ledger.run(connection, "owner", f"let out “{memory['content'][:_SHOWN]}”"):
        owner_store.release(connection, memory["memory_id"], RELEASED)
    return memory_by(connection, memory["memory_id"])


def _forget(connection: psycopg.Connection, run_id: int, memory: dict[str, Any]) -> Forgot:
    near = owner_store.sayings_of(connection, memory["memory_id"])
    says = [_says(memory["content"], content) for content in near["content"].to_list()]
    going = near.filter(pl.col("linked") | pl.Series(says, dtype=pl.Boolean))
    hidden = _hidden(connection, memory, going)
    owner_store.write_forgotten(connection, run_id, going, hidden, memory["content"])
    return Forgot(run_id, going["memory_id"].to_list(), hidden)


def _hidden(
    connection: psycopg.Connection, memory: dict[str, Any], going: pl.DataFrame
) -> list[str]:
    """The messages that say what is forgotten; of a memory in other words, its few messages."""
    linked = going.filter(pl.col("linked"))["message_ids"]
    texts = owner_store.texts_of(connection, sorted(set(linked.explode().drop_nulls().to_list())))
    saying = [message for message, text in texts.items() if _says(memory["content"], text)]
    if not saying and len(memory["message_ids"]) <= FEW:
        saying = list(memory["message_ids"])
    return owner_store.repeated(connection, saying) if saying else []


def _says(words: str, text: str) -> bool:
    """Whether a text holds so many of the content words that it says the same."""
    first, second = _normal([words, text])
    wanted = {root(word) for word in content_words(first)}
    if not wanted:
        return bool(first) and first in second
    held = {root(word) for word in content_words(second)}
    return len(wanted & held) >= SAYS_IT * len(wanted)


def _owners(memory: dict[str, Any], said: str) -> pl.DataFrame:
    """The owner's words as a memory in place of another."""
    now = datetime.now(UTC)
    key = f"owner/{_normal([said])[0] or said}"
    row = {
        **memory,
        "memory_id": memory_identity(memory["type"], memory["about"], memory["kind"], key),
        "content": said,
        "language": detect_languages(pl.Series([said]))[0],
        "importance": max(memory["importance"], CORRECTED_IMPORTANCE),
        "importance_parts": "{}",
        "confidence": 1.0,
        "sessions": 1,
        "day": None,
        "first_at": now,
        "last_at": now,
        "valid_from": None,
        "valid_until": None,
        "superseded_by": None,
        "status": "active",
        "status_reason": "",
        "pinned": True,
        "origin": "owner",
        "source_ref": None,
        "message_ids": [],
        "source_ids": [],
        "details": "{}",
    }
    return pl.DataFrame([row], schema=MEMORIES)


def _normal(texts: Sequence[str]) -> list[str]:
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String})
    return frame.select(normal_text(pl.col("text"))).to_series().to_list()


def _not_forgotten(memory: dict[str, Any]) -> dict[str, Any]:
    if memory["status"] == "forgotten":
        raise TwinError(f"Memory {memory['memory_id'][:8]} is forgotten already.")
    return memory


def _uuid(message_id: str) -> str:
    from uuid import UUID

    try:
        return str(UUID(message_id))
    except ValueError as error:
        raise TwinError(f"{message_id!r} is no message's id; nothing was changed.") from error
