"""The only SQL over `promotion_notes` and `alerts`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from twin_pipelines.promotion.signature import Note


@dataclass(frozen=True)
class Alert:
    """Something the owner should look at."""

    kind: str
    release_id: int | None
    words: str
    raised_at: datetime


def save_note(connection: psycopg.Connection, note: Note) -> None:
    """Keep a signed note."""
    connection.execute(
        "insert into promotion_notes "
        "(release_id, signed_by, reason, signed_at, document, signature) "
        "values (%(release_id)s, %(signed_by)s, %(reason)s, %(signed_at)s, %(document)s, "
        "%(signature)s)",
        vars(note),
    )


def notes(connection: psycopg.Connection) -> list[Note]:
    """Every signed note, the newest first."""
    rows = connection.execute(
        "select release_id, signed_by, reason, signed_at, document, signature "
        "from promotion_notes order by note_id desc"
    ).fetchall()
    return [
        Note(release, by, reason, at.astimezone(UTC), document, signature)
        for release, by, reason, at, document, signature in rows
    ]


def forced_without_note(connection: psycopg.Connection) -> list[int]:
    """Releases that were forced and under which no note stands."""
    rows = connection.execute(
        """
        select release_id from releases
        where forced and not exists (
            select from promotion_notes where promotion_notes.release_id = releases.release_id
        )
        order by release_id
        """
    ).fetchall()
    return [row[0] for row in rows]


def raise_alert(
    connection: psycopg.Connection, kind: str, words: str, release_id: int | None = None
) -> None:
    """Open an alert; one of its kind that is open already takes over the words."""
    connection.execute(
        """
        insert into alerts (kind, release_id, words) values (%s, %s, %s)
        on conflict (kind) where cleared_at is null
        do update set words = excluded.words, release_id = excluded.release_id
        """,
        (kind, release_id, words),
    )


def clear_alert(connection: psycopg.Connection, kind: str) -> None:
    """Close the open alert of a kind, when there is one."""
    connection.execute(
        "update alerts set cleared_at = clock_timestamp() where kind = %s and cleared_at is null",
        (kind,),
    )


def open_alerts(connection: psycopg.Connection) -> list[Alert]:
    """The alerts whose cause persists, the oldest first."""
    rows = connection.execute(
        "select kind, release_id, words, raised_at from alerts where cleared_at is null "
        "order by alert_id"
    ).fetchall()
    return [Alert(*row) for row in rows]
