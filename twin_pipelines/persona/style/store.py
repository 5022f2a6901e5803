"""The only SQL over `writing_style` and `vocabulary`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.persona.style.table import WRITING_STYLE
from twin_pipelines.persona.style.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange


def rewrite_style(connection: psycopg.Connection, rows: pl.DataFrame) -> None:
    """Make `rows` (WRITING_STYLE) the whole table, in one transaction."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('writing_style'))")
        connection.execute("delete from writing_style")
        copy_frame(connection, "writing_style", rows)


def load_style(
    connection: psycopg.Connection, partner: str | None = "", period: str | None = ""
) -> pl.DataFrame:
    """Habits (WRITING_STYLE) with a partner and of a month, the most distinctive first.

    The empty partner is everybody, the empty period the whole history; None is any.
    """
    return fetch_frame(
        connection,
        f"""
        select {", ".join(WRITING_STYLE)} from writing_style
        where (%(partner)s::text is null or partner = %(partner)s)
          and (%(period)s::text is null or period = %(period)s)
        order by abs(distinction) desc nulls last, partner, period, feature
        """,
        {"partner": partner, "period": period},
        schema=WRITING_STYLE,
    )


def rewrite_vocabulary(connection: psycopg.Connection, rows: pl.DataFrame) -> None:
    """Make `rows` (VOCABULARY) the whole table, in one transaction."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('vocabulary'))")
        connection.execute("delete from vocabulary")
        copy_frame(connection, "vocabulary", rows)


def load_vocabulary(connection: psycopg.Connection, kind: str | None = None) -> pl.DataFrame:
    """Words, phrases, emoji and words never used (VOCABULARY), the most characteristic first."""
    return fetch_frame(
        connection,
        f"""
        select {", ".join(VOCABULARY)} from vocabulary
        where %(kind)s::text is null or kind = %(kind)s order by abs(z) desc, term, kind
        """,
        {"kind": kind},
        schema=VOCABULARY,
    )


def turn_texts(connection: psycopg.Connection, turns: Sequence[str]) -> pl.DataFrame:
    """Texts of turns by identity: `id`, `text`, `raw_ids`."""
    return fetch_frame(
        connection,
        "select id, text, raw_ids from cleaned_messages where id = any(%s::uuid[])",
        (list(turns),),
        schema={"id": pl.String, "text": pl.String, "raw_ids": pl.List(pl.String)},
    )


def style_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each habit with what could be wrong with it; `days` is ignored.

    Columns `feature`, `finite` (whether its numbers are), `n`, `examples`, `messages`,
    `unknown_messages` (how many of them are no raw message) and `overall` (whether the habit has a
    row of the whole history too) and `untraced` (something is shown, but by no message).
    """
    del days
    return fetch_frame(
        connection,
        """
        select feature, n, cardinality(examples) as examples, cardinality(message_ids) as messages,
            (value not in ('nan', 'infinity', '-infinity')
             and coalesce(background, 0) not in ('nan', 'infinity', '-infinity')
             and coalesce(distinction, 0) not in ('nan', 'infinity', '-infinity'))::int as finite,
            (select count(*) from unnest(message_ids) as message
             where not exists (select from raw_messages where raw_messages.id = message)
            ) as unknown_messages,
            (value <> 0 and cardinality(message_ids) = 0)::int as untraced,
            exists (select from writing_style as whole where whole.feature = style.feature
                    and whole.partner = '' and whole.period = '')::int as overall
        from writing_style as style
        """,
    )


def vocabulary_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each term with what could be wrong with it; `days` is ignored.

    Columns `term`, `kind`, `term_length`, `uses`, `sessions`, `messages`, `unknown_messages`,
    `too_many_sessions` (more than uses), `contrary` (a characteristic term with a negative z, or a
    word never used that was used) and `untraced` (used, but without messages).
    """
    del days
    return fetch_frame(
        connection,
        """
        select term, kind, length(btrim(term)) as term_length, uses, sessions,
            cardinality(message_ids) as messages,
            (select count(*) from unnest(message_ids) as message
             where not exists (select from raw_messages where raw_messages.id = message)
            ) as unknown_messages,
            (sessions > uses)::int as too_many_sessions,
            (case when kind = 'never' then z > 0 or uses > 0 else z < 0 end)::int as contrary,
            (uses > 0 and cardinality(message_ids) = 0)::int as untraced
        from vocabulary
        """,
    )
