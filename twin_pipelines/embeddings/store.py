"""The only SQL over `message_embeddings`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from uuid import UUID

import numpy as np
import numpy.typing as npt
import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.foundation.days import DayRange

INDEX_LIMIT = 4_000  # dimensions an HNSW index of halfvec can have
SEARCH_WIDTH = 100  # candidates HNSW keeps while searching; recall about 0.998
INDEX_MEMORY = "256MB"

# Turns of the days whose vector of the model is missing or was made of another text.
_PENDING = """
    from cleaned_messages c
    left join message_embeddings e on e.message_id = c.id and e.model = %(model)s
    where c.day between %(first)s and %(last)s
      and e.content_hash is distinct from c.content_hash
"""
_UPSERT = """
    on conflict (message_id, model) do update
    set content_hash = excluded.content_hash, embedding = excluded.embedding
"""


def pending_days(
    connection: psycopg.Connection, days: DayRange, model: str
) -> list[tuple[date, int]]:
    """Days that hold turns without a current vector of the model, and how many, in order."""
    rows = connection.execute(
        f"select c.day, count(*) {_PENDING} group by c.day order by c.day", _about(days, model)
    )
    return [(day, turns) for day, turns in rows.fetchall()]


def reuse_vectors(connection: psycopg.Connection, days: DayRange, model: str) -> int:
    """Give pending turns the vector their text already has elsewhere; returns how many."""
    return connection.execute(
        f"""
        insert into message_embeddings (message_id, model, content_hash, embedding)
        select pending.id, %(model)s, pending.content_hash, known.embedding
        from (select c.id, c.content_hash {_PENDING}) as pending
        cross join lateral (
            select embedding from message_embeddings
            where content_hash = pending.content_hash and model = %(model)s
            limit 1
        ) as known
        {_UPSERT}
        """,
        _about(days, model),
    ).rowcount


def pending_texts(
    connection: psycopg.Connection, days: DayRange, model: str, limit: int
) -> pl.DataFrame:
    """Up to `limit` texts of the days that have no vector of the model anywhere, each once.

    Columns `content_hash`, `text`.
    """
    return fetch_frame(
        connection,
        f"""
        select c.content_hash, min(c.text) as text {_PENDING}
          and not exists (
              select from message_embeddings known
              where known.content_hash = c.content_hash and known.model = %(model)s
          )
        group by c.content_hash order by min(c.day), c.content_hash limit %(limit)s
        """,
        {**_about(days, model), "limit": limit},
    )


def write_vectors(
    connection: psycopg.Connection,
    days: DayRange,
    model: str,
    hashes: Sequence[str],
    vectors: npt.NDArray[np.float32],
) -> int:
    """Give every pending turn of the days the vector of its text; returns how many got one."""
    from pgvector import HalfVector

    connection.execute(
        """
        create temporary table if not exists incoming_vectors
            (content_hash text primary key, embedding halfvec) on commit delete rows
        """
    )
    connection.execute("truncate incoming_vectors")
    with connection.cursor() as cursor:
        with cursor.copy("copy incoming_vectors from stdin (format binary)") as copy:
            copy.set_types(["text", "halfvec"])
            for content_hash, vector in zip(hashes, vectors, strict=True):
                copy.write_row((content_hash, HalfVector(vector)))
        cursor.execute("analyze incoming_vectors")
        cursor.execute(
            f"""
            insert into message_embeddings (message_id, model, content_hash, embedding)
            select pending.id, %(model)s, pending.content_hash, incoming.embedding
            from (select c.id, c.content_hash {_PENDING}) as pending
            join incoming_vectors as incoming using (content_hash)
            {_UPSERT}
            """,
            _about(days, model),
        )
        return cursor.rowcount


def ensure_index(connection: psycopg.Connection, model: str, dimensions: int) -> bool:
    """Make the model's HNSW index if there is none; True when it was made now.

    Vectors longer than an index can hold are searched without one, exactly.
    """
    name = index_name(model)
    if dimensions > INDEX_LIMIT:
        return False
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('message_embeddings index'))")
        if connection.execute("select to_regclass(%s)", [name]).fetchone() != (None,):
            return False
        connection.execute("select set_config('maintenance_work_mem', %s, true)", [INDEX_MEMORY])
        connection.execute(
            sql.SQL(
                "create index {name} on message_embeddings "
                "using hnsw ({vector} halfvec_cosine_ops) where model = {model}"
            ).format(name=sql.Identifier(name), vector=_typed(dimensions), model=sql.Literal(model))
        )
    return True


def drop_index(connection: psycopg.Connection, model: str) -> None:
    """Remove the model's HNSW index, so that many vectors can be added fast; search stays exact."""
    connection.execute(sql.SQL("drop index if exists {}").format(sql.Identifier(index_name(model))))


def index_name(model: str) -> str:
    """Name of the model's HNSW index."""
    return f"message_embeddings_{hashlib.sha256(model.encode()).hexdigest()[:12]}"


def nearest(
    connection: psycopg.Connection, model: str, vector: npt.NDArray[np.float32], k: int
) -> list[tuple[UUID, float]]:
    """The k turns most like a unit-length vector: ids and cosine similarities, best first."""
    from pgvector import HalfVector

    query = sql.SQL(
        """
        with found as materialized (
            select message_id, {vector} <=> %(vector)s as distance
            from message_embeddings
            where model = {model}
            order by {vector} <=> %(vector)s
            limit %(k)s
        )
        select message_id, 1 - distance from found order by distance, message_id
        """
    ).format(vector=_typed(len(vector)), model=sql.Literal(model))
    with connection.transaction():
        connection.execute(
            """
            select set_config('hnsw.ef_search', %s, true),
                   case when string_to_array(extversion, '.')::int[] >= '{0,8}'
                        then set_config('hnsw.iterative_scan', 'relaxed_order', true) end
            from pg_extension where extname = 'vector'
            """,
            [str(min(max(k, SEARCH_WIDTH), 1_000))],
        )
        rows = connection.execute(query, {"vector": HalfVector(vector), "k": k})
        return [(message_id, similarity) for message_id, similarity in rows.fetchall()]


def embedded_fraction(connection: psycopg.Connection, model: str | None = None) -> float | None:
    """Share of all turns with a current vector of the model; None without turns.

    Without a model: of the one that covers most.
    """
    row = connection.execute(
        """
        select max(embedded)::float8 / nullif((select count(*) from cleaned_messages), 0)
        from (
            select 0 as embedded
            union all
            select count(*) from message_embeddings e
            join cleaned_messages c on c.id = e.message_id and c.content_hash = e.content_hash
            where %(model)s::text is null or e.model = %(model)s
            group by e.model
        ) as coverage
        """,
        {"model": model},
    ).fetchone()
    return row[0] if row else None


def vector_total(connection: psycopg.Connection, model: str) -> int:
    """How many turns have a vector of the model."""
    query = "select count(*) from message_embeddings where model = %s"
    row = connection.execute(query, [model]).fetchone()
    return row[0] if row else 0


def vector_summary(
    connection: psycopg.Connection, days: DayRange | None, model: str
) -> pl.DataFrame:
    """One row a day: `turns`, those `embedded` from their present text, and what the vectors are.

    Columns `day, turns, embedded, shortest, longest` (Euclidean lengths) and `dimensions` (how many
    different ones there are).
    """
    return fetch_frame(
        connection,
        """
        select c.day, count(*) as turns,
               count(*) filter (where e.content_hash = c.content_hash) as embedded,
               min(l2_norm(e.embedding)) as shortest, max(l2_norm(e.embedding)) as longest,
               count(distinct vector_dims(e.embedding)) as dimensions
        from cleaned_messages c
        left join message_embeddings e on e.message_id = c.id and e.model = %(model)s
        where %(first)s::date is null or c.day between %(first)s and %(last)s
        group by c.day order by c.day
        """,
        {"model": model, "first": days and days.first, "last": days and days.last},
    )


def vector_counts(connection: psycopg.Connection, days: DayRange, model: str) -> dict[date, int]:
    """Vectors of the model by day, for the days that have any."""
    rows = connection.execute(
        """
        select c.day, count(*) from cleaned_messages c
        join message_embeddings e on e.message_id = c.id
        where e.model = %(model)s and c.day between %(first)s and %(last)s
        group by c.day
        """,
        _about(days, model),
    )
    return dict(rows.fetchall())


def _about(days: DayRange, model: str) -> dict[str, object]:
    return {"model": model, "first": days.first, "last": days.last}


def _typed(dimensions: int) -> sql.Composable:
    return sql.SQL("(embedding::halfvec({}))").format(sql.Literal(dimensions))
