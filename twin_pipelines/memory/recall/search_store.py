"""The only SQL over `memory_embeddings` and `memory_words`: indexing, and what a search finds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.embeddings.encoder import Vectors
from twin_pipelines.embeddings.store import INDEX_LIMIT, INDEX_MEMORY, SEARCH_WIDTH
from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.memory.forgetting.store import CORE

CANDIDATES: dict[str, Any] = {
    "query": pl.Int32,
    "memory_id": pl.String,
    "type": pl.String,
    "kind": pl.String,
    "title": pl.String,
    "content": pl.String,
    "about": pl.String,
    "importance": pl.Float64,
    "first_at": pl.Datetime("us", "UTC"),
    "last_at": pl.Datetime("us", "UTC"),
    "happens_on": pl.Date,
    "pinned": pl.Boolean,
    "core": pl.Boolean,
    "recalls": pl.Int64,
    "last_recalled_at": pl.Datetime("us", "UTC"),
    "meaning": pl.Float64,
    "words": pl.Float64,
}
INDEXED_FROM = 10_000  # vectors; fewer are compared one by one
LOOKED_THROUGH = 100_000  # vectors an indexed search looks at, at most, where few may be found
BEHIND = 10  # times as many are looked up by words as are taken, as some may not be found
SATURATION, LENGTH_SHARE = 1.2, 0.75  # k1 and b of BM25
LENGTH = 6.0  # stems of a usual memory, in place of their mean
_LEAST = 1 + SATURATION * (1 - LENGTH_SHARE)  # so that no word counts for more than its weight

_PENDING = """
    from memories m
    left join memory_embeddings e on e.memory_id = m.memory_id and e.model = %(model)s
    left join memory_words w on w.memory_id = m.memory_id
    where m.status = 'active'
      and (e.content_hash is distinct from md5(m.content)
           or w.content_hash is distinct from md5(m.content))
"""
# Stems of English words; other languages pass through. A word that is only grammar has no stem.
_STEM = "unnest(ts_lexize('english_stem', replace(word, '''s', '')))"


def pending_contents(connection: psycopg.Connection, model: str, limit: int) -> pl.DataFrame:
    """Up to `limit` contents of active memories without a current vector or words, each once.

    Columns `content_hash`, `content`; `model` is the embedding model's id.
    """
    return fetch_frame(
        connection,
        f"select md5(m.content) as content_hash, min(m.content) as content {_PENDING} "
        "group by 1 order by 1 limit %(limit)s",
        {"model": model, "limit": limit},
    )


def write_index(
    connection: psycopg.Connection,
    model: str,
    contents: pl.DataFrame,
    words: Sequence[Sequence[str]],
    vectors: Vectors,
) -> int:
    """Give the active memories of these contents their vector and words; returns how many.

    `contents` has `content_hash`; `words` and `vectors` (unit length) are in its order.
    """
    from pgvector import HalfVector

    connection.execute(
        "create temporary table if not exists incoming_index "
        "(content_hash text primary key, words text[], embedding halfvec) on commit delete rows"
    )
    connection.execute("truncate incoming_index")
    with connection.cursor() as cursor:
        with cursor.copy("copy incoming_index from stdin (format binary)") as copy:
            copy.set_types(["text", "text[]", "halfvec"])
            for digest, own, vector in zip(contents["content_hash"], words, vectors, strict=True):
                copy.write_row((digest, list(own), HalfVector(vector)))
        cursor.execute("analyze incoming_index")
        cursor.execute(
            f"""
            insert into memory_words (memory_id, content_hash, words, length)
            select m.memory_id, i.content_hash, array_to_tsvector(stems), cardinality(stems)
            from incoming_index i
            cross join lateral (
                select coalesce(array_agg(distinct stem), '{{}}') as stems
                from unnest(i.words) as word, {_STEM} as stem
            ) as stemmed
            join memories m on md5(m.content) = i.content_hash and m.status = 'active'
            on conflict (memory_id) do update
            set (content_hash, words, length)
                = row(excluded.content_hash, excluded.words, excluded.length)
            """
        )
        cursor.execute(
            """
            insert into memory_embeddings (memory_id, model, content_hash, embedding)
            select m.memory_id, %s, i.content_hash, i.embedding
            from incoming_index i
            join memories m on md5(m.content) = i.content_hash and m.status = 'active'
            on conflict (memory_id, model) do update
            set (content_hash, embedding) = row(excluded.content_hash, excluded.embedding)
            """,
            [model],
        )
        return cursor.rowcount


# Whether a memory may be found at all.
_OPEN = """
    m.status = 'active' and m.imagined = %(dreams)s
    and (%(about)s::text is null or m.about = %(about)s)
    and (%(before)s::timestamptz is null or m.last_at < %(before)s)
    and (m.valid_until is null or m.valid_until > %(at)s)
"""
# What `limit 1` and the bare subquery say besides: look each one up, there are few.
_SEARCH = f"""
    with asked as materialized (
        select (place - 1)::int as query, words, vector::halfvec(%(dimensions)s) as vector
        from jsonb_to_recordset(%(queries)s::jsonb) as given (place int, words text[], vector text)
    ),
    wanted as materialized (
        select distinct query, stem from asked, unnest(words) as word, {_STEM} as stem
    ),
    extent as materialized (
        select count(*)::float8 as n from memory_words
    ),
    hits as materialized (
        select query, stem, found.memory_id, length
        from wanted cross join lateral (
            select memory_id, length from memory_words
            where words @@ quote_literal(stem)::tsquery
        ) as found
    ),
    rarity as materialized (
        select query, stem, ln(1 + (n - holders + 0.5) / (holders + 0.5)) as idf
        from (select query, stem, count(memory_id) as holders
              from wanted left join hits using (query, stem) group by query, stem) as counted,
             extent
    ),
    whole as (select query, sum(idf) as weight from rarity group by query),
    lexical as materialized (
        select query, memory_id, sum(idf * {_LEAST} / (1 + {SATURATION} * (
            1 - {LENGTH_SHARE} + {LENGTH_SHARE} * length / {LENGTH}))) / max(weight) as words
        from hits join rarity using (query, stem) join whole using (query)
        group by query, memory_id
    ),
    wordiest as materialized (
        select query, memory_id, words,
               row_number() over (partition by query order by words desc, memory_id) as rank
        from lexical
        where not %(dreams)s or memory_id in (select memory_id from memories where imagined)
    ),
    candidates as materialized (
        select query, near.memory_id from asked cross join lateral (
            select e.memory_id from memory_embeddings e
            where e.model = %(model)s
              and (select {_OPEN} from memories m where m.memory_id = e.memory_id)
            order by e.embedding::halfvec(%(dimensions)s) <=> asked.vector limit %(most)s
        ) as near
        union
        select query, memory_id from (
            select query, memory_id,
                   row_number() over (partition by query order by words desc, memory_id) as place
            from wordiest join memories m using (memory_id) where rank <= {BEHIND} * %(most)s
              and {_OPEN}
        ) as placed where place <= %(most)s
        union
        select query, memory_id from asked, memories m
        where memory_id = any(%(besides)s::uuid[]) and {_OPEN}
    )
    select query, m.memory_id::text, m.type, m.kind, m.title, m.content, m.about, m.importance,
           m.first_at, m.last_at, m.happens_on, m.pinned, {CORE} as core,
           coalesce(r.recalls, 0) as recalls, r.last_recalled_at,
           coalesce(1 - (e.embedding <=> asked.vector), 0) as meaning,
           coalesce(l.words, 0) as words
    from candidates join asked using (query) left join lexical l using (query, memory_id)
    cross join lateral (
        select * from memories where memories.memory_id = candidates.memory_id limit 1
    ) as m
    left join lateral (
        select * from memory_recalls where memory_recalls.memory_id = m.memory_id limit 1
    ) as r on true
    left join lateral (
        select embedding from memory_embeddings own
        where own.memory_id = m.memory_id and own.model = %(model)s limit 1
    ) as e on true
    order by query, m.memory_id
"""


def candidates(
    connection: psycopg.Connection,
    *,
    model: str,
    words: Sequence[Sequence[str]],
    vectors: Vectors,
    at: datetime,
    before: datetime | None,
    dreams: bool,
    most: int,
    core: tuple[float, int],
    about: str | None = None,
    besides: Sequence[str] = (),
) -> pl.DataFrame:
    """Memories that may answer each query (CANDIDATES), in one statement for all.

    `words` and `vectors` (of the embedding model `model`) are those of the queries. Found are at
    most `most` by meaning (cosine similarity) and by words (BM25 as a share of the query's weight,
    0 to 1) each, and every candidate has both; `besides` are candidates too, where they may be
    found at all. Only active memories that hold at `at` and were last said before `before`; dreams
    alone, or none. `core` holds the thresholds of core memories: importance, sessions.
    """
    queries = [
        {"place": place, "words": list(own), "vector": f"[{','.join(f'{x:.5g}' for x in vector)}]"}
        for place, (own, vector) in enumerate(zip(words, vectors, strict=True), start=1)
    ]
    asked = {
        "queries": json.dumps(queries),
        "dimensions": vectors.shape[1],
        "model": model,
        "at": at,
        "before": before,
        "dreams": dreams,
        "most": most,
        "about": about,
        "besides": list(besides),
        "core_threshold": core[0],
        "core_sessions": core[1],
    }
    with connection.transaction():
        connection.execute(
            """
            select set_config('hnsw.ef_search', %s, true),
                   case when string_to_array(extversion, '.')::int[] >= '{0,8}'
                        then set_config('hnsw.iterative_scan', 'relaxed_order', true) end,
                   case when string_to_array(extversion, '.')::int[] >= '{0,8}'
                        then set_config('hnsw.max_scan_tuples', %s, true) end
            from pg_extension where extname = 'vector'
            """,
            [str(min(max(most, SEARCH_WIDTH), 1_000)), str(LOOKED_THROUGH)],
        )
        return fetch_frame(connection, _SEARCH, asked, schema=CANDIDATES)


def ensure_index(connection: psycopg.Connection, model: str, dimensions: int) -> bool:
    """Make the model's HNSW index where it pays (`INDEXED_FROM` vectors) and there is none.

    True when it was made now. Fewer vectors, or longer ones than an index can hold, are searched
    exactly.
    """
    name = f"memory_embeddings_{hashlib.sha256(model.encode()).hexdigest()[:12]}"
    if dimensions > INDEX_LIMIT:
        return False
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('memory_embeddings index'))")
        row = connection.execute(
            "select to_regclass(%s) is null and "
            "(select count(*) from memory_embeddings where model = %s) >= %s",
            (name, model, INDEXED_FROM),
        ).fetchone()
        if row != (True,):
            return False
        connection.execute("select set_config('maintenance_work_mem', %s, true)", [INDEX_MEMORY])
        connection.execute(
            sql.SQL(
                "create index {name} on memory_embeddings using hnsw "
                "((embedding::halfvec({dimensions})) halfvec_cosine_ops) where model = {model}"
            ).format(
                name=sql.Identifier(name),
                dimensions=sql.Literal(dimensions),
                model=sql.Literal(model),
            )
        )
    return True


def index_summary(connection: psycopg.Connection, model: str) -> pl.DataFrame:
    """One row a type of active memories: `memories`, `embedded`, `worded`, and their vectors.

    `embedded` and `worded` count what was made of the present content; `shortest` and `longest` are
    Euclidean lengths, `dimensions` how many different ones there are.
    """
    return fetch_frame(
        connection,
        """
        select m.type, count(*) as memories,
               count(*) filter (where e.content_hash = md5(m.content)) as embedded,
               count(*) filter (where w.content_hash = md5(m.content)) as worded,
               min(l2_norm(e.embedding)) as shortest, max(l2_norm(e.embedding)) as longest,
               count(distinct vector_dims(e.embedding)) as dimensions
        from memories m
        left join memory_embeddings e on e.memory_id = m.memory_id and e.model = %s
        left join memory_words w on w.memory_id = m.memory_id
        where m.status = 'active' group by m.type order by m.type
        """,
        [model],
    )
