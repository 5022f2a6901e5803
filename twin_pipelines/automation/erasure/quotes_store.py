"""The SQL over what quotes an erased message without naming it: corrections, words that are never
to be said, chats, the persona page and prompts.

What quotes is found by its words; the caller has begun the transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.automation.erasure.removal_store import ERASED


def corrections(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Every correction with all it says."""
    rows = connection.execute(
        """
        select corrections.id::text, concat_ws(chr(10), rejected, chosen, (
            select string_agg(message ->> 'content', chr(10))
            from jsonb_array_elements(prompt) as message))
        from corrections
        """
    )
    return list(rows.fetchall())


def forgotten_words(connection: psycopg.Connection) -> list[tuple[int, str]]:
    """What the owner wants never recalled, with its words."""
    return list(connection.execute("select forgotten_id, words from forgotten").fetchall())


def never_says(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """What the owner never wants to hear."""
    query = "select never_id::text, phrase || chr(10) || reason from never_says"
    return list(connection.execute(query).fetchall())


def remove_corrections(
    connection: psycopg.Connection, ids: Sequence[str], never_ids: Sequence[str]
) -> Counter[str]:
    """Corrections that quote, and words never to be said that do."""
    never = connection.execute(
        "delete from never_says "
        "where never_id = any(%s::uuid[]) or correction_id = any(%s::uuid[])",
        (list(never_ids), list(ids)),
    ).rowcount
    gone = connection.execute(
        "delete from corrections where id = any(%s::uuid[])", (list(ids),)
    ).rowcount
    return Counter(corrections=gone, never_says=never)


def chat_turns(connection: psycopg.Connection) -> list[tuple[str, int, str, str]]:
    """Every turn of a chat that is kept: chat, place, what was said, what the answer was asked
    with."""
    rows = connection.execute(
        """
        select chat_id::text, place, content, coalesce((
            select string_agg(message ->> 'content', chr(10))
            from jsonb_array_elements(prompt) as message), '')
        from chat_turns
        """
    )
    return list(rows.fetchall())


def summaries(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Chats with what is kept of their beginning."""
    rows = connection.execute("select chat_id::text, summary from chats where summary <> ''")
    return list(rows.fetchall())


def select_chats(connection: psycopg.Connection, turns: Sequence[tuple[str, int]]) -> list[str]:
    """Find the turns that quote (`turns`) or became an erased message, as `erased_chat_turns`;
    the chats they are of."""
    connection.execute(
        """
        create temporary table erased_chat_turns on commit drop as
        select chat_id, place from unnest(%s::uuid[], %s::int[]) as quoting (chat_id, place)
        union
        select chat_id, place from chat_turns join erased_messages
          on source = 'chat' and source_message_id = format('%%s/%%s', chat_id, place)
        """,
        ([chat for chat, _ in turns], [place for _, place in turns]),
    )
    rows = connection.execute("select distinct chat_id::text from erased_chat_turns order by 1")
    return [chat for (chat,) in rows.fetchall()]


def empty_chats(
    connection: psycopg.Connection,
    prompts: Sequence[tuple[str, int]],
    summed: Sequence[str],
    person: str | None,
) -> Counter[str]:
    """Empty the turns of `erased_chat_turns`, and of others the prompts (`prompts`, and those with
    an erased memory in them); drop summaries (`summed`, and of chats that lost a turn), and the
    chats of a person who goes whole."""
    gone = connection.execute("delete from chats where partner = %s", (person,)).rowcount
    connection.execute(
        """
        delete from preference_pairs using erased_chat_turns as turn
        where (liked_chat, liked_place) = (turn.chat_id, turn.place)
           or (disliked_chat, disliked_place) = (turn.chat_id, turn.place)
        """
    )
    said = connection.execute(
        """
        update chat_turns as turn
        set content = %s, prompt = null, memory_ids = '{}', thumb = null, landed = true
        from erased_chat_turns as going
        where (turn.chat_id, turn.place) = (going.chat_id, going.place)
        """,
        (ERASED,),
    ).rowcount
    asked = connection.execute(
        """
        update chat_turns as turn
        set prompt = null,
            memory_ids = array(
                select unnest(memory_ids) except select memory_id from erased_memories)
        where (prompt is not null or memory_ids <> '{}')
          and ((chat_id, place) in (select * from unnest(%s::uuid[], %s::int[]))
               or memory_ids && array(select memory_id from erased_memories))
        """,
        ([chat for chat, _ in prompts], [place for _, place in prompts]),
    ).rowcount
    lost = connection.execute(
        """
        update chats set summary = '', summarised = 0
        where summary <> '' and (chat_id = any(%s::uuid[])
                                 or chat_id in (select chat_id from erased_chat_turns))
        """,
        (list(summed),),
    ).rowcount
    return Counter(chats=gone + lost, chat_turns=said + asked)


def pages(connection: psycopg.Connection) -> list[tuple[int, str, dict[str, Any], bool]]:
    """Versions of the persona page that rest on a message: version, speaker, document, and whether
    it is the one in use."""
    rows = connection.execute(
        """
        select version, speaker, document, version = max(version) over (partition by speaker)
        from core_identities where exists (
            select from unnest(message_ids) as raw (id)
            join erased_messages on erased_messages.id = raw.id)
           or version in (select max(version) from core_identities group by speaker)
        order by version
        """
    )
    return list(rows.fetchall())


def rewrite_page(connection: psycopg.Connection, version: int, values: dict[str, Any]) -> None:
    """Put a page in place of another of the same version."""
    connection.execute(
        """
        update core_identities set document = %(document)s, content = %(content)s,
            short_form = %(short_form)s, tokens = %(tokens)s, inputs_hash = %(inputs_hash)s,
            message_ids = %(message_ids)s
        where version = %(version)s
        """,
        {**values, "document": Jsonb(values["document"]), "version": version},
    )


def remove_pages(connection: psycopg.Connection, versions: Sequence[int]) -> int:
    """Delete former versions of the persona page."""
    return connection.execute(
        "delete from core_identities where version = any(%s)", (list(versions),)
    ).rowcount


def personas(connection: psycopg.Connection) -> list[tuple[int, dict[str, Any]]]:
    """Releases with the persona they were judged with."""
    return list(connection.execute("select release_id, persona from releases").fetchall())


def rewrite_persona(
    connection: psycopg.Connection, release_id: int, persona: dict[str, Any]
) -> None:
    """Put a persona in place of another."""
    connection.execute(
        "update releases set persona = %s where release_id = %s", (Jsonb(persona), release_id)
    )


def prompts(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Datasets with the prompt before every chat."""
    rows = connection.execute(
        "select version, settings ->> 'system_prompt' from datasets "
        "where settings ? 'system_prompt'"
    )
    return list(rows.fetchall())


def rewrite_prompt(connection: psycopg.Connection, version: str, prompt: str) -> None:
    """Put a prompt in place of another."""
    connection.execute(
        "update datasets set settings = settings || jsonb_build_object('system_prompt', %s::text) "
        "where version = %s",
        (prompt, version),
    )
