"""The only SQL over `corrections` and `preference_pairs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.instruct.preferences import THUMBS, Correction
from twin_pipelines.settings import TwinError


def add_correction(
    connection: psycopg.Connection,
    *,
    prompt: Sequence[dict[str, str]],
    rejected: str,
    chosen: str,
    made_by: str,
    adapter_id: str | None = None,
) -> str:
    """Record what the twin should have said instead; returns the correction's id.

    `prompt` is the conversation as the twin saw it, chat messages that end with the user. The
    caller commits. Raises TwinError when nothing is corrected.
    """
    if not rejected.strip() or not chosen.strip() or rejected.strip() == chosen.strip():
        raise TwinError(
            "A correction needs the twin's answer and another one in its place; write what the "
            "twin should have said."
        )
    if not prompt or prompt[-1]["role"] != "user":
        raise TwinError(
            "A correction needs the conversation up to the message that was answered; send it "
            "with the user's message last."
        )
    row = connection.execute(
        "insert into corrections (prompt, rejected, chosen, made_by, adapter_id) "
        "values (%s, %s, %s, %s, %s) returning id::text",
        (Jsonb(list(prompt)), rejected.strip(), chosen.strip(), made_by, adapter_id),
    ).fetchone()
    assert row, "an insert returns its row"
    return row[0]


def corrections(connection: psycopg.Connection) -> list[Correction]:
    """Every correction, the oldest first."""
    rows = connection.execute(
        "select id::text, prompt, rejected, chosen from corrections order by made_at, id"
    ).fetchall()
    return [Correction(*row) for row in rows]


def judged_answers(connection: psycopg.Connection) -> list[Correction]:
    """Answers the owner disliked, each with the one they liked to the same message instead.

    Both were said in chats with consent. The identity is that of the two turns,
    `chat/place>chat/place`, the liked one first; the prompt is that of the one said first.
    """
    rows = connection.execute(
        """
        select distinct on (bad.chat_id, bad.place)
            format('%s/%s>%s/%s', good.chat_id, good.place, bad.chat_id, bad.place),
            case when good.said_at < bad.said_at then good.prompt else bad.prompt end,
            bad.content, good.content
        from chat_turns as bad
        join chat_turns as good
            on spoken_words(good.prompt -> -1 ->> 'content')
             = spoken_words(bad.prompt -> -1 ->> 'content')
        where bad.thumb = -1 and good.thumb = 1 and bad.consented and good.consented
            and bad.role = 'assistant' and good.role = 'assistant'
            and spoken_words(bad.prompt -> -1 ->> 'content') <> ''
            and spoken_words(good.content) <> spoken_words(bad.content)
        order by bad.chat_id, bad.place, good.said_at desc
        """
    ).fetchall()
    return [Correction(*row) for row in rows]


def save_preferences(
    connection: psycopg.Connection, version: str, rows: Sequence[dict[str, Any]]
) -> None:
    """Make `rows` (`preferences.preference_rows`) all that is known of a dataset's preferences."""
    by_hand = pl.col("kind") == "correction"
    judged = pl.col("kind") == THUMBS
    turns = pl.when(judged).then("id").str.split_exact(">", 1)
    liked, disliked = (turns.struct[side].str.split_exact("/", 1) for side in (0, 1))
    frame = pl.DataFrame(
        [(row["kind"], row["id"]) for row in rows],
        schema={"kind": pl.String, "id": pl.String},
        orient="row",
    ).select(
        pl.lit(version).alias("version"),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("number"),
        "kind",
        pl.when(~by_hand & ~judged).then("id").alias("pair_id"),
        pl.when(by_hand).then("id").alias("correction_id"),
        liked.struct[0].alias("liked_chat"),
        liked.struct[1].cast(pl.Int32).alias("liked_place"),
        disliked.struct[0].alias("disliked_chat"),
        disliked.struct[1].cast(pl.Int32).alias("disliked_place"),
    )
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('preference_pairs'))")
        connection.execute("delete from preference_pairs where version = %s", (version,))
        copy_frame(connection, "preference_pairs", frame)


def preference_counts(connection: psycopg.Connection, version: str) -> dict[str, int]:
    """Preference pairs of a dataset, by kind."""
    rows = connection.execute(
        "select kind, count(*) from preference_pairs where version = %s group by 1 order by 1",
        (version,),
    ).fetchall()
    return dict(rows)
