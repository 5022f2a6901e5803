"""The only SQL over `cleaned_messages` and `dropped_messages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.foundation.database import copy_frame, fetch_frame

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

_TURN = """
    id, source, conversation_id, session_id, speaker, text, sent_at, ended_at, day, place, language,
    words, content_hash, raw_ids
"""


@dataclass(frozen=True)
class CleaningCounts:
    """What cleaning made of the history, in numbers."""

    messages: int  # raw messages inside turns
    turns: int
    sessions: int
    conversations: int
    one_speaker_conversations: int
    languages: dict[str, int]  # turns, by language
    dropped: dict[str, int]  # raw messages, by reason


def load_turns(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """The turns of the days (None: of the whole history) by conversation and time.

    Without those that say what the owner wants forgotten: nothing is learnt from them.
    """
    return fetch_frame(
        connection,
        f"""
        select {_TURN} from cleaned_messages
        where (%(first)s::date is null or day between %(first)s and %(last)s)
          and id not in (select id from forgotten_turns)
        order by source, conversation_id, sent_at, place
        """,
        _bounds(days),
    )


def load_session_turns(connection: psycopg.Connection, days: DayRange) -> pl.DataFrame:
    """All turns of every session that has a turn on one of the days, by conversation and time."""
    return fetch_frame(
        connection,
        f"""
        select {_TURN} from cleaned_messages
        where session_id in (
            select session_id from cleaned_messages where day between %(first)s and %(last)s
        )
        order by source, conversation_id, sent_at, place
        """,
        _bounds(days),
    )


def raw_volume(connection: psycopg.Connection, days: DayRange) -> pl.DataFrame:
    """Raw messages and bytes of text for each of the days, and their eve, that has any.

    Columns `day`, `messages`, `bytes`.
    """
    return fetch_frame(
        connection,
        """
        select day, count(*) as messages, sum(octet_length(text))::bigint as bytes
        from raw_messages
        where day between %(first)s::date - 1 and %(last)s
        group by day order by day
        """,
        _bounds(days),
    )


def rewrite_days(
    connection: psycopg.Connection, days: DayRange, turns: pl.DataFrame, dropped: pl.DataFrame
) -> int:
    """Make `turns` and `dropped` the whole content of the days, in one transaction.

    Rows that are already there and equal are not touched, changed ones are updated in place and
    only what is gone is deleted, so that vectors of unchanged turns survive (they hang on the
    turn's row). Returns how many rows of both tables were written or deleted.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('cleaned_messages'))")
        return _replace(connection, "cleaned_messages", "id", days, turns) + _replace(
            connection, "dropped_messages", "raw_id", days, dropped
        )


def cleaning_counts(connection: psycopg.Connection) -> CleaningCounts:
    """Turns, sessions, conversations, languages and drops of the whole history."""
    row = connection.execute(
        """
        select coalesce(sum(messages), 0)::bigint, coalesce(sum(turns), 0)::bigint,
               count(*), count(*) filter (where speakers = 1),
               (select count(distinct session_id) from cleaned_messages)
        from (
            select sum(cardinality(raw_ids)) as messages, count(*) as turns,
                   count(distinct speaker) as speakers
            from cleaned_messages group by source, conversation_id
        ) as conversations
        """
    ).fetchone()
    messages, turns, conversations, one_speaker, sessions = row or (0, 0, 0, 0, 0)
    return CleaningCounts(
        messages=messages,
        turns=turns,
        sessions=sessions,
        conversations=conversations,
        one_speaker_conversations=one_speaker,
        languages=_tally(connection, "cleaned_messages", "language"),
        dropped=_tally(connection, "dropped_messages", "reason"),
    )


def _bounds(days: DayRange | None) -> dict[str, object]:
    return {"first": days and days.first, "last": days and days.last}


def turn_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """What must not be: turns that are blank, carry control characters or a wrong hash, by day.

    Columns `day`, `turns`, `blank`, `control_characters`, `wrong_hash`, `backward` (ended before it
    began), `session_elsewhere` (its session begins neither on the day nor on its eve).
    """
    return fetch_frame(
        connection,
        r"""
        select turn.day, count(*) as turns,
               count(*) filter (where turn.text !~ '\S') as blank,
               count(*) filter (
                   where turn.text ~ '[\u0001-\u0009\u000b-\u001f\u007f-\u009f\u200b\ufeff]'
               ) as control_characters,
               count(*) filter (where turn.content_hash <> md5(turn.text)) as wrong_hash,
               count(*) filter (where turn.ended_at < turn.sent_at) as backward,
               count(*) filter (
                   where first.day is null or first.day not in (turn.day, turn.day - 1)
               ) as session_elsewhere
        from cleaned_messages as turn left join raw_messages as first on first.id = turn.session_id
        where %(first)s::date is null or turn.day between %(first)s and %(last)s
        group by turn.day order by turn.day
        """,
        _bounds(days),
    )


def account(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Whether each raw message is in exactly one turn or dropped, by day.

    Columns `day`, `messages`, `missing` (nowhere), `repeated` (in several places), `unknown` (in a
    turn or dropped on the day, without a raw message of that day), `dropped` (but the twin's own).
    """
    return fetch_frame(
        connection,
        """
        with placed as (
            select id, day, count(*) as places, bool_or(left_out) as left_out
            from (
                select unnest(raw_ids) as id, day, false as left_out from cleaned_messages
                where %(first)s::date is null or day between %(first)s and %(last)s
                union all
                select raw_id, day, reason <> 'twin' from dropped_messages
                where %(first)s::date is null or day between %(first)s and %(last)s
            ) as place
            group by id, day
        ), raw as (
            select id, day from raw_messages
            where %(first)s::date is null or day between %(first)s and %(last)s
        )
        select day, count(raw.id) as messages,
               count(*) filter (where placed.id is null) as missing,
               count(*) filter (where placed.places > 1) as repeated,
               count(*) filter (where raw.id is null) as unknown,
               count(*) filter (where placed.left_out) as dropped
        from raw full join placed using (id, day)
        group by day order by day
        """,
        _bounds(days),
    )


def language_shares(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Turns of the days by language: `language`, `turns`, `share` of all."""
    return fetch_frame(
        connection,
        """
        select language, count(*) as turns,
               (count(*) / sum(count(*)) over ())::double precision as share
        from cleaned_messages
        where %(first)s::date is null or day between %(first)s and %(last)s
        group by language order by turns desc, language
        """,
        _bounds(days),
    )


def _replace(
    connection: psycopg.Connection, table: str, key: str, days: DayRange, frame: pl.DataFrame
) -> int:
    names = {
        "table": sql.Identifier(table),
        "incoming": sql.Identifier(f"incoming_{table}"),
        "key": sql.Identifier(key),
        "columns": sql.SQL(", ").join(map(sql.Identifier, frame.columns)),
        "new": sql.SQL(", ").join(sql.Identifier("excluded", name) for name in frame.columns),
        "old": sql.SQL(", ").join(sql.Identifier("old", name) for name in frame.columns),
    }

    def run(statement: str) -> int:
        return connection.execute(sql.SQL(statement).format(**names), _bounds(days)).rowcount

    run("create temporary table if not exists {incoming} (like {table}) on commit delete rows")
    run("truncate {incoming}")
    copy_frame(connection, f"incoming_{table}", frame)
    run("analyze {incoming}")
    deleted = run(
        """
        delete from {table} as old
        where day between %(first)s and %(last)s
          and not exists (select from {incoming} as new where new.{key} = old.{key})
        """
    )
    written = run(
        """
        insert into {table} as old ({columns})
        select {columns} from {incoming}
        on conflict ({key}) do update set ({columns}) = row({new})
        where ({old}) is distinct from ({new})
        """
    )
    return deleted + written


def _tally(connection: psycopg.Connection, table: str, column: str) -> dict[str, int]:
    names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
    query = "select {column}, count(*) from {table} group by 1 order by 2 desc, 1"
    return dict(connection.execute(sql.SQL(query).format(**names)).fetchall())
