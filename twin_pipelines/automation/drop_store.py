"""The only SQL over `dropped_files`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import psycopg


@dataclass(frozen=True)
class Dropped:
    """A file of the drop folder that was dealt with: landed, or set aside for a reason."""

    content: str  # hash
    name: str
    source: str = ""
    reason: str = ""
    messages: int = 0
    first_day: date | None = None
    last_day: date | None = None


def record(connection: psycopg.Connection, file: Dropped) -> None:
    """Note what became of a content; what was set aside before may have landed now."""
    connection.execute(
        "delete from dropped_files where content = %s and reason <> ''", (file.content,)
    )
    connection.execute(
        """
        insert into dropped_files (content, name, source, reason, messages, first_day, last_day)
        values (%(content)s, %(name)s, %(source)s, %(reason)s, %(messages)s, %(first_day)s,
                %(last_day)s)
        on conflict (content) do nothing
        """,
        vars(file),
    )


def landed(connection: psycopg.Connection, content: str) -> bool:
    """Whether a content was landed."""
    row = connection.execute(
        "select from dropped_files where content = %s and reason = ''", (content,)
    ).fetchone()
    return row is not None


def set_aside(connection: psycopg.Connection) -> dict[str, str]:
    """Files that could not be imported and lie there still: name and reason."""
    rows = connection.execute(
        "select name, reason from dropped_files where reason <> '' order by file_id"
    ).fetchall()
    return dict(rows)


def forget_absent(connection: psycopg.Connection, present: Sequence[str]) -> int:
    """Drop what was set aside and no longer lies in the folder; `present` are contents there."""
    return connection.execute(
        "delete from dropped_files where reason <> '' and content <> all(%s::text[])",
        (list(present),),
    ).rowcount


def landed_since(connection: psycopg.Connection, file_id: int) -> list[tuple[int, str, date, date]]:
    """Files landed after one: number, content, first and last day, in order."""
    return connection.execute(
        "select file_id, content, first_day, last_day from dropped_files "
        "where file_id > %s and reason = '' and first_day is not null order by file_id",
        (file_id,),
    ).fetchall()
