"""The SQL that reads, and rewrites, every text a database holds, whatever table it stands in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from twin_pipelines.automation.erasure.traces import APART, Traces, inflated

AT_ONCE = 2_000  # rows
TEXTLESS = (
    *("uuid", "vector", "halfvec", "sparsevec", "pg_lsn", "xid", "xid8", "pg_snapshot", "tid"),
    *("tsvector", "cid", "oid", "bit", "varbit"),  # a tsvector holds words in no order
)


@dataclass(frozen=True)
class Column:
    """A column of a table; `listed`: of lists, `keyed`: it is part of an identity."""

    schema: str
    table: str
    name: str
    type: str  # of its items, where `listed`
    listed: bool
    keyed: bool

    @property
    def place(self) -> sql.Composed:
        """The table, for a statement."""
        return sql.SQL("{}.{}").format(sql.Identifier(self.schema), sql.Identifier(self.table))


@dataclass(frozen=True)
class Held:
    """Rows of a table in which something was found, by column."""

    table: str
    column: str
    rows: int


def columns(connection: psycopg.Connection) -> list[Column]:
    """Every column of every table that can hold words."""
    rows = connection.execute(
        """
        select space.nspname, class.relname, attname, format_type(element.oid, null),
               type.typcategory = 'A',
               exists (select from pg_index
                       where indrelid = class.oid and indisunique and attnum = any(indkey))
        from pg_attribute
        join pg_class as class on class.oid = attrelid and relkind = 'r'
        join pg_namespace as space on space.oid = relnamespace
        join pg_type as type on type.oid = atttypid
        join pg_type as element
          on element.oid = case when type.typelem <> 0 and type.typcategory = 'A'
                                then type.typelem
                                when type.typbasetype <> 0 then type.typbasetype else type.oid end
        where attnum > 0 and not attisdropped and attgenerated = ''
          and nspname not in ('pg_catalog', 'information_schema') and nspname not like 'pg_toast%%'
          and nspname not like 'pg_temp%%'
          and element.typcategory not in ('N', 'D', 'B', 'T', 'I', 'G', 'R', 'V')
          and element.typname <> all(%s)
        order by 1, 2, attnum
        """,
        (list(TEXTLESS),),
    ).fetchall()
    return [Column(*row) for row in rows]


def held(
    connection: psycopg.Connection, traces: Traces, beside: Collection[str] = ()
) -> list[Held]:
    """Where something is found, row by row and in what the planner remembers of each column.

    Tables in `beside` are not looked at. Leaves a transaction open.
    """
    found = []
    for column in columns(connection):
        if column.table not in beside:
            rows = sum(len(part) for part in _hits(connection, column, traces))
            if rows:
                found.append(Held(column.table, column.name, rows))
    return found + _remembered(connection, traces, beside)


def _remembered(
    connection: psycopg.Connection, traces: Traces, beside: Collection[str]
) -> list[Held]:
    rows = connection.execute(
        """
        select tablename, attname, concat_ws(' ', most_common_vals::text, histogram_bounds::text,
                                             most_common_elems::text)
        from pg_stats where schemaname not in ('pg_catalog', 'information_schema')
        """
    ).fetchall()
    kept = [row for row in rows if row[0] not in beside and row[2]]
    hits = traces.found([text for _, _, text in kept])
    return [
        Held(table, f"statistics of {name}", 1)
        for (table, name, _), hit in zip(kept, hits, strict=True)
        if hit
    ]


def redact(
    connection: psycopg.Connection,
    traces: Traces,
    rewrite: Callable[[str], str],
    beside: Collection[str] = (),
) -> list[Held]:
    """Rewrite every text in which something is found; the tables and how many rows.

    What is an identity, or no text, is left as it is. One transaction a table; committed.
    """
    changed = []
    by_table: dict[str, list[Column]] = {}
    for column in columns(connection):
        if column.table not in beside:
            by_table.setdefault(f"{column.schema}.{column.table}", []).append(column)
    for table in by_table.values():
        rows = [
            Held(column.table, column.name, number)
            for column in table
            if not column.keyed
            and column.type in ("text", "character varying", "json", "jsonb")
            and (number := _rewritten(connection, column, traces, rewrite))
        ]
        connection.commit()
        if rows:
            connection.execute(sql.SQL("analyze {}").format(table[0].place))
            connection.commit()
        changed += rows
    return changed


def _rewritten(
    connection: psycopg.Connection,
    column: Column,
    traces: Traces,
    rewrite: Callable[[str], str],
) -> int:
    found = [row for part in _hits(connection, column, traces) for row in part]
    if not found:
        return 0
    if column.listed:
        return _rewritten_lists(connection, column, traces, found)
    texts = [rewrite(text) for _, text in found]
    return connection.execute(
        sql.SQL(
            "update {table} set {name} = fresh.text::{type} "
            "from unnest(%s::text[], %s::text[]) as fresh (place, text) "
            "where {table}.ctid = fresh.place::tid"
        ).format(
            table=column.place,
            name=sql.Identifier(column.name),
            type=sql.SQL(column.type),  # as the catalogue writes it
        ),
        ([place for place, _ in found], texts),
    ).rowcount


def _rewritten_lists(
    connection: psycopg.Connection, column: Column, traces: Traces, found: list[tuple[str, str]]
) -> int:
    """Lists lose the items in which something is found."""
    statement = sql.SQL("update {} set {} = %s where ctid = %s::tid").format(
        column.place, sql.Identifier(column.name)
    )
    kept = [
        ([item for item in text.split(APART) if not traces.within(item)], place)
        for place, text in found
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, kept)
    return len(kept)


def _hits(
    connection: psycopg.Connection, column: Column, traces: Traces
) -> Iterator[list[tuple[str, str]]]:
    """Place and text of the rows in which something is found, by portion."""
    value = sql.Identifier(column.name)
    if column.listed:
        value = sql.SQL("array_to_string({}, {}, '')").format(value, APART)  # type: ignore[assignment]
    elif column.type != "bytea":
        value = sql.SQL("{}::text").format(value)  # type: ignore[assignment]
    query = sql.SQL("select ctid::text, {value} from {table} where {name} is not null").format(
        value=value, table=column.place, name=sql.Identifier(column.name)
    )
    with connection.cursor(name="reading") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(query)
        while rows := cursor.fetchmany(AT_ONCE):
            texts = [_text(value) for _, value in rows]
            hits = traces.found(texts)
            portion = [
                (place, text)
                for (place, _), text, hit in zip(rows, texts, hits, strict=True)
                if hit
            ]
            if portion:
                yield portion


def _text(value: Any) -> str:
    return inflated(bytes(value)) if isinstance(value, bytes | memoryview) else str(value)


def rows_with(
    connection: psycopg.Connection, ids: Sequence[UUID], beside: Collection[str] = ()
) -> list[Held]:
    """Rows that name one of the identities, in every column of identities or lists of them."""
    named = connection.execute(
        """
        select space.nspname, class.relname, attname, type.typcategory = 'A'
        from pg_attribute
        join pg_class as class on class.oid = attrelid and relkind = 'r'
        join pg_namespace as space on space.oid = relnamespace
        join pg_type as type on type.oid = atttypid
        where attnum > 0 and not attisdropped and typname in ('uuid', '_uuid')
          and nspname not in ('pg_catalog', 'information_schema') and nspname not like 'pg_temp%'
        order by 1, 2, attnum
        """
    ).fetchall()
    found = []
    for schema, table, name, listed in named:
        if table in beside:
            continue
        query = sql.SQL(
            "select count(*) from {}.{} where {} && %s::uuid[]"
            if listed
            else "select count(*) from {}.{} where {} = any(%s::uuid[])"
        ).format(sql.Identifier(schema), sql.Identifier(table), sql.Identifier(name))
        row = connection.execute(query, (list(ids),)).fetchone()
        if row and row[0]:
            found.append(Held(table, name, row[0]))
    return found


def said(connection: psycopg.Connection, besides: Sequence[UUID] = ()) -> list[str]:
    """All that is still said: messages but those in `besides`, and the turns made of them alone."""
    rows = connection.execute(
        """
        with going as materialized (select unnest(%s::uuid[]) as id)
        select text from raw_messages where id not in (select id from going)
        union all
        select text from cleaned_messages where cardinality(raw_ids) > 1 and not exists (
            select from unnest(raw_ids) as raw (id)
            where raw.id in (select id from going)
               or not exists (select from raw_messages where raw_messages.id = raw.id))
        """,
        (list(besides),),
    )
    return [text for (text,) in rows.fetchall()]


def prompts(connection: psycopg.Connection) -> dict[str, str]:
    """What stands before every chat of each dataset, by version."""
    rows = connection.execute(
        "select version, settings ->> 'system_prompt' from datasets "
        "where settings ? 'system_prompt'"
    )
    return dict(rows.fetchall())


def preference_ids(connection: psycopg.Connection, version: str) -> set[tuple[str, str]]:
    """Kind and identity of every preference pair of a dataset, as preferences.jsonl names them."""
    rows = connection.execute(
        """
        select kind, coalesce(pair_id::text, correction_id::text, format(
            '%%s/%%s>%%s/%%s', liked_chat, liked_place, disliked_chat, disliked_place))
        from preference_pairs where version = %s
        """,
        (version,),
    )
    return set(rows.fetchall())


def pairs(connection: psycopg.Connection, version: str) -> set[str]:
    """The pairs a dataset still holds."""
    rows = connection.execute(
        "select pair_id::text from dataset_pairs where version = %s", (version,)
    )
    return {pair for (pair,) in rows.fetchall()}


def drop_pairs(connection: psycopg.Connection, version: str, gone: Collection[str]) -> None:
    """Take pairs out of what is known of a dataset, and count anew what is left; the caller
    commits."""
    connection.execute(
        "delete from dataset_pairs where version = %s and pair_id = any(%s::uuid[])",
        (version, list(gone)),
    )
    connection.execute(
        """
        update datasets set train = left_in.train, validation = left_in.validation,
                            test = left_in.test
        from (select count(*) filter (where split = 'train') as train,
                     count(*) filter (where split = 'validation') as validation,
                     count(*) filter (where split = 'test') as test
              from dataset_pairs where version = %(version)s) as left_in
        where version = %(version)s
        """,
        {"version": version},
    )


def indexed(connection: psycopg.Connection) -> int:
    """How much can be found by searching."""
    row = connection.execute("select entries from search_state").fetchone()
    return int(row[0]) if row else 0


def nearest(connection: psycopg.Connection, model: str, vector: Any, number: int) -> list[str]:
    """The texts of the turns and memories whose vectors are the nearest, compared with each."""
    rows = connection.execute(
        """
        (select text, embedding <=> %(vector)s::halfvec as distance
         from message_embeddings join cleaned_messages on id = message_id
         where model = %(model)s order by 2 limit %(number)s)
        union all
        (select content, embedding <=> %(vector)s::halfvec
         from memory_embeddings join memories using (memory_id)
         where model = %(model)s order by 2 limit %(number)s)
        """,
        {"model": model, "vector": vector, "number": number},
    )
    return [text for text, _ in rows.fetchall()]


def unblocked(connection: psycopg.Connection, erasure_id: str) -> list[str]:
    """Adapters that learnt some of an erasure and are neither blocked nor allowed, signed."""
    rows = connection.execute(
        """
        select adapter_id from adapters where exists (
            select from dataset_erasures as lost
            where lost.version = dataset_version and erasure_id = %(erasure)s
              and part in ('train', 'validation', 'prompt')
        ) and created_at <= (select min(erased_at) from dataset_erasures
                             where erasure_id = %(erasure)s)
          and not exists (
            select from adapter_blocks as block
            where block.adapter_id = adapters.adapter_id and block.erasure_id = %(erasure)s)
        order by 1
        """,
        {"erasure": erasure_id},
    )
    return [adapter for (adapter,) in rows.fetchall()]
