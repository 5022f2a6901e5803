"""The only SQL over `alerts`: any room may raise one and clear it; at most one of a kind is open.

Words leave the machine: no message, no address, no key may stand in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg


@dataclass(frozen=True)
class Alert:
    """Something the owner should look at."""

    kind: str
    release_id: int | None
    words: str
    raised_at: datetime


def raise_alert(
    connection: psycopg.Connection, kind: str, words: str, release_id: int | None = None
) -> None:
    """Open an alert; one of its kind that is open already takes over the words.

    `kind` is a topic and, after a colon, what it is about, as in `run_failed:daily_refresh`.
    """
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
