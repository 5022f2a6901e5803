"""The SQL of the owner's opinion about answers (`chat_turns`)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg


@dataclass(frozen=True)
class Said:
    """An answer that is kept. `prompt` is what it was asked with, the user's message last."""

    content: str
    prompt: list[dict[str, str]]
    adapter_id: str | None


def answer_at(connection: psycopg.Connection, chat_id: UUID, place: int) -> Said | None:
    """The twin's answer at a place of a chat; None when there is none.

    Without its prompt it is taken to answer the turns before it.
    """
    row = connection.execute(
        """
        select content, coalesce(prompt, (
                   select coalesce(jsonb_agg(jsonb_build_object(
                              'role', before.role, 'content', before.content
                          ) order by before.place), '[]')
                   from chat_turns as before
                   where before.chat_id = turn.chat_id and before.place < turn.place)), adapter_id
        from chat_turns as turn where chat_id = %s and place = %s and role = 'assistant'
        """,
        (chat_id, place),
    ).fetchone()
    return Said(*row) if row else None


def set_thumb(connection: psycopg.Connection, chat_id: UUID, place: int, thumb: int | None) -> bool:
    """Keep the owner's opinion of an answer; False when there is no such answer."""
    changed = connection.execute(
        "update chat_turns set thumb = %s where chat_id = %s and place = %s and role = 'assistant'",
        (thumb, chat_id, place),
    )
    return changed.rowcount == 1
