"""The only SQL over `core_identities` and `traits`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.persona.identity.compose import Identity, page_of
from twin_pipelines.persona.identity.page import EDITED, Line, Page
from twin_pipelines.persona.traits.standing import TRAITS

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

_COLUMNS = "version, speaker, document, content, short_form, tokens, made_at"


def latest_identity(connection: psycopg.Connection, speaker: str) -> Identity | None:
    """The identity of a speaker in use; None before the first."""
    return _one(
        connection, "where speaker = %s order by version desc limit 1", {"speaker": speaker}
    )


def identity(connection: psycopg.Connection, version: int) -> Identity | None:
    """An identity by version."""
    return _one(connection, "where version = %s", {"version": version})


def save_identity(connection: psycopg.Connection, made: Identity) -> Identity:
    """Store an identity as the one in use, in one transaction; returns it with its version.

    The same words make no new version: its evidence is brought up to date instead.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('core_identities'))")
        values = {
            "speaker": made.speaker,
            "document": Jsonb(made.document),
            "content": made.content,
            "short_form": made.short_form,
            "tokens": made.tokens,
            "edited": made.edited,
            "inputs_hash": made.inputs_hash,
            "message_ids": made.page.message_ids,
        }
        row = connection.execute(
            """
            update core_identities set message_ids = %(message_ids)s,
                document = %(document)s || jsonb_build_object('by_owner', document -> 'by_owner')
            where version = (select max(version) from core_identities where speaker = %(speaker)s)
              and inputs_hash = %(inputs_hash)s
            returning version
            """,
            values,
        ).fetchone()
        if row is None:
            given = ", ".join(f"%({name})s" for name in values)
            row = connection.execute(
                f"insert into core_identities ({', '.join(values)}) values ({given}) "
                "returning version",
                values,
            ).fetchone()
    assert row, "update or insert returns the version"
    stored = identity(connection, row[0])
    assert stored, "the identity was just written"
    return stored


def identity_versions(connection: psycopg.Connection, speaker: str) -> pl.DataFrame:
    """Versions of a speaker's identity, newest first: `version, made_at, tokens, edited`."""
    return fetch_frame(
        connection,
        "select version, made_at, tokens, edited from core_identities where speaker = %s "
        "order by version desc",
        (speaker,),
    )


def lost_edits(connection: psycopg.Connection, speaker: str) -> list[str]:
    """Texts the owner edited, and keys they took out, that a regeneration let go.

    Compared are the identity in use and the one before it, unless the owner made the present one.
    """
    versions = identity_versions(connection, speaker)["version"].head(2).to_list()
    found = [identity(connection, version) for version in versions]
    if len(found) < 2 or found[0] is None or found[1] is None or found[0].by_owner:
        return []
    present, before = (one.page for one in found if one)
    held = {line.text for line in _owners(present)}
    gone = {one.key for one in before.removed} - {one.key for one in present.removed}
    return [line.text for line in _owners(before) if line.text not in held] + sorted(gone)


def identity_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each generated line of the identities in use with what could be wrong with it; `days` is
    ignored.

    Columns `text_length`, `untraced` (whether it names no message, though it is no word never used)
    and `unknown_messages` (how many of those it names are no raw message).
    """
    del days
    return fetch_frame(
        connection,
        """
        select length(btrim(line ->> 'text')) as text_length,
            (select count(*) from jsonb_array_elements_text(line -> 'message_ids') as message
             where not exists (select from raw_messages where raw_messages.id = message::uuid)
            ) as unknown_messages,
            (jsonb_array_length(line -> 'message_ids') = 0
             and section ->> 'key' <> 'never')::int as untraced
        from core_identities as identity,
            jsonb_array_elements(document -> 'sections') as section,
            jsonb_array_elements(section -> 'lines') as line
        where line ->> 'source' = 'generated' and version = (
            select max(version) from core_identities as other
            where other.speaker = identity.speaker)
        """,
    )


def rewrite_traits(connection: psycopg.Connection, traits: pl.DataFrame) -> None:
    """Make `traits` (`traits.TRAITS`) the whole table, in one transaction."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('traits'))")
        connection.execute("delete from traits")
        copy_frame(connection, "traits", traits)


def load_traits(connection: psycopg.Connection) -> pl.DataFrame:
    """Traits (`traits.TRAITS`), the Big Five first, then values by how far they stand out."""
    return fetch_frame(
        connection,
        f"select {', '.join(TRAITS)} from traits order by kind, abs(value) desc, trait",
        schema=TRAITS,
    )


def trait_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each trait with what could be wrong with it; `days` is ignored.

    Columns `finite`, `inside` (its value within its interval), `n`, `words_length`,
    `unknown_messages`.
    """
    del days
    return fetch_frame(
        connection,
        """
        select (value not in ('nan', 'infinity', '-infinity'))::int as finite,
            (value between low and high)::int as inside, n, length(words) as words_length,
            (select count(*) from unnest(message_ids) as message
             where not exists (select from raw_messages where raw_messages.id = message)
            ) as unknown_messages
        from traits
        """,
    )


def _owners(page: Page) -> list[Line]:
    """Lines the owner edited, with room and without."""
    return [line for line in page.whole().lines() if line.source == EDITED]


def _one(connection: psycopg.Connection, clause: str, values: dict[str, object]) -> Identity | None:
    row = connection.execute(
        f"select {_COLUMNS} from core_identities {clause}", tuple(values.values())
    ).fetchone()
    if row is None:
        return None
    version, speaker, document, content, short_form, tokens, made_at = row
    return Identity(
        speaker,
        page_of(document),
        content,
        short_form,
        tokens,
        bool(document["by_owner"]),
        version,
        made_at,
    )
