"""The SQL that removes what `selection_store` found: every table that holds a row derived from it.

In the order of the tables' dependence; each function says how many rows of which table went or were
rewritten. The caller has begun the transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import LiteralString

import psycopg
from psycopg import sql

ERASED = "(erased)"
_OF_MESSAGES = (  # whose rows name the messages they rest on
    *("writing_style", "vocabulary", "response_templates", "preferences", "traits"),
    *("core_candidates", "core_memories"),
)
COUNTED = (
    *("raw_messages", "cleaned_messages", "dropped_messages", "message_embeddings"),
    *("search_entries", "instruct_pairs", "dataset_pairs", "preference_pairs", "blind_choices"),
    "known_items",
    *("corrections", "never_says", "memories", "memory_embeddings", "memory_words"),
    *("memory_recalls", "memory_changes", "memory_runs", "consolidated_speakers", "forgotten"),
    *_OF_MESSAGES,
    *("core_identities", "releases", "datasets", "retrievers", "voice_tests", "chats"),
    *("chat_turns", "dead_letters", "import_problems", "imports", "consents"),
)

_TURNS: tuple[tuple[str, LiteralString], ...] = (
    (
        "search_entries",
        """
        delete from search_entries
        where session_id in (select session_id from erased_sessions)
           or memory_id in (select memory_id from erased_memories)
        """,
    ),
    (
        "message_embeddings",
        "delete from message_embeddings where message_id in (select id from erased_turns)",
    ),
    ("cleaned_messages", "delete from cleaned_messages where id in (select id from erased_turns)"),
    (
        "dropped_messages",
        """
        delete from dropped_messages
        where raw_id in (select id from erased_messages)
           or kept_id in (select id from erased_messages)
        """,
    ),
    (
        "blind_choices",
        """
        delete from blind_choices
        where pair_id in (select id from erased_pairs union all select id from erased_messages)
        """,
    ),
    (
        "known_items",
        """
        delete from known_items using (
            select id from erased_messages union select id from erased_turns
        ) as going where going.id in (asking, answering)
        """,
    ),
    ("instruct_pairs", "delete from instruct_pairs where id in (select id from erased_pairs)"),
)
_MEMORIES: tuple[tuple[str, LiteralString], ...] = (
    (
        "consolidated_speakers",
        """
        delete from consolidated_speakers
        where about in (select about from memories join erased_memories using (memory_id)
                        union all select speaker from erased_messages)
        """,
    ),
    (
        "memory_embeddings",
        "delete from memory_embeddings where memory_id in (select memory_id from erased_memories)",
    ),
    (
        "memory_words",
        "delete from memory_words where memory_id in (select memory_id from erased_memories)",
    ),
    (
        "memory_recalls",
        "delete from memory_recalls where memory_id in (select memory_id from erased_memories)",
    ),
    (
        "memories",
        "delete from memories where memory_id in (select memory_id from erased_memories)",
    ),
)
_JOURNAL: LiteralString = """
    with going as materialized (
        select run_id, place from memory_changes
        where memory_id in (select memory_id from erased_memories)
           or %(person)s::text in (before ->> 'about', after ->> 'about')
           or before -> 'people' ? %(person)s::text or after -> 'people' ? %(person)s::text
        union
        select run_id, place from memory_changes
        cross join jsonb_array_elements_text(
            coalesce(before -> 'message_ids', '[]') || coalesce(after -> 'message_ids', '[]'))
            as raw (id)
        join erased_messages on erased_messages.id = raw.id::uuid
        union
        select run_id, place from memory_changes
        cross join jsonb_array_elements_text(
            coalesce(before -> 'source_ids', '[]') || coalesce(after -> 'source_ids', '[]'))
            as source (id)
        join erased_memories on erased_memories.memory_id = source.id::uuid
    ), runs as (
        update memory_runs set words = kind || ' ' || %(erased)s
        where kind in ('owner', 'undo') and run_id in (
            select run_id from going union all select run_id from forgotten
            where message_ids && %(messages)s::uuid[] or hidden_ids && %(messages)s::uuid[])
        returning run_id
    ), removed as (
        delete from memory_changes as change using going
        where (change.run_id, change.place) = (going.run_id, going.place) returning change.run_id
    )
    select (select count(*) from removed), (select count(*) from runs)
"""


def counts(connection: psycopg.Connection) -> dict[str, int]:
    """Rows of every table an erasure may reach."""
    query = sql.SQL(" union all ").join(
        sql.SQL("select {}, count(*) from {}").format(sql.Literal(name), sql.Identifier(name))
        for name in COUNTED
    )
    return dict(connection.execute(query).fetchall())


def remove_turns(connection: psycopg.Connection) -> Counter[str]:
    """Turns, their vectors, whatever of their sessions can be found, and pairs.

    Of a session everything leaves the index, as an entry also holds the words around it; what is
    left of it is indexed anew.
    """
    return _run(connection, _TURNS)


def remove_memories(
    connection: psycopg.Connection, messages: Sequence[str], person: str | None
) -> Counter[str]:
    """Memories that rest on a message, or are made of one that does, with their journal.

    One that rests on others, too, goes as well: it is derived anew from those. What one of them had
    replaced holds again until it is consolidated anew.
    """
    done: Counter[str] = Counter()
    done["memories"] += connection.execute(
        """
        update memories set superseded_by = null, valid_until = null
        where superseded_by in (select memory_id from erased_memories)
          and memory_id not in (select memory_id from erased_memories)
        """
    ).rowcount
    done += _run(connection, _MEMORIES)
    given = {"person": person or "", "messages": list(messages), "erased": ERASED}
    row = connection.execute(_JOURNAL, given).fetchone()
    done["memory_changes"], done["memory_runs"] = row or (0, 0)
    return +done


def trim_forgotten(
    connection: psycopg.Connection, messages: Sequence[str], quoting: Sequence[int]
) -> int:
    """Take the messages out of what the owner hid; what then hides nothing, or quotes, goes."""
    values = {"messages": list(messages), "quoting": list(quoting)}
    gone = connection.execute(
        """
        delete from forgotten where forgotten_id = any(%(quoting)s)
           or (message_ids && %(messages)s::uuid[] or hidden_ids && %(messages)s::uuid[]
               or memory_id in (select memory_id from erased_memories))
              and hidden_ids <@ %(messages)s::uuid[]
              and (memory_id is null or message_ids <@ %(messages)s::uuid[])
        """,
        values,
    ).rowcount
    return (
        gone
        + connection.execute(
            """
            update forgotten set
                message_ids = array(
                    select unnest(message_ids) except select unnest(%(messages)s::uuid[])),
                hidden_ids = array(
                    select unnest(hidden_ids) except select unnest(%(messages)s::uuid[]))
            where message_ids && %(messages)s::uuid[] or hidden_ids && %(messages)s::uuid[]
            """,
            values,
        ).rowcount
    )


def remove_persona(connection: psycopg.Connection) -> Counter[str]:
    """Habits, words, templates, preferences, traits, core memories that rest on a message, and
    what was measured of those who wrote one."""
    done: Counter[str] = Counter()
    for table in _OF_MESSAGES:
        name = sql.Identifier(table)
        done[table] += connection.execute(
            sql.SQL(
                "delete from {} where exists (select from unnest(message_ids) as raw (id) "
                "join erased_messages on erased_messages.id = raw.id)"
            ).format(name)
        ).rowcount
    speakers = "(select distinct speaker from erased_messages)"
    done["writing_style"] += connection.execute(
        f"delete from writing_style where partner in {speakers}"
    ).rowcount
    done["voice_tests"] += connection.execute(
        f"delete from voice_tests where speaker in {speakers}"
    ).rowcount
    return done


def remove_accounts(
    connection: psycopg.Connection, source: str | None, *, whole_source: bool
) -> Counter[str]:
    """Quotations of rows that were set aside or mended, of every source a message is from; of a
    source that goes whole its readings and its consent."""
    given = {"source": source, "erased": ERASED}
    affected = "(select distinct source from erased_messages union all select %(source)s::text)"
    done = Counter(
        import_problems=connection.execute(
            "update import_problems set excerpt = %(erased)s from imports "
            "where imports.import_id = import_problems.import_id and excerpt <> %(erased)s "
            f"and imports.source in {affected}",
            given,
        ).rowcount,
        dead_letters=connection.execute(
            "update dead_letters set excerpt = %(erased)s "
            f"where excerpt <> %(erased)s and source in {affected}",
            given,
        ).rowcount,
    )
    if whole_source:
        for table in ("imports", "consents"):
            done[table] += connection.execute(
                sql.SQL(
                    "delete from {} where source in (%(source)s, 'memories:' || %(source)s)"
                ).format(sql.Identifier(table)),
                given,
            ).rowcount
    return done


def remove_messages(connection: psycopg.Connection) -> int:
    """The messages themselves."""
    return connection.execute(
        "delete from raw_messages where id in (select id from erased_messages)"
    ).rowcount


def vacuum(connection: psycopg.Connection, tables: Sequence[str]) -> None:
    """Let the place of removed rows be used again; the connection commits by itself."""
    for table in tables:
        connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.Identifier(table)))


def _run(
    connection: psycopg.Connection, statements: Sequence[tuple[str, LiteralString]]
) -> Counter[str]:
    done: Counter[str] = Counter()
    for table, statement in statements:
        done[table] += connection.execute(statement).rowcount
    return done
