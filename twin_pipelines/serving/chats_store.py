"""The only SQL by which the server keeps chats (`chats`, `chat_turns`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from twin_pipelines.generation.prompt import Message

Role = Literal["user", "assistant"]


@dataclass(frozen=True)
class Chat:
    """A chat that is kept; `turns` is how many it holds, `silent` whether it is out of mind."""

    chat_id: UUID
    consented: bool
    partner: str
    summary: str
    summarised: int
    started_at: datetime
    last_at: datetime
    turns: int
    silent: bool


@dataclass(frozen=True)
class Turn:
    """A turn of a chat that is kept. `thumb` is 1, -1 or None."""

    place: int
    role: Role
    content: str
    said_at: datetime
    backend: str
    release: str
    thumb: int | None


@dataclass(frozen=True)
class NewTurn:
    """A turn that is to be kept; what follows the text is of the twin's own answers only."""

    role: str
    content: str
    backend: str = ""
    release: str = ""
    adapter_id: str | None = None
    prompt: Sequence[Message] | None = None
    memory_ids: Sequence[str] = ()


_CHAT = """
    select chat_id, consented, partner, summary, summarised, started_at, last_at,
           (select count(*) from chat_turns as t where t.chat_id = c.chat_id) as turns,
           last_at < clock_timestamp() - %(hours)s * interval '1 hour' as silent
    from chats as c
"""


def chat(
    connection: psycopg.Connection, chat_id: UUID, hours: float, *, lock: bool = False
) -> Chat | None:
    """One chat; None when it is not kept. `hours` without a word make it silent."""
    with connection.cursor(row_factory=class_row(Chat)) as cursor:
        cursor.execute(
            f"{_CHAT} where chat_id = %(chat)s {'for update' if lock else ''}",
            {"chat": chat_id, "hours": hours},
        )
        return cursor.fetchone()


def chats(connection: psycopg.Connection, hours: float, most: int) -> list[Chat]:
    """The chats that are kept, the one last spoken in first."""
    with connection.cursor(row_factory=class_row(Chat)) as cursor:
        cursor.execute(
            f"{_CHAT} order by last_at desc, chat_id limit %(most)s", {"hours": hours, "most": most}
        )
        return cursor.fetchall()


def turns(connection: psycopg.Connection, chat_id: UUID, first: int = 0) -> list[Turn]:
    """The turns of a chat from the place `first` on, in order."""
    with connection.cursor(row_factory=class_row(Turn)) as cursor:
        cursor.execute(
            "select place, role, content, said_at, backend, release, thumb from chat_turns "
            "where chat_id = %s and place >= %s order by place",
            (chat_id, first),
        )
        return cursor.fetchall()


def begin(connection: psycopg.Connection, chat_id: UUID, consented: bool, partner: str) -> None:
    """Keep a chat from now on; one that is kept stays as it is."""
    connection.execute(
        "insert into chats (chat_id, consented, partner) values (%s, %s, %s) "
        "on conflict do nothing",
        (chat_id, consented, partner),
    )


def consent(connection: psycopg.Connection, chat_id: UUID, consented: bool) -> bool:
    """Note whether what is said may be kept for good; False when there is no such chat."""
    found = connection.execute(
        "update chats set consented = %s where chat_id = %s", (consented, chat_id)
    )
    return found.rowcount == 1


def add_turns(
    connection: psycopg.Connection, chat_id: UUID, first: int, said: Sequence[NewTurn]
) -> None:
    """Let the chat go on with these turns from the place `first` on; what stood there goes."""
    connection.execute(
        "delete from chat_turns where chat_id = %s and place >= %s", (chat_id, first)
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into chat_turns (chat_id, place, role, content, backend, release, adapter_id, "
            "prompt, memory_ids) values (%s, %s, %s, %s, %s, %s, %s, %s, %s::uuid[])",
            [
                (
                    chat_id,
                    place,
                    turn.role,
                    turn.content,
                    turn.backend,
                    turn.release,
                    turn.adapter_id,
                    None if turn.prompt is None else Jsonb(list(turn.prompt)),
                    list(turn.memory_ids),
                )
                for place, turn in enumerate(said, first)
            ],
        )
    connection.execute(
        "update chats set last_at = clock_timestamp(), "
        "summary = case when summarised > %(first)s then '' else summary end, "
        "summarised = case when summarised > %(first)s then 0 else summarised end "
        "where chat_id = %(chat)s",
        {"chat": chat_id, "first": first},
    )


def save_summary(
    connection: psycopg.Connection, chat_id: UUID, before: int, summary: str, summarised: int
) -> None:
    """Keep a summary of the first `summarised` turns, where still `before` of them were summed up.

    Nothing changes when the chat went, was cut, or was summed up by another meanwhile.
    """
    connection.execute(
        "update chats set summary = %s, summarised = %s where chat_id = %s and summarised = %s "
        "and (select count(*) from chat_turns as t where t.chat_id = chats.chat_id) >= %s",
        (summary, summarised, chat_id, before, summarised),
    )


def forget(connection: psycopg.Connection, chat_id: UUID) -> bool:
    """Delete a chat with its turns; False when there is none."""
    return connection.execute("delete from chats where chat_id = %s", (chat_id,)).rowcount == 1


def forget_silent(connection: psycopg.Connection, hours: float) -> int:
    """Delete chats out of mind that nobody consented to keep; returns their number."""
    return connection.execute(
        "delete from chats where not consented "
        "and last_at < clock_timestamp() - %s * interval '1 hour'",
        (hours,),
    ).rowcount
