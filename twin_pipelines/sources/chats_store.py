"""The SQL by which turns of chats become messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame, fetch_frame

TURNS: dict[str, Any] = {
    "chat_id": pl.String,
    "place": pl.Int32,
    "role": pl.String,
    "content": pl.String,
    "said_at": pl.Datetime("us", "UTC"),
    "partner": pl.String,
    "backend": pl.String,
    "release": pl.String,
}


def anything_to_land(connection: psycopg.Connection) -> bool:
    """Whether something was said with consent that was not landed yet."""
    row = connection.execute(
        "select exists (select from chat_turns where not landed and consented)"
    ).fetchone()
    return bool(row and row[0])


def turns_to_land(connection: psycopg.Connection) -> pl.DataFrame:
    """Turns (TURNS) said with consent and not landed yet, by chat and place."""
    return fetch_frame(
        connection,
        """
        select chat_id, place, role, content, said_at, partner, backend, release
        from chat_turns join chats using (chat_id)
        where not landed and chat_turns.consented order by chat_id, place
        """,
        schema=TURNS,
    )


def mark_landed(connection: psycopg.Connection, turns: pl.DataFrame) -> None:
    """Note that these turns (`chat_id`, `place`) were landed."""
    connection.execute(
        "create temporary table if not exists incoming_turns (chat_id uuid, place int) "
        "on commit delete rows"
    )
    connection.execute("truncate incoming_turns")
    copy_frame(connection, "incoming_turns", turns.select("chat_id", "place"))
    connection.execute(
        "update chat_turns as turn set landed = true from incoming_turns as known "
        "where (turn.chat_id, turn.place) = (known.chat_id, known.place)"
    )


def drop_cut_turns(
    connection: psycopg.Connection, source: str, chat_ids: Sequence[str]
) -> list[date]:
    """Delete messages of these chats whose turns are no more, as where one began anew; their
    days."""
    rows = connection.execute(
        """
        with gone as (
            delete from raw_messages as message
            where source = %s and conversation_id = any(%s) and not exists (
                select from chat_turns as turn
                where turn.chat_id::text = message.conversation_id
                  and message.source_message_id = format('%%s/%%s', turn.chat_id, turn.place))
            returning day
        )
        select distinct day from gone order by day
        """,
        (source, list(chat_ids)),
    )
    return [day for (day,) in rows.fetchall()]


def withdraw(connection: psycopg.Connection, source: str, chat_id: str) -> list[date]:
    """Delete a chat's messages and withdraw the consent of its turns; returns the days."""
    connection.execute(
        "update chat_turns set consented = false, landed = false where chat_id = %s", [chat_id]
    )
    rows = connection.execute(
        """
        with gone as (
            delete from raw_messages where source = %s and conversation_id = %s returning day
        )
        select distinct day from gone order by day
        """,
        (source, chat_id),
    )
    return [day for (day,) in rows.fetchall()]
