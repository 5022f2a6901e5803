"""The SQL that writes landed messages, consents and the account of each reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.settings import TwinError

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

_LANDED = (
    "source",
    "source_message_id",
    "conversation_id",
    "speaker",
    "text",
    "sent_at",
    "day",
    "reply_to",
    "metadata",
)


@dataclass(frozen=True)
class Reading:
    """One row of `imports`: what came of reading a file, or a day of a package or table."""

    source: str
    location: str
    sha256: str
    day: date | None
    rows_read: int
    landed: int
    rejected: int
    repaired: int
    reasons: Mapping[str, Mapping[str, int]]  # action → reason → rows


def lock(connection: psycopg.Connection, source: str) -> None:
    """Let one transaction at a time write this source; held until the transaction ends."""
    connection.execute(
        "select pg_advisory_xact_lock(hashtext('raw_messages'), hashtext(%s))", [source]
    )


def consents(connection: psycopg.Connection) -> dict[str, str]:
    """Kind by source, of every source there is a consent for."""
    return dict(connection.execute("select source, kind from consents").fetchall())


def record_consent(
    connection: psycopg.Connection, source: str, kind: str, location: str, granted: str
) -> None:
    """Write down who allowed the reading. Raises TwinError when the name has another kind."""
    known = consents(connection).get(source)
    if known not in (None, kind):
        raise TwinError(
            f"The source {source} was landed as a {known} and is now a {kind}; "
            "give it another name."
        )
    connection.execute(
        """
        insert into consents as old (source, kind, location, granted) values (%s, %s, %s, %s)
        on conflict (source) do update
        set (location, granted, recorded_at) = (excluded.location, excluded.granted, now())
        where (old.location, old.granted) is distinct from (excluded.location, excluded.granted)
        """,
        (source, kind, location, granted),
    )


def append_messages(connection: psycopg.Connection, frame: pl.DataFrame) -> bool:
    """Add messages that are new; False, and nothing is added, when one of them is there already.

    `frame` has the columns of raw_messages but `id`.
    """
    try:
        with connection.transaction():
            copy_frame(connection, "raw_messages", frame.select(_LANDED))
    except psycopg.errors.UniqueViolation:
        return False
    return True


def upsert_messages(connection: psycopg.Connection, frame: pl.DataFrame) -> None:
    """Add messages; one that is there already takes on the new content, if it differs.

    `frame` has the columns of raw_messages but `id`, and each identity once.
    """
    names = [sql.Identifier(name) for name in _LANDED]
    parts = {
        "columns": sql.SQL(", ").join(names),
        "old": sql.SQL(", ").join(sql.SQL("old.{}").format(name) for name in names),
        "new": sql.SQL(", ").join(sql.SQL("excluded.{}").format(name) for name in names),
    }
    connection.execute(
        "create temporary table if not exists incoming_messages"
        " (like raw_messages including generated) on commit delete rows"
    )
    connection.execute("truncate incoming_messages")
    copy_frame(connection, "incoming_messages", frame.select(_LANDED))
    connection.execute(
        sql.SQL(
            """
            insert into raw_messages as old ({columns})
            select {columns} from incoming_messages
            on conflict (id) do update set ({columns}) = row({new})
            where ({old}) is distinct from ({new})
            """
        ).format(**parts)
    )


def delete_days(connection: psycopg.Connection, source: str, days: DayRange) -> int:
    """Remove a source's messages of the days, and the account of their reading."""
    removed = connection.execute(
        "delete from raw_messages where source = %(source)s and day between %(first)s and %(last)s",
        {"source": source, "first": days.first, "last": days.last},
    ).rowcount
    connection.execute(
        """
        delete from imports
        where source = %(source)s and (day is null or day between %(first)s and %(last)s)
        """,
        {"source": source, "first": days.first, "last": days.last},
    )
    return removed


def landed_by_day(connection: psycopg.Connection, source: str, days: DayRange) -> dict[date, int]:
    """A source's messages on each of the days that has any."""
    rows = connection.execute(
        """
        select day, count(*) from raw_messages
        where source = %s and day between %s and %s group by day
        """,
        (source, days.first, days.last),
    ).fetchall()
    return dict(rows)


def delete_other_conversations(
    connection: psycopg.Connection, source: str, conversations: list[str]
) -> int:
    """Remove a source's messages outside these conversations, and the account of their days."""
    removed = connection.execute(
        "delete from raw_messages where source = %s and not conversation_id = any(%s)",
        (source, conversations),
    ).rowcount
    if removed:
        connection.execute("delete from imports where source = %s", [source])
    return removed


def delete_source(connection: psycopg.Connection, source: str) -> int:
    """Remove all of a source's messages, the account of its readings and its consent."""
    removed = connection.execute("delete from raw_messages where source = %s", [source]).rowcount
    connection.execute("delete from imports where source = %s", [source])
    connection.execute("delete from consents where source = %s", [source])
    return removed


def find_import(connection: psycopg.Connection, source: str, sha256: str) -> Reading | None:
    """The reading of the same content for the same source, if there was one."""
    row = connection.execute(
        """
        select source, location, sha256, day, rows_read, landed, rejected, repaired, reasons
        from imports where source = %s and sha256 = %s and day is null
        order by import_id desc limit 1
        """,
        (source, sha256),
    ).fetchone()
    return Reading(*row) if row else None


def record_import(connection: psycopg.Connection, reading: Reading, problems: pl.DataFrame) -> None:
    """Write down what came of a reading; `problems` has `line`, `action`, `reason`, `excerpt`."""
    row = connection.execute(
        """
        insert into imports
            (source, location, sha256, day, rows_read, landed, rejected, repaired, reasons)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning import_id
        """,
        (
            reading.source,
            reading.location,
            reading.sha256,
            reading.day,
            reading.rows_read,
            reading.landed,
            reading.rejected,
            reading.repaired,
            Jsonb(reading.reasons),
        ),
    ).fetchone()
    if problems.height and row:
        copy_frame(
            connection,
            "import_problems",
            problems.select(
                pl.lit(row[0]).alias("import_id"), "line", "action", "reason", "excerpt"
            ),
        )
