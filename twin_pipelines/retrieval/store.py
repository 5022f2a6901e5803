"""The only SQL of the room: candidates for questions, with every score they are ranked by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import Vectors
from twin_pipelines.foundation.database import fetch_frame

CANDIDATES: dict[str, Any] = {
    "query": pl.Int32,
    "message_id": pl.String,
    "session_id": pl.String,
    "text": pl.String,
    "sent_at": pl.Datetime("us", "UTC"),
    "said": pl.Float64,
    "answered": pl.Float64,
    "words": pl.Float64,
}
SATURATION, LENGTH_SHARE = 1.2, 0.75  # k1 and b of BM25
FEWEST_CHARS = 8  # of a turn besides its questions

# Words of a text: stems, and of Thai, which has no spaces, the trigrams of each run of letters.
_TERMS = """
    select lexeme as term, cardinality(positions)::float8 as times
    from unnest(to_tsvector('english', {text}))
    where lexeme !~ '[\u0e00-\u0e7f]'
    union all
    select term, count(*)::float8
    from regexp_matches({text}, '[\u0e00-\u0e7f]+', 'g') as run, unnest(show_trgm(run[1])) as term
    group by term
"""
_SEARCH = f"""
    with asked as materialized (
        select (place - 1)::int as query, text, vector::halfvec as vector
        from unnest(%(texts)s::text[], %(vectors)s::text[])
            with ordinality as given (text, vector, place)
    ),
    turns as (
        select id, speaker, session_id, text, sent_at, ended_at,
               lag(id) over session as before_id, lag(text) over session as before_text,
               lag(speaker) over session as before_by
        from cleaned_messages
        window session as (partition by session_id order by day, place)
    ),
    own as materialized (
        select turns.id, session_id, text, sent_at, said.embedding as said,
               asked.embedding as answered,
               concat_ws(' ', case when before_by <> speaker then before_text end, text) as exchange
        from turns
        left join message_embeddings said on said.message_id = id and said.model = %(model)s
        left join message_embeddings asked
            on asked.message_id = before_id and before_by <> speaker and asked.model = %(model)s
        where speaker = %(speaker)s
          and (%(before)s::timestamptz is null or ended_at < %(before)s)
          and length(regexp_replace(text, '[^.!?\\n]*[?]+', '', 'g')) >= {FEWEST_CHARS}
    ),
    terms as materialized (
        select own.id, term, times from own, lateral ({_TERMS.format(text="exchange")}) as found
    ),
    lengths as materialized (select id, sum(times) as length from terms group by id),
    rarity as materialized (
        select term, ln(1 + (n - count(*) + 0.5) / (count(*) + 0.5)) as idf
        from terms, (select count(*) as n from lengths) as turns group by term, n
    ),
    lexical as materialized (
        select query, id, sum(
            idf * times * ({SATURATION} + 1) / (times + {SATURATION} * (
                1 - {LENGTH_SHARE} + {LENGTH_SHARE} * length / average
            ))
        ) as words
        from (
            select distinct query, term
            from asked, lateral ({_TERMS.format(text="asked.text")}) as word
        ) as wanted
        join rarity using (term) join terms using (term) join lengths using (id),
        (select avg(length) as average from lengths) as mean
        group by query, id
    ),
    candidates as (
        select query, near.id from asked cross join lateral (
            select id from own where said is not null order by said <=> vector, id limit %(most)s
        ) as near
        union
        select query, near.id from asked cross join lateral (
            select id from own where answered is not null
            order by answered <=> vector, id limit %(most)s
        ) as near
        union
        select query, id from (
            select query, id, row_number() over (partition by query order by words desc, id) as rank
            from lexical
        ) as ranked where rank <= %(most)s
    )
    select query, id::text as message_id, session_id::text, own.text, sent_at,
           1 - (said <=> vector) as said, 1 - (answered <=> vector) as answered,
           coalesce(words, 0) as words
    from candidates join asked using (query) join own using (id)
    left join lexical using (query, id)
    order by query, id
"""


def candidates(
    connection: psycopg.Connection,
    *,
    speaker: str,
    model: str,
    texts: Sequence[str],
    vectors: Vectors,
    before: datetime | None,
    most: int,
) -> pl.DataFrame:
    """Turns of the speaker that may answer each text (CANDIDATES), in one statement for all.

    `vectors` are those of the texts, of the embedding model `model`. Found are at most `most` by
    each of three signs, and every candidate has all three: `said` (cosine similarity of the turn),
    `answered` (of the turn before it, which it replies to; null without one), `words` (BM25 of both
    together). Turns that only ask, and those that ended at `before` or later, are left out. With no
    vectors of the model the words alone decide.
    """
    if not texts:
        return pl.DataFrame(schema=CANDIDATES)
    return fetch_frame(
        connection,
        _SEARCH,
        {
            "texts": [text.replace("\0", "") for text in texts],
            "vectors": [f"[{','.join(f'{x:.5g}' for x in vector)}]" for vector in vectors],
            "speaker": speaker,
            "model": model,
            "before": before,
            "most": most,
        },
        schema=CANDIDATES,
    )
