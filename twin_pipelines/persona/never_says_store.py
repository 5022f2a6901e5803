"""The only SQL over `never_says`."""

from __future__ import annotations

import psycopg

from twin_pipelines.persona.never_says import NeverSay, tidy_phrase

_COLUMNS = "never_id::text, phrase, reason, made_at"


def never_says(connection: psycopg.Connection) -> list[NeverSay]:
    """Every phrase, the oldest first."""
    rows = connection.execute(f"select {_COLUMNS} from never_says order by made_at, never_id")
    return [NeverSay(*row) for row in rows.fetchall()]


def phrases(connection: psycopg.Connection) -> list[str]:
    """The phrases alone, the oldest first."""
    return [one.phrase for one in never_says(connection)]


def add_never_say(
    connection: psycopg.Connection, phrase: str, reason: str = "", correction_id: str | None = None
) -> NeverSay:
    """Keep a phrase; one that is known already takes on the reason. The caller commits.

    Raises TwinError for a phrase that is none (`tidy_phrase`).
    """
    row = connection.execute(
        f"""
        insert into never_says (phrase, reason, correction_id) values (%s, %s, %s)
        on conflict (lower(phrase)) do update
        set reason = coalesce(nullif(excluded.reason, ''), never_says.reason)
        returning {_COLUMNS}
        """,
        (tidy_phrase(phrase), reason.strip(), correction_id),
    ).fetchone()
    assert row, "an insert returns its row"
    return NeverSay(*row)


def drop_never_say(connection: psycopg.Connection, never_id: str) -> bool:
    """Let the twin say a phrase again; the caller commits. False when there is none."""
    dropped = connection.execute(
        "delete from never_says where never_id::text = %s", [never_id.lower()]
    )
    return dropped.rowcount == 1
