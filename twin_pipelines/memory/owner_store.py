"""The SQL of what the owner decides about single memories: `forgotten`, and rows of `memories`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.memory.records import MEMORIES

_COLUMNS = ", ".join(MEMORIES)
FORGOTTEN_REASON = "forgotten by the owner"


def sayings_of(connection: psycopg.Connection, memory_id: str) -> pl.DataFrame:
    """A memory and those that may say the same (MEMORIES), with `linked`.

    Linked are the memory itself, those it is made of or part of, whatever else these are made of,
    and those about the same person in the same words; the others share a message with one of them,
    or are dreams of them. Those that are forgotten already are left out, but the memory itself.
    """
    return fetch_frame(
        connection,
        f"""
        with recursive linked as (
            select memory_id, source_ids from memories where memory_id = %(memory)s
            union
            select other.memory_id, other.source_ids
            from linked join memories as other
              on other.memory_id = any(linked.source_ids)
              or other.source_ids @> array[linked.memory_id] and not other.imagined
        ), alike as (
            select other.memory_id from memories as one join memories as other
              on other.about = one.about and other.type = one.type
             and spoken_words(other.content) = spoken_words(one.content)
            where one.memory_id = %(memory)s and spoken_words(one.content) <> ''
        ), whole as (
            select memory_id from linked union select memory_id from alike
        ), told as (
            select coalesce(array_agg(distinct message.id), '{{}}') as ids
            from memories join whole using (memory_id), unnest(message_ids) as message (id)
        )
        select {_COLUMNS}, exists (select from whole where whole.memory_id = memories.memory_id)
            as linked
        from memories, told
        where memory_id = %(memory)s or status <> 'forgotten' and (
            memory_id in (select memory_id from whole) or message_ids && told.ids
            or source_ids && array(select memory_id from whole))
        order by memory_id
        """,
        {"memory": memory_id},
        schema={**MEMORIES, "linked": pl.Boolean},
    )


def memories_of_messages(connection: psycopg.Connection, messages: Sequence[str]) -> pl.DataFrame:
    """Memories (MEMORIES) that rest on one of the messages and are not forgotten."""
    return fetch_frame(
        connection,
        f"select {_COLUMNS} from memories where message_ids && %s::uuid[] "
        "and status <> 'forgotten' order by memory_id",
        (list(messages),),
        schema=MEMORIES,
    )


def turn_of(connection: psycopg.Connection, message_id: str) -> tuple[str, list[str], str] | None:
    """The turn a message stands in: its id, the messages in it, its text; None without one."""
    row = connection.execute(
        """
        select turn.id::text, turn.raw_ids::text[], turn.text
        from raw_messages as raw join cleaned_messages as turn
          on turn.day = raw.day and turn.raw_ids @> array[raw.id]
        where raw.id = %s
        """,
        [message_id],
    ).fetchone()
    return row


def texts_of(connection: psycopg.Connection, message_ids: Sequence[str]) -> dict[str, str]:
    """Text by message, of raw messages."""
    rows = connection.execute(
        "select id::text, text from raw_messages where id = any(%s::uuid[]) order by id",
        [list(message_ids)],
    )
    return dict(rows.fetchall())


def repeated(connection: psycopg.Connection, message_ids: Sequence[str]) -> list[str]:
    """Messages that say exactly what one of these says, these among them."""
    rows = connection.execute(
        """
        select other.id::text from raw_messages as other
        where other.text in (select text from raw_messages where id = any(%s::uuid[]))
        order by other.id
        """,
        [list(message_ids)],
    )
    return [message for (message,) in rows.fetchall()]


def write_forgotten(
    connection: psycopg.Connection,
    run_id: int | None,
    memories: pl.DataFrame,
    hidden: Sequence[str],
    words: str,
) -> None:
    """Forget memories (MEMORIES) and hide messages, which say `words`; found no more at once.

    Memories leave the search as they cease to be active.
    """
    ids = memories["memory_id"].to_list()
    connection.execute(
        """
        insert into forgotten (run_id, memory_id, message_ids, words)
        select %(run)s, memory_id, message_ids, spoken_words(content) from memories
        where memory_id = any(%(ids)s::uuid[]) order by memory_id
        """,
        {"run": run_id, "ids": ids},
    )
    if hidden:
        connection.execute(
            "insert into forgotten (run_id, message_ids, hidden_ids, words) "
            "values (%(run)s, %(hidden)s::uuid[], %(hidden)s::uuid[], spoken_words(%(words)s))",
            {"run": run_id, "hidden": list(hidden), "words": words},
        )
    connection.execute(
        "update memories set status = 'forgotten', status_reason = %s, pinned = false "
        "where memory_id = any(%s::uuid[])",
        (FORGOTTEN_REASON, ids),
    )
    if hidden:
        connection.execute("select from search_state for update")  # as whoever writes entries does
        connection.execute(
            "delete from search_entries where message_id in (select id from forgotten_turns)"
        )


def run_that_forgot(connection: psycopg.Connection, memory_id: str) -> int | None:
    """The latest run that forgot this memory and stands."""
    row = connection.execute(
        "select max(run_id) from forgetting_in_force where memory_id = %s", [memory_id]
    ).fetchone()
    return row[0] if row else None


def who_hid(connection: psycopg.Connection, message_id: str) -> list[int | None]:
    """Runs that hid a message and stand, the latest first; None where there was no run."""
    rows = connection.execute(
        "select distinct run_id from forgetting_in_force where hidden_ids @> array[%s::uuid] "
        "order by run_id desc nulls first",
        [message_id],
    )
    return [run for (run,) in rows.fetchall()]


def unhide(connection: psycopg.Connection, message_id: str) -> int:
    """Find messages again that were hidden with this one and without a run; returns how many."""
    rows = connection.execute(
        "delete from forgotten where run_id is null and hidden_ids @> array[%s::uuid] "
        "returning cardinality(hidden_ids)",
        [message_id],
    )
    return sum(count for (count,) in rows.fetchall())


def add_memory(connection: psycopg.Connection, memory: pl.DataFrame) -> None:
    """Insert a memory (MEMORIES), or write over the one of its identity."""
    connection.execute(
        "create temporary table if not exists incoming_memories (like memories) "
        "on commit delete rows"
    )
    connection.execute("truncate incoming_memories")
    copy_frame(connection, "incoming_memories", memory)
    changed = ", ".join(f"{name} = excluded.{name}" for name in MEMORIES if name != "memory_id")
    connection.execute(
        f"insert into memories ({_COLUMNS}) select {_COLUMNS} from incoming_memories "
        f"on conflict (memory_id) do update set {changed}"
    )


def release(connection: psycopg.Connection, memory_id: str, reason: str) -> None:
    """Take a memory out of quarantine for good."""
    connection.execute(
        "update memories set status = 'active', status_reason = %s where memory_id = %s",
        (reason, memory_id),
    )


def forgotten_words(connection: psycopg.Connection) -> list[str]:
    """What is forgotten at present, as `spoken_words` gives it."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "select distinct words from forgetting_in_force where words <> '' order by words"
    ).fetchall()
    return [words for (words,) in rows]
