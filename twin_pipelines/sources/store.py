"""The only SQL over consents, raw_messages, imports, import_problems, subjects, voice_tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
from psycopg.rows import dict_row

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.settings import TwinError
from twin_pipelines.sources.messages import TWIN

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange


@dataclass(frozen=True)
class Subject:
    """Whose voice is learnt."""

    speaker: str  # as in raw_messages
    name: str  # how the twin calls itself
    chosen_by: str = "settings"  # settings, rank or one-voice test


@dataclass(frozen=True)
class Counts:
    """The size and span of what was landed; the days are None while nothing was."""

    messages: int
    first_day: date | None
    last_day: date | None


@dataclass(frozen=True)
class VoiceTest:
    """A remembered outcome of the one-voice test; see `voice.OneVoice`."""

    own_share: float | None
    other_share: float | None
    own_windows: int
    passed: bool | None
    note: str


def load_messages(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Raw messages of the days (None: all) by source, conversation, time and identity.

    Columns `id, source, source_message_id, conversation_id, speaker, text, sent_at, day, reply_to,
    metadata` (JSON text).
    """
    return fetch_frame(
        connection,
        """
        select id, source, source_message_id, conversation_id, speaker, text, sent_at, day,
               reply_to, metadata
        from raw_messages
        where %(first)s::date is null or day between %(first)s and %(last)s
        order by source, conversation_id, sent_at, source_message_id
        """,
        _bounds(days),
    )


def subject(connection: psycopg.Connection) -> Subject:
    """The subject. Raises TwinError while none was chosen."""
    chosen = stored_subject(connection)
    if chosen is None:
        raise TwinError(
            "No subject was chosen yet; materialise raw_conversations (twin refresh, twin demo)."
        )
    return chosen


def stored_subject(connection: psycopg.Connection) -> Subject | None:
    """The subject, or None while none was chosen."""
    row = connection.execute("select speaker, name, chosen_by from subjects").fetchone()
    return Subject(*row) if row else None


def save_subject(connection: psycopg.Connection, chosen: Subject) -> None:
    """Make this the subject."""
    connection.execute(
        """
        insert into subjects (speaker, name, chosen_by) values (%s, %s, %s)
        on conflict (only_one) do update
        set (speaker, name, chosen_by) = (excluded.speaker, excluded.name, excluded.chosen_by)
        """,
        (chosen.speaker, chosen.name, chosen.chosen_by),
    )


def counts(connection: psycopg.Connection) -> Counts:
    """Messages landed, and their first and last day."""
    row = connection.execute("select count(*), min(day), max(day) from raw_messages").fetchone()
    return Counts(*(row or (0, None, None)))


def day_counts(connection: psycopg.Connection, days: DayRange) -> pl.DataFrame:
    """Messages by `day` and `source`, days without any left out: `day`, `source`, `messages`."""
    return fetch_frame(
        connection,
        """
        select day, source, count(*) as messages from raw_messages
        where day between %(first)s and %(last)s
        group by day, source order by day, source
        """,
        _bounds(days),
    )


def source_rows(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Every source with its consent, messages, speakers and span."""
    return _rows(
        connection,
        """
        select source, kind, location, granted, recorded_at::text,
               count(landed.day)::bigint as messages,
               count(distinct speaker)::bigint as speakers,
               min(landed.day)::text as first_day, max(landed.day)::text as last_day
        from consents left join raw_messages as landed using (source)
        group by source, kind, location, granted, recorded_at order by source
        """,
    )


def import_summary(connection: psycopg.Connection) -> dict[str, Any]:
    """Rows read, rejected and repaired, the reasons with their counts, and the first examples.

    `problems` are exact counts by action and reason, the commonest first; `examples` the first ten
    stored rows with source, location, line, reason and excerpt.
    """
    totals = _rows(
        connection,
        """
        select count(*)::bigint as readings, coalesce(sum(rows_read), 0)::bigint as read,
               coalesce(sum(landed), 0)::bigint as landed,
               coalesce(sum(rejected), 0)::bigint as rejected,
               coalesce(sum(repaired), 0)::bigint as repaired
        from imports
        """,
    )[0]
    problems = _rows(
        connection,
        """
        select action, reason, sum(counted.rows::bigint)::bigint as rows
        from imports, jsonb_each(reasons) as acted (action, by_reason),
             jsonb_each_text(by_reason) as counted (reason, rows)
        group by action, reason order by rows desc, action, reason
        """,
    )
    examples = _rows(
        connection,
        """
        select source, location, line, action, reason, excerpt
        from import_problems join imports using (import_id)
        order by import_id desc, line limit 10
        """,
    )
    return {**totals, "problems": problems, "examples": examples}


def speakers(connection: psycopg.Connection, source: str | None = None) -> dict[str, int]:
    """Messages by speaker, the most prolific first; the twin's own words are nobody's."""
    rows = connection.execute(
        """
        select speaker, count(*) from raw_messages
        where (%(source)s::text is null or source = %(source)s) and speaker <> %(twin)s
        group by speaker order by count(*) desc, speaker
        """,
        {"source": source, "twin": TWIN},
    ).fetchall()
    return dict(rows)


def source_span(connection: psycopg.Connection, source: str) -> Counts:
    """Messages of one source, and their first and last day."""
    row = connection.execute(
        "select count(*), min(day), max(day) from raw_messages where source = %s", [source]
    ).fetchone()
    return Counts(*(row or (0, None, None)))


def conversation_counts(connection: psycopg.Connection, source: str) -> tuple[int, int]:
    """Conversations of a source, and those in which one speaker only has written."""
    row = connection.execute(
        """
        select count(*), count(*) filter (where one)
        from (
            select min(speaker) = max(speaker) as one from raw_messages
            where source = %s group by conversation_id
        ) as conversations
        """,
        [source],
    ).fetchone()
    return row or (0, 0)


def faults(connection: psycopg.Connection, days: DayRange | None, zone: str) -> pl.DataFrame:
    """What must not be, by `day` and `source`.

    Columns `messages`, `without_speaker`, `without_conversation`, `other_day` (the time is not of
    the day in the zone), `ahead` (more than a day in the future), `repeated` (identity not unique).
    """
    return fetch_frame(
        connection,
        r"""
        select day, source, count(*) as messages,
               count(*) filter (where speaker !~ '\S') as without_speaker,
               count(*) filter (where conversation_id !~ '\S') as without_conversation,
               count(*) filter (where (sent_at at time zone %(zone)s)::date <> day) as other_day,
               count(*) filter (where sent_at > now() + interval '1 day') as ahead,
               count(*) - count(distinct source_message_id) as repeated
        from raw_messages
        where %(first)s::date is null or day between %(first)s and %(last)s
        group by day, source order by day, source
        """,
        {**_bounds(days), "zone": zone},
    )


def rejected_shares(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Rows read and the share rejected, by source: files whole, packages and tables by the days."""
    return fetch_frame(
        connection,
        """
        select source, sum(rows_read)::bigint as rows_read, sum(rejected)::bigint as rejected,
               (sum(rejected) / sum(rows_read))::double precision as share
        from imports
        where day is null or %(first)s::date is null or day between %(first)s and %(last)s
        group by source having sum(rows_read) > 0 order by source
        """,
        _bounds(days),
    )


def speakers_by_source(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """How many people write in each source: `source`, `messages`, `speakers`; `days` is ignored."""
    del days
    return fetch_frame(
        connection,
        """
        select source, sum(messages)::bigint as messages, count(*) as speakers
        from (
            select source, speaker, count(*) as messages from raw_messages group by source, speaker
        ) as people
        group by source order by source
        """,
    )


def voice_fingerprint(connection: psycopg.Connection, speaker: str) -> str:
    """Changes when a message of the speaker is added, removed or altered."""
    row = connection.execute(
        """
        select md5(concat_ws('/', count(*), sum(hashtextextended(text, 0)), min(sent_at),
                             max(sent_at)))
        from raw_messages where speaker = %s
        """,
        [speaker],
    ).fetchone()
    return str(row[0]) if row else ""


def texts_of(connection: psycopg.Connection, speaker: str, newest: int) -> pl.DataFrame:
    """The newest messages of a speaker in time order: `conversation_id`, `sent_at`, `text`."""
    return fetch_frame(
        connection,
        """
        select source || '/' || conversation_id as conversation_id, sent_at, text
        from (
            select source, conversation_id, sent_at, source_message_id, text
            from raw_messages where speaker = %(speaker)s
            order by sent_at desc, source, source_message_id desc limit %(newest)s
        ) as newest order by sent_at, source, source_message_id
        """,
        {"speaker": speaker, "newest": newest},
    )


def voice_test(connection: psycopg.Connection, speaker: str, fingerprint: str) -> VoiceTest | None:
    """The remembered outcome for the same texts and settings."""
    row = connection.execute(
        """
        select own_share, other_share, own_windows, passed, note
        from voice_tests where speaker = %s and fingerprint = %s
        """,
        (speaker, fingerprint),
    ).fetchone()
    return VoiceTest(*row) if row else None


def save_voice_test(
    connection: psycopg.Connection, speaker: str, fingerprint: str, outcome: VoiceTest
) -> None:
    """Remember an outcome; the speaker's older ones are forgotten."""
    connection.execute("delete from voice_tests where speaker = %s", [speaker])
    connection.execute(
        """
        insert into voice_tests
            (speaker, fingerprint, own_share, other_share, own_windows, passed, note)
        values (%s, %s, %s, %s, %s, %s, %s)
        """,
        (
            speaker,
            fingerprint,
            outcome.own_share,
            outcome.other_share,
            outcome.own_windows,
            outcome.passed,
            outcome.note,
        ),
    )


def _bounds(days: DayRange | None) -> dict[str, Any]:
    return {"first": days and days.first, "last": days and days.last}


def _rows(connection: psycopg.Connection, query: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query).fetchall()
