"""The only SQL that writes the search index: its state, what it holds, its HNSW index.

Order of locks: whoever writes entries locks the row of `search_state` first and then waits for
nothing else. Rows of turns and memories that somebody is deleting are passed over, not waited for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.retrieval.index.entries import FOUND, MADE
from twin_pipelines.retrieval.index.queue_store import Ref

INDEX_LIMIT = 4_000  # dimensions an HNSW index of halfvec can have
LOCK_PATIENCE = "2s"
INDEX_MEMORY_MB = (64, 3_072)  # least and most for making it
BUILD_CARE = 160  # entries that a new one is compared with before it is linked to its nearest
NODE_BYTES = 2_048  # that an entry may take then besides its vector

# What an entry is made of, and whether it is so. The hash has two halves: of the turn itself, and
# of those beside it. Turns that the owner wants forgotten are none.
_FOUND = """
    with turns as (
        select 'turn' as kind, c.id as ref, c.session_id, c.place, c.speaker, c.source,
               'message' as type, c.text, c.day, c.sent_at, c.ended_at,
               left(md5(concat_ws(chr(31), %(made)s::int, c.day, c.speaker, c.text)), 16)
               || left(md5(concat_ws(chr(31),
                      'before', lag(c.speaker) over session, lag(c.text) over session,
                      'after', lead(c.speaker) over session, lead(c.text) over session
                  )), 16) as content_hash
        from cleaned_messages c
        where c.session_id = any(%(sessions)s::uuid[])
          and c.id not in (select id from forgotten_turns)
        window session as (partition by c.session_id order by c.sent_at, c.place)
    ), memory as (
        select 'memory' as kind, m.memory_id as ref, null::uuid as session_id, null::int as place,
               m.about as speaker, null::text as source, m.type, m.content as text,
               coalesce(m.day, m.last_at::date) as day, m.first_at as sent_at,
               m.last_at as ended_at,
               md5(concat_ws(chr(31), %(made)s::int, coalesce(m.day, m.last_at::date), m.about,
                   m.content)) as content_hash
        from memories m
        where m.memory_id = any(%(memories)s::uuid[]) and m.status = 'active'
    ), judged as (
        select found.*, {own} as own_stale, {own} or {around} as around_stale,
               {own} or {around} or {other} as stale
        from turns as found left join search_entries e on e.message_id = found.ref
        union all
        select found.*, {own}, {own}, {own} or {other}
        from memory as found left join search_entries e on e.memory_id = found.ref
    ), placed as (
        select *, coalesce(lag(stale) over session, false)
                  or coalesce(lead(stale) over session, false) as beside
        from judged
        window session as (partition by session_id, case when kind = 'memory' then ref end
                           order by sent_at, place)
    )
    select kind, ref::text, session_id::text, place, speaker, source, type, text, day, sent_at,
           ended_at, content_hash, own_stale, around_stale, stale
    from placed where stale or beside
    order by session_id nulls last, sent_at, place, ref
""".format(
    own="""(e.entry_id is null or e.model <> %(model)s
                or left(e.content_hash, 16) <> left(found.content_hash, 16))""",
    around="right(e.content_hash, 16) <> right(found.content_hash, 16)",
    other="""(e.weighing <> (select weighing from search_state)
                or (e.session_id, e.place, e.speaker, e.source, e.type, e.day, e.sent_at,
                    e.ended_at)
                   is distinct from (found.session_id, found.place, found.speaker, found.source,
                    found.type, found.day, found.sent_at, found.ended_at))""",
)
_ENTRY = (
    *("session_id", "place", "speaker", "source", "type", "day", "sent_at", "ended_at", "model"),
    *("content_hash", "own_length", "around_length", "weighing", "words", "asks", "answers"),
    *("own_terms", "terms", "own", "around", "own_vector", "around_vector"),
)
_TYPES = (
    *("text", "uuid", "uuid", "int4", "text", "text", "text", "date", "timestamptz", "timestamptz"),
    *("text", "text", "int4", "int4", "int4", "int4", "bool", "bool"),
    *("int4[]", "int4[]", "sparsevec", "sparsevec", "halfvec", "halfvec"),
)


@dataclass(frozen=True)
class State:
    """The row of `search_state`."""

    version: int
    model: str  # of all entries; empty while there are none, and while they are embedded anew
    weighing: int
    own_mean: float  # that the weighing is made with; 0 before the first
    around_mean: float
    entries: int
    own_length: int
    around_length: int


def state(connection: psycopg.Connection, *, lock: bool = False) -> State:
    """The state of the index; with `lock` until the end of the transaction nobody changes it."""
    row = connection.execute(
        f"""
        select version, model, weighing, own_mean, around_mean, entries, own_length, around_length
        from search_state {"for update" if lock else ""}
        """
    ).fetchone()
    assert row, "the migration makes the row"
    return State(*row)


def set_model(connection: psycopg.Connection, model: str) -> None:
    """Say of which model all entries are; empty: of several."""
    connection.execute("update search_state set model = %s, version = version + 1", [model])


def set_means(connection: psycopg.Connection, own: float, around: float) -> None:
    """Begin a weighing with these mean lengths."""
    connection.execute(
        """
        update search_state set weighing = weighing + 1, own_mean = %s, around_mean = %s,
               version = version + 1
        """,
        [own, around],
    )


def load(connection: psycopg.Connection, picked: Sequence[Ref], model: str) -> pl.DataFrame:
    """Turns of the sessions, and active memories, whose entry is missing or not as it should be.

    FOUND: those that are `stale`, and the turns beside them, which are read with them. Turns of a
    session come in order and one after another.
    """
    return fetch_frame(
        connection, _FOUND, {**_about(picked), "model": model, "made": MADE}, schema=FOUND
    )


def hold(connection: psycopg.Connection, found: pl.DataFrame) -> list[str]:
    """Ids of the turns and memories (`kind`, `ref`) that are there and that nobody is deleting.

    They stay until the transaction ends.
    """
    held = []
    for kind, table, key in (
        ("turn", "cleaned_messages", "id"),
        ("memory", "memories", "memory_id"),
    ):
        held += connection.execute(
            f"select {key}::text from {table} where {key} = any(%s::uuid[]) "
            "for key share skip locked",
            [found.filter(kind=kind)["ref"].to_list()],
        ).fetchall()
    return [ref for (ref,) in held]


def write(connection: psycopg.Connection, rows: Iterable[tuple[object, ...]]) -> tuple[int, int]:
    """Insert or replace entries; returns how many of turns and of memories.

    A row is kind, id, and the columns of an entry from `session_id` on. A null vector: the one that
    is there, of the same content and model, is kept; without one the row is left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            create temporary table if not exists incoming_entries on commit delete rows as
            select ''::text as kind, null::uuid as ref, {", ".join(_ENTRY)}
            from search_entries with no data
            """
        )
        cursor.execute("truncate incoming_entries")
        with cursor.copy("copy incoming_entries from stdin (format binary)") as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row(row)
        written = []
        for kind, key in (("turn", "message_id"), ("memory", "memory_id")):
            cursor.execute(_upsert(key), {"kind": kind})
            written.append(cursor.rowcount)
    return written[0], written[1]


def _upsert(key: str) -> str:
    vectors = {"own_vector": "left", "around_vector": "right"}
    plain = [name for name in _ENTRY if name not in vectors]
    chosen = [
        f"coalesce(new.{name}, case when {half}(old.content_hash, 16)"
        f" = {half}(new.content_hash, 16) then old.{name} end)"
        for name, half in vectors.items()
    ]
    return f"""
        insert into search_entries ({key}, {", ".join([*plain, *vectors])})
        select new.ref, {", ".join(f"new.{name}" for name in plain)}, {", ".join(chosen)}
        from incoming_entries new
        left join search_entries old
            on old.{key} = new.ref and old.model = new.model
        where new.kind = %(kind)s and {chosen[0]} is not null and {chosen[1]} is not null
        on conflict ({key}) do update
        set ({", ".join(_ENTRY)}) = row({", ".join(f"excluded.{name}" for name in _ENTRY)})
    """


def remove_hidden(connection: psycopg.Connection, picked: Iterable[Ref]) -> int:
    """Delete entries of the sessions and memories that are not to be found; how many."""
    return connection.execute(
        """
        delete from search_entries where entry_id in (
            select e.entry_id from search_entries e
            join cleaned_messages c on c.id = e.message_id
            where c.session_id = any(%(sessions)s::uuid[])
              and c.id in (select id from forgotten_turns)
            union all
            select e.entry_id from search_entries e join memories m using (memory_id)
            where e.memory_id = any(%(memories)s::uuid[]) and m.status <> 'active'
        )
        """,
        _about(picked),
    ).rowcount


def others_left(connection: psycopg.Connection, model: str) -> int:
    """Entries of any other model."""
    row = connection.execute(
        "select count(*) from search_entries where model <> %s", [model]
    ).fetchone()
    return row[0] if row else 0


def ensure_index(connection: psycopg.Connection, model: str, dimensions: int) -> bool:
    """Make the model's HNSW index if there is none; True when it was made now.

    Vectors longer than an index can hold are searched without one, exactly.
    """
    name = index_name(model)
    if dimensions > INDEX_LIMIT:
        return False
    if has_index(connection, model):
        return False
    least, most = INDEX_MEMORY_MB
    needed = state(connection).entries * (2 * dimensions + NODE_BYTES) // 2**20
    connection.execute(
        "select set_config('maintenance_work_mem', %s, true)",
        [f"{min(max(needed, least), most)}MB"],
    )
    connection.execute(
        sql.SQL(
            "create index if not exists {name} on search_entries "
            "using hnsw ({vector} halfvec_ip_ops) with (ef_construction = {care}) "
            "where model = {model}"
        ).format(
            name=sql.Identifier(name),
            vector=_both(dimensions),
            care=sql.Literal(BUILD_CARE),
            model=sql.Literal(model),
        )
    )
    connection.execute("analyze search_entries")
    return True


def drop_indexes(connection: psycopg.Connection, keep: str = "") -> None:
    """Remove the HNSW indexes of all models but `keep`; search without one is exact, and slow.

    At the beginning of a transaction; commits. One that somebody is reading for long stays: then
    what is written is added to it, which only takes longer.
    """
    rows = connection.execute(
        """
        select indexname from pg_indexes
        where tablename = 'search_entries' and indexdef ilike '%%using hnsw%%'
          and schemaname = current_schema() and indexname <> %s
        """,
        [index_name(keep)],
    ).fetchall()
    connection.commit()
    for (name,) in rows:
        try:
            connection.execute("select set_config('lock_timeout', %s, true)", [LOCK_PATIENCE])
            connection.execute(sql.SQL("drop index if exists {}").format(sql.Identifier(name)))
        except psycopg.errors.LockNotAvailable:
            connection.rollback()
        connection.commit()


def has_index(connection: psycopg.Connection, model: str) -> bool:
    """Whether the model's HNSW index is there."""
    row = connection.execute("select to_regclass(%s) is not null", [index_name(model)]).fetchone()
    return row == (True,)


def index_name(model: str) -> str:
    """Name of the model's HNSW index."""
    return f"search_entries_both_{hashlib.sha256(model.encode()).hexdigest()[:12]}"


def _both(dimensions: int) -> sql.Composable:
    """The sum of both vectors: its inner product with a question's is the sum of both cosines."""
    return sql.SQL("((own_vector + around_vector)::halfvec({}))").format(sql.Literal(dimensions))


def _about(picked: Iterable[Ref]) -> dict[str, list[str]]:
    refs = list(picked)
    return {
        "sessions": [ref for kind, ref, _ in refs if kind == "session"],
        "memories": [ref for kind, ref, _ in refs if kind == "memory"],
    }
