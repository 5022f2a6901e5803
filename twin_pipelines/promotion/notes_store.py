"""The only SQL over `promotion_notes`."""

from __future__ import annotations

from datetime import UTC

import psycopg

from twin_pipelines.promotion.signature import Note


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
