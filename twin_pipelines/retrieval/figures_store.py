"""The SQL of `retrieval_figures`, and the turns that known-item questions are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.retrieval.ranking.views import TURNS

SAMPLED: dict[str, Any] = {**TURNS, "message_ids": pl.List(pl.String)}


@dataclass(frozen=True)
class RetrievalFigures:
    """How well and how fast a history was searched; shares are None without a question.

    `recall_at_10` is the share of known-item questions whose turn was among the first ten,
    `evidence` the share whose turn stood in a context of 2,000 tokens; milliseconds are of the
    whole path from text to context. `confirmed_recall` is the same as `recall_at_10` of the
    `confirmed` items that the owner judged, asked in their own words.
    """

    measured_at: datetime | None
    index_version: int
    model: str
    settings: dict[str, Any]
    entries: int
    questions: int
    recall_at_10: float | None
    ci_low: float | None
    ci_high: float | None
    evidence: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    words: str
    confirmed: int = 0
    confirmed_recall: float | None = None


@dataclass(frozen=True)
class Confirmed:
    """A turn that refers back, and the raw message the owner says it means."""

    text: str
    sent_at: datetime
    answering: str


_COLUMNS = tuple(RetrievalFigures.__dataclass_fields__)


def sampled_turns(connection: psycopg.Connection, most: int) -> pl.DataFrame:
    """Indexed turns (SAMPLED) of whole sessions, about `most`; the same ones for one history.

    Sessions are drawn by the hash of their id and stand in order of time. `turn` is the message id,
    `message_ids` are those of the raw messages.
    """
    return fetch_frame(
        connection,
        """
        with drawn as (
            select session_id, min(sent_at) as began,
                   sum(count(*)) over (order by md5(session_id::text)) - count(*) as ahead
            from search_entries where session_id is not null group by session_id
        )
        select e.message_id::text as turn, e.session_id::text as session, e.speaker, c.text,
               null::text as caption, e.sent_at, c.raw_ids::text[] as message_ids
        from drawn join search_entries e using (session_id) join cleaned_messages c
            on c.id = e.message_id
        where ahead < %s
        order by began, e.session_id, e.sent_at, e.place
        """,
        [most],
        schema=SAMPLED,
    )


def keep(connection: psycopg.Connection, figures: RetrievalFigures) -> None:
    """Add figures; the caller commits. When they were measured is the database's clock."""
    values = [
        Jsonb(value) if isinstance(value, dict) else value
        for value in (getattr(figures, name) for name in _COLUMNS[1:])
    ]
    columns, places = ", ".join(_COLUMNS[1:]), ", ".join(["%s"] * len(values))
    connection.execute(f"insert into retrieval_figures ({columns}) values ({places})", values)


def latest_figures(connection: psycopg.Connection) -> RetrievalFigures | None:
    """What was measured last; None before the first time."""
    row = connection.execute(
        f"select {', '.join(_COLUMNS)} from retrieval_figures order by measured_at desc limit 1"
    ).fetchone()
    return RetrievalFigures(*row) if row else None


def judged_references(connection: psycopg.Connection) -> set[str]:
    """Raw messages of the turns that refer back which the owner has looked at."""
    return {asking for (asking,) in connection.execute("select asking::text from known_items")}


def judge_reference(connection: psycopg.Connection, asking: str, answering: str | None) -> None:
    """Keep what the owner says a turn refers to; None: nothing of what was offered."""
    connection.execute(
        "insert into known_items (asking, answering) values (%s, %s) "
        "on conflict (asking) do update "
        "set (answering, judged_at) = row(excluded.answering, clock_timestamp())",
        (asking, answering),
    )


def confirmed_items(connection: psycopg.Connection) -> list[Confirmed]:
    """What the owner confirmed, where both turns still stand; the oldest first."""
    rows = connection.execute(
        """
        select turn.text, turn.sent_at, known.answering::text
        from known_items as known
        join raw_messages as raw on raw.id = known.asking
        join cleaned_messages as turn on turn.day = raw.day and turn.raw_ids @> array[raw.id]
        where exists (select from raw_messages where raw_messages.id = known.answering)
        order by turn.sent_at, turn.id
        """
    ).fetchall()
    return [Confirmed(*row) for row in rows]
