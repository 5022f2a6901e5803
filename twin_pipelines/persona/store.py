"""The only SQL over the room's tables (those of the identity and the traits: `identity_store`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.persona.preferences import PREFERENCES
from twin_pipelines.persona.replies.templates import TEMPLATES

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange


def rewrite_table(connection: psycopg.Connection, table: str, rows: pl.DataFrame) -> None:
    """Make `rows` the whole of a table of this room, in one transaction."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext(%s))", [table])
        connection.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))
        copy_frame(connection, table, rows)


def load_preferences(
    connection: psycopg.Connection, *, speaker: str | None = None, valid: bool = True
) -> pl.DataFrame:
    """Preferences (PREFERENCES), the surest first: of one speaker or of all.

    `valid` leaves out those that ceased to hold.
    """
    return fetch_frame(
        connection,
        f"""
        select {", ".join(PREFERENCES)} from preferences
        where (%(speaker)s::text is null or speaker = %(speaker)s)
          and (valid_until is null or not %(valid)s)
        order by confidence desc, last_said_at desc, preference_id
        """,
        {"speaker": speaker, "valid": valid},
        schema=PREFERENCES,
    )


def load_templates(connection: psycopg.Connection, *, situation: str | None = None) -> pl.DataFrame:
    """Response templates (TEMPLATES) of one situation or of all, those of most sessions first."""
    return fetch_frame(
        connection,
        f"""
        select {", ".join(TEMPLATES)} from response_templates
        where %(situation)s::text is null or situation = %(situation)s
        order by sessions desc, uses desc, template_id
        """,
        {"situation": situation},
        schema=TEMPLATES,
    )


def preference_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each preference with what could be wrong with it; `days` is ignored.

    Columns `key_length`, `value_length`, `confidence`, `sessions`, `messages` (how many it rests
    on), `unknown_messages` (how many of them are no raw message), `foreign_messages` (how many
    somebody else wrote), `backward` (ceased before it was last said, or last said before it was
    first said) and `lost` (named as contradicted by a preference that is not there).
    """
    del days
    return fetch_frame(
        connection,
        """
        select length(btrim(preference_key)) as key_length,
            length(btrim(preference_value)) as value_length, confidence, sessions,
            cardinality(message_ids) as messages,
            cardinality(message_ids) - found.messages as unknown_messages,
            found.messages - found.own as foreign_messages,
            (last_said_at < created_at or valid_until < created_at)::int as backward,
            (contradicted_by is not null and not exists (
                select from preferences as other
                where other.preference_id = preference.contradicted_by
            ))::int as lost
        from preferences as preference, lateral (
            select count(*) as messages,
                count(*) filter (where raw_messages.speaker = preference.speaker) as own
            from raw_messages where raw_messages.id = any(message_ids)
        ) as found
        """,
    )


def template_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each response template with what could be wrong with it; `days` is ignored.

    Columns `template`, `language`, `uses`, `sessions`, `share`, `examples` (how many it shows),
    `messages` (how many it rests on), `unknown_messages` (how many of them are no raw message) and
    `more_sessions` (whether it has more sessions than uses).
    """
    del days
    return fetch_frame(
        connection,
        """
        select template, language, uses, sessions, share,
            jsonb_array_length(examples) as examples, cardinality(message_ids) as messages,
            (select count(*) from unnest(message_ids) as message
             where not exists (select from raw_messages where raw_messages.id = message)
            ) as unknown_messages,
            (sessions > uses)::int as more_sessions
        from response_templates
        """,
    )
