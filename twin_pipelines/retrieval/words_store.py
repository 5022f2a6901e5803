"""The only SQL over `search_words`: how the words of the index are spelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from twin_pipelines.retrieval.spelling import MOST_SLIPS, Spelled

SHARED = 0.2  # of their groups of three letters that two words have in common, at least
MOST = 120  # words that are looked at for each that is asked


def add(connection: psycopg.Connection, words: Mapping[str, int]) -> None:
    """Keep words with the numbers of their terms; those that are kept alike stay untouched."""
    connection.execute(
        """
        insert into search_words (word, term)
        select * from unnest(%s::text[], %s::int[]) as new (word, term) order by word
        on conflict (word) do update set term = excluded.term
        where search_words.term <> excluded.term
        """,
        [list(words), list(words.values())],
    )


def forget_unused(connection: psycopg.Connection) -> int:
    """Delete words that stand in no entry any more; how many."""
    return connection.execute(
        "delete from search_words using search_terms"
        " where search_terms.term = search_words.term and search_terms.around <= 0"
    ).rowcount


def spelled_like(connection: psycopg.Connection, words: Sequence[str]) -> dict[str, list[Spelled]]:
    """For each word those of the index that share most letters with it, and stand in an entry."""
    connection.execute(
        "select set_config('pg_trgm.similarity_threshold', %s, true)", [str(SHARED)], prepare=True
    )
    rows = connection.execute(
        """
        select asked.word, near.word, t.around
        from unnest(%s::text[]) as asked (word) cross join lateral (
            select word, term from search_words
            where search_words.word %% asked.word
              and length(search_words.word) between length(asked.word) - %s
                                                and length(asked.word) + %s
            order by similarity(search_words.word, asked.word) desc, search_words.word limit %s
        ) as near join search_terms t on t.term = near.term and t.around > 0
        """,
        [list(words), MOST_SLIPS, MOST_SLIPS, MOST],
        prepare=True,
    ).fetchall()
    found: dict[str, list[Spelled]] = {}
    for asked, word, entries in rows:
        found.setdefault(asked, []).append(Spelled(word, entries))
    return found
