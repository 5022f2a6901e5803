"""The SQL that finds what an erasure removes, into tables that last as long as its transaction.

`erased_messages` are the messages themselves; `erased_turns`, `erased_sessions`, `erased_pairs` and
`erased_memories` what was derived from them, by lineage; `erased_texts` the words of all of it that
somebody wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import psycopg

from twin_pipelines.automation.erasure.request import Request
from twin_pipelines.sources.messages import TWIN

_FITS = """
    (%(message)s::uuid is null or id = %(message)s::uuid)
    and (%(conversation)s::text is null or conversation_id = %(conversation)s)
    and (%(person)s::text is null or speaker = %(person)s)
    and (%(source)s::text is null or source = %(source)s)
    and (%(first_day)s::date is null or day >= %(first_day)s)
    and (%(last_day)s::date is null or day <= %(last_day)s)
"""
_MEMORY_FITS = """
    (%(person)s::text is null or about = %(person)s or %(person)s = any(people))
    and (%(source)s::text is null or %(source)s in (
        split_part(source_ref, '/', 1), 'memories:' || split_part(source_ref, '/', 1)))
    and (%(first_day)s::date is null or (first_at at time zone 'UTC')::date >= %(first_day)s)
    and (%(last_day)s::date is null or (first_at at time zone 'UTC')::date <= %(last_day)s)
"""


def lock_landings(connection: psycopg.Connection, seconds: int) -> None:
    """Let nobody land a message, nor change what can be found, until the transaction ends.

    Raises psycopg.errors.LockNotAvailable when somebody does for longer than so many seconds.
    """
    connection.execute("select set_config('lock_timeout', %s, true)", (f"{seconds}s",))
    connection.execute("lock table raw_messages in share row exclusive mode")
    connection.execute("select from search_state for update")


def sources_of_conversation(connection: psycopg.Connection, conversation: str) -> list[str]:
    """The sources that have a conversation of this name."""
    rows = connection.execute(
        "select distinct source from raw_messages where conversation_id = %s order by 1",
        (conversation,),
    )
    return [source for (source,) in rows.fetchall()]


def select_messages(connection: psycopg.Connection, request: Request) -> int:
    """Find the messages that were asked for, as `erased_messages`; how many."""
    connection.execute(
        f"""
        create temporary table erased_messages on commit drop as
        select id, source, source_message_id, conversation_id, speaker, text, sent_at, day,
               spoken_words(text) as said, false as telling
        from raw_messages where {_FITS}
        """,
        vars(request),
    )
    return _ready(connection, "erased_messages", "id")


def untold(connection: psycopg.Connection) -> list[str]:
    """What the messages say (`spoken_words`) and no other message says in the same words."""
    rows = connection.execute(
        """
        select said from erased_messages where said <> '' group by said
        except
        select spoken_words(text) from raw_messages
        where id not in (select id from erased_messages) and speaker <> %s
        """,
        (TWIN,),
    )
    return [said for (said,) in rows.fetchall()]


def mark_telling(connection: psycopg.Connection, said: Sequence[str]) -> None:
    """Note which messages nobody else says by chance."""
    connection.execute(
        "update erased_messages set telling = true where said = any(%s)", (list(said),)
    )


def twins_own(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Identity and text of what the twin itself said and is not selected yet."""
    rows = connection.execute(
        "select id::text, text from raw_messages "
        "where speaker = %s and id not in (select id from erased_messages)",
        (TWIN,),
    )
    return list(rows.fetchall())


def add_messages(connection: psycopg.Connection, ids: Sequence[str]) -> None:
    """Select more messages."""
    connection.execute(
        """
        insert into erased_messages
        select id, source, source_message_id, conversation_id, speaker, text, sent_at, day,
               spoken_words(text), false
        from raw_messages where id = any(%s::uuid[])
        """,
        (list(ids),),
    )


def select_derived(connection: psycopg.Connection, request: Request) -> None:
    """Find what was derived from the messages."""
    _make(
        connection,
        "erased_turns",
        "id",
        """
        select distinct turn.id, turn.session_id, turn.text
        from cleaned_messages as turn cross join unnest(raw_ids) as raw (id)
        join erased_messages on erased_messages.id = raw.id
        """,
    )
    _make(
        connection,
        "erased_sessions",
        "session_id",
        "select distinct session_id from erased_turns",
    )
    _make(
        connection,
        "erased_pairs",
        "id",
        """
        select distinct pair.id, pair.day
        from instruct_pairs as pair cross join unnest(message_ids) as raw (id)
        join erased_messages on erased_messages.id = raw.id
        """,
    )
    _make(connection, "erased_memories", "memory_id", *_memories(request))


def note_texts(connection: psycopg.Connection) -> None:
    """Gather the words of all that goes and that somebody wrote, as `erased_texts`."""
    connection.execute(
        """
        create temporary table erased_texts on commit drop as
        select text from erased_messages
        union select text from erased_turns
        union select content from memories join erased_memories using (memory_id)
              where origin in ('imported', 'owner')
        """
    )


def told(connection: psycopg.Connection) -> list[str]:
    """The words of the selected messages that nobody else says by chance, and of imported memories
    that go."""
    rows = connection.execute(
        """
        select distinct text from erased_messages where telling
        union
        select content from memories join erased_memories using (memory_id)
        where origin in ('imported', 'owner')
        """
    )
    return [text for (text,) in rows.fetchall()]


def anything_else(connection: psycopg.Connection) -> bool:
    """Whether a memory is selected."""
    row = connection.execute("select exists (select from erased_memories)").fetchone()
    return bool(row and row[0])


def message_ids(connection: psycopg.Connection) -> list[str]:
    """Identities of the selected messages."""
    rows = connection.execute("select id::text from erased_messages order by id").fetchall()
    return [message for (message,) in rows]


def days_of_messages(connection: psycopg.Connection) -> list[date]:
    """Days on which a selected message was sent."""
    rows = connection.execute("select distinct day from erased_messages order by day").fetchall()
    return [day for (day,) in rows]


def days_beyond(connection: psycopg.Connection) -> list[date]:
    """Other days that are derived otherwise without the messages: sessions that began with one,
    pairs and memories that rest on one, duplicates that were left out for one."""
    rows = connection.execute(
        """
        select turn.day from cleaned_messages as turn
            join erased_messages as first on first.id = turn.session_id
        union select day from erased_pairs
        union select day from memories join erased_memories using (memory_id) where day is not null
        union select dropped_messages.day from dropped_messages
              join erased_messages on erased_messages.id = kept_id
        order by 1
        """
    ).fetchall()
    return [day for (day,) in rows]


def leaves_nothing_of(connection: psycopg.Connection, speaker: str) -> bool:
    """Whether a speaker would have no message left who has one now."""
    row = connection.execute(
        """
        select count(*) > 0 and count(*) filter (
            where id not in (select id from erased_messages)) = 0
        from raw_messages where speaker = %s
        """,
        (speaker,),
    ).fetchone()
    return bool(row and row[0])


def _memories(request: Request) -> tuple[str, dict[str, object]]:
    """Memories that rest on a message, that were imported of what is named, or of a person who
    goes whole; and whatever was made of one of them."""
    named = "false"
    if not request.message and not request.conversation:
        kinds = "true" if request.whole_person else "origin = 'imported'"
        named = f"{kinds} and {_MEMORY_FITS}"
    query = f"""
        with recursive going as (
            select memory_id from memories where {named}
            union
            select memories.memory_id
            from memories cross join unnest(message_ids) as raw (id)
            join erased_messages on erased_messages.id = raw.id
            union
            select made.memory_id from going join memories as made
              on made.source_ids @> array[going.memory_id]
        )
        select memory_id from going
    """
    return query, vars(request)


def _make(
    connection: psycopg.Connection,
    table: str,
    key: str,
    query: str,
    given: dict[str, object] | None = None,
) -> None:
    connection.execute(f"create temporary table {table} on commit drop as {query}", given)
    _ready(connection, table, key)


def _ready(connection: psycopg.Connection, table: str, key: str) -> int:
    connection.execute(f"create index on {table} ({key})")
    connection.execute(f"analyze {table}")
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0
