"""The only SQL of a search: candidates with all they are ranked by, and the words of what is found.

One statement a question gives everything numeric in one row of packed bytes, which numpy reads as
it is. Candidates come from the words (GIN) and from the meaning (HNSW); for a search that is exact
every entry is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from twin_pipelines.retrieval.index.entries import DIMENSIONS
from twin_pipelines.retrieval.records import Filters

MOST_TERMS = 256  # of a question; the first ones count
LOOKED_UP = 3_500  # entries that are looked up by words, all together: the rarest words first
PAIRS = 3
BY_WORDS, BY_MEANING = 200, 80  # entries that are found by each, at least
LARGE, BY_MEANING_OF_LARGE = 300_000, 300  # of an index of so many entries, where HNSW finds less
WIDEST = 1_000  # candidates HNSW can keep while it searches: as many as are to be found by meaning
LOOKED_THROUGH = 20_000  # vectors an indexed search looks at, at most, where few may be found

CANDIDATE = np.dtype(
    [
        ("entry", ">i8"),
        ("session", ">u8", 2),
        ("sent", ">i8"),  # microseconds
        ("place", ">i4"),  # among those of the session that were sent at the same moment
        ("day", ">i4"),  # ordinal
        ("length", ">i4"),  # words
        ("asks", ">i4"),
        ("answers", ">i4"),
        ("words", ">f4", 2),  # BM25, own and around
        ("meaning", ">f4", 2),  # inner product, own and around
        ("coverage", ">f4", 2),  # share of the question's terms by rarity, own and around
        ("importance", ">f4"),
    ]
)
NEIGHBOUR = np.dtype(
    [
        ("session", ">u8", 2),
        ("sent", ">i8"),
        ("place", ">i4"),
        ("words", ">f4", 2),
        ("meaning", ">f4"),  # own
    ]
)


@dataclass(frozen=True)
class Pool:
    """Candidates of a question (CANDIDATE, in order of time) and the turns beside them (NEIGHBOUR).

    `version` and `model` are the index's, `first` and `last` the days it spans (None: it is empty).
    `retriever` is the id of the learned one in force, empty for none; `unknown` are the terms that
    were asked and no entry holds.
    """

    candidates: npt.NDArray[Any]
    speakers: list[str]
    neighbours: npt.NDArray[Any]
    version: int
    model: str
    first: date | None
    last: date | None
    retriever: str = ""
    unknown: tuple[int, ...] = ()


_SETUP = """
with setup as materialized (
    select version, model, retriever, entries::float8 as n, ln(1 + (entries + 0.5) / 0.5) as rarest,
           %(vector)s::halfvec({dimensions}) as vector
    from search_state
    where set_config('hnsw.ef_search', {width}, true) <> ''
      and (select string_to_array(extversion, '.')::int[] < '{{0,8}}'
                  or (set_config('hnsw.iterative_scan', 'relaxed_order', true) <> ''
                      and set_config('hnsw.max_scan_tuples', {looked}, true) <> '')
           from pg_extension where extname = 'vector')
),
wanted as materialized (
    select term, own, around, ln(1 + (n - own + 0.5) / (own + 0.5)) as own_idf,
           ln(1 + (n - around + 0.5) / (around + 0.5)) as around_idf
    from (select term, coalesce(own, 0) as own, coalesce(around, 0) as around, n
          from setup cross join unnest(%(terms)s::int[]) as asked (term)
          left join search_terms using (term)) as counted
),
query as materialized (
    select concat('{{', string_agg(held_own, ','), '}}/{terms}')::sparsevec as own,
           concat('{{', string_agg(held_around, ','), '}}/{terms}')::sparsevec as around,
           coalesce(sum(own_idf), 1) as own_total, coalesce(sum(around_idf), 1) as around_total,
           greatest(sum(own_idf), (select rarest from setup)) as own_most,
           greatest(sum(around_idf), (select rarest from setup)) as around_most
    from (select own_idf, around_idf,
                 case when own > 0 then term || ':' || own_idf end as held_own,
                 case when around > 0 then term || ':' || around_idf end as held_around
          from wanted) as weighed
),
"""
# How far an entry is from the question: minus both BM25 scores, as shares of the question's idf
# (that of one term no entry holds, at least), and both cosine similarities.
_APART = """
    (e.own <#> (select own from query)) / (select own_most from query)
    + (e.around <#> (select around from query)) / (select around_most from query)
    + (e.own_vector <#> (select vector from setup))
    + (e.around_vector <#> (select vector from setup))
"""
# The rarest words together, pairs of the common ones, and where there is but one its first entries.
_BY_WORDS = """
rare as materialized (
    select term, around, row_number() over by_rarity as place,
           sum(around) over by_rarity as together
    from wanted where around > 0 window by_rarity as (order by around, term)
),
pairs as materialized (
    select array[a.term, b.term] as both from rare a join rare b on a.place < b.place
    where b.together > {looked_up} and a.together > {looked_up}
    order by a.around::float8 * b.around, a.place, b.place limit {pairs}
),
by_words as materialized (
    select at, min(apart) as apart from (
        select e.ctid as at, {apart} as apart from search_entries e
        where e.terms && (select array_agg(term) from rare where together <= {looked_up})
          and {open}
        union all
        select found.at, found.apart from pairs cross join lateral (
            select e.ctid as at, {apart} as apart from search_entries e
            where e.terms @> pairs.both and {open}
            limit (select ({looked_up} - coalesce(max(together), 0)) / (select count(*) from pairs)
                   from rare where together <= {looked_up})
        ) as found
        union all
        select found.at, found.apart from (
            select term from rare
            where place = 1 and together > {looked_up} and not exists (select from pairs)
        ) as common cross join lateral (
            select e.ctid as at, {apart} as apart from search_entries e
            where e.terms @> array[common.term] and {open} limit {looked_up}
        ) as found
    ) as found
    group by at order by min(apart) limit {by_words}
),
by_meaning as materialized (
    select e.ctid as at from search_entries e where {open}
    order by (e.own_vector + e.around_vector)::halfvec({dimensions}) <#> (select vector from setup)
    limit {by_meaning}
),
pool as (select at from by_words union select at from by_meaning),
"""
_EXACT = """
pool as (select e.ctid as at from search_entries e where {open}),
"""
_SCORED = """
scored as (
    select e.entry_id, e.memory_id, e.session_id, e.place, e.speaker, e.day, e.sent_at, e.words,
           e.asks, e.answers, e.own_terms, e.terms,
           -(e.own <#> (select own from query)) as own_words,
           -(e.around <#> (select around from query)) as around_words,
           -(e.own_vector <#> (select vector from setup)) as own_meaning,
           -(e.around_vector <#> (select vector from setup)) as around_meaning
    from pool join search_entries e on e.ctid = pool.at
    offset 0
),
ranked as materialized (
    select best.*, coalesce(m.importance, 0.5) as importance
    from (
        select *, own_words / (select own_most from query)
                  + around_words / (select around_most from query)
                  + own_meaning + around_meaning as fits
        from scored order by fits desc, entry_id
    ) as best left join memories m using (memory_id)
    where best.memory_id is null or ({standing})
    order by best.fits desc, best.entry_id
    limit {most}
),
beside as (
    select b.session_id, b.sent_at, b.place, -(b.own <#> (select own from query)) as own_words,
           -(b.around <#> (select around from query)) as around_words,
           -(b.own_vector <#> (select vector from setup)) as own_meaning
    from (
        select distinct neighbour.at from ranked cross join lateral (
            (select e.ctid as at from search_entries e
             where e.session_id = ranked.session_id
               and (e.sent_at, e.place) < (ranked.sent_at, ranked.place)
             order by e.sent_at desc, e.place desc limit 1)
            union all
            (select e.ctid from search_entries e
             where e.session_id = ranked.session_id
               and (e.sent_at, e.place) > (ranked.sent_at, ranked.place)
             order by e.sent_at, e.place limit 1)
        ) as neighbour
    ) as wanted join search_entries b on b.ctid = wanted.at
    where b.model = {model}
)
select version, model, (select min(day) from search_entries), (select max(day) from search_entries),
       coalesce(record, ''), coalesce(speakers, '{{}}'),
       (select coalesce(string_agg(uuid_send(session_id)
            || int8send((extract(epoch from sent_at) * 1000000)::int8) || int4send(place)
            || float4send(own_words::float4) || float4send(around_words::float4)
            || float4send(own_meaning::float4), ''), '') from beside),
       coalesce(retriever, ''),
       (select coalesce(array_agg(term), '{{}}') from wanted where around = 0), n >= {large}
from setup, (
    select string_agg(
               int8send(entry_id)
               || coalesce(uuid_send(session_id), int8send(0) || int8send(entry_id))
               || int8send((extract(epoch from sent_at) * 1000000)::int8)
               || int4send(coalesce(place, -1)) || int4send(day - date '0001-01-01' + 1)
               || int4send(words) || int4send(asks::int) || int4send(answers::int)
               || float4send(own_words::float4) || float4send(around_words::float4)
               || float4send(own_meaning::float4) || float4send(around_meaning::float4)
               || float4send((own_share / (select own_total from query))::float4)
               || float4send((around_share / (select around_total from query))::float4)
               || float4send(importance::float4), '' order by {order}) as record,
           array_agg(speaker order by {order}) as speakers
    from ranked cross join lateral (
        select coalesce(sum(own_idf) filter (where term = any(own_terms)), 0) as own_share,
               coalesce(sum(around_idf) filter (where term = any(terms)), 0) as around_share
        from wanted
    ) as covered
) as packed
"""
_ORDER = "sent_at, session_id, place, entry_id"
# A memory that may be told: it stands, and holds when the question is asked.
_STANDING = """
    m.status = 'active' and (m.valid_until is null or m.valid_until > coalesce(
        %(before)s::timestamptz,
        (select max(ended_at) from search_entries
         where day = (select max(day) from search_entries))))
"""
_CONDITIONS = {
    "kinds": "(case when e.memory_id is null then 'turn' else 'memory' end) = any(%(kinds)s)",
    "speakers": "e.speaker = any(%(speakers)s)",
    "types": "e.type = any(%(types)s)",
    "sources": "e.source = any(%(sources)s)",
    "since": "e.sent_at >= %(since)s",
    "before": "e.ended_at < %(before)s",
    "barred": "(e.session_id is null or e.session_id <> all(%(barred)s::uuid[]))",
}
_MEMORY_OF_BARRED = """
    and not m.message_ids && array(
        select raw_id from cleaned_messages, unnest(raw_ids) as raw_id
        where session_id = any(%(barred)s::uuid[]))
"""


def candidates(
    connection: psycopg.Connection,
    *,
    model: str,
    vector: npt.NDArray[np.float32],
    terms: Sequence[int],
    filters: Filters,
    most: int,
    nearest: int = BY_MEANING,
    exact: bool = False,
) -> Pool:
    """At most `most` entries that may answer a question, with all they are ranked by.

    `vector` is the question's, unit length, of the embedding model `model`; `terms` are the numbers
    of its terms, each once. They are those with the highest sum of both BM25 scores, as shares of
    the question's idf, and both cosine similarities; with `exact` among all entries, else among
    those found by words and, at least `nearest`, by meaning. A memory that is no longer active is
    not found.
    """
    from pgvector import HalfVector

    active = tuple(name for name in _CONDITIONS if getattr(filters, name))
    given = {
        "vector": HalfVector(vector),
        "terms": list(terms)[:MOST_TERMS],
        "before": filters.before,
        "since": filters.since,
    } | {name: sorted(getattr(filters, name)) for name in _SETS if name in active}

    def asked(large: bool) -> tuple[Any, ...]:
        limits = (most, max(nearest, BY_MEANING_OF_LARGE if large else BY_MEANING))
        whole = _statement(model, len(vector), active, filters.dreams, limits=limits, exact=exact)
        with connection.cursor(binary=True) as cursor:
            row = cursor.execute(whole, given, prepare=True).fetchone()
        if row is None:
            raise RuntimeError("the table search_state has lost its row")
        return row

    expected = _Seen.large
    *row, large = asked(expected)
    if large != expected:
        _Seen.large = large
        *row, _ = asked(large)
    version, found, first, last, records, speakers, beside, retriever, unknown = row
    return Pool(
        candidates=np.frombuffer(records, CANDIDATE),
        speakers=speakers,
        neighbours=np.frombuffer(beside, NEIGHBOUR),
        version=version,
        model=found,
        first=first,
        last=last,
        retriever=retriever,
        unknown=tuple(unknown),
    )


class _Seen:
    """Whether the index that this process searched last was LARGE: seldom, it is asked twice."""

    large = False


_SETS = ("kinds", "speakers", "types", "sources", "barred")


@lru_cache(maxsize=64)
def _statement(
    model: str,
    dimensions: int,
    active: tuple[str, ...],
    dreams: bool,
    *,
    limits: tuple[int, int],
    exact: bool,
) -> bytes:
    """The statement for an embedding model, the filters that are set, and how many are wanted in
    all and by meaning.

    Its limits are written out: with parameters for them PostgreSQL plans it anew each time.
    """
    conditions = ["e.model = {model}", f"e.type {'=' if dreams else '<>'} 'dream'"]
    conditions += [_CONDITIONS[name] for name in active]
    standing = _STANDING + (_MEMORY_OF_BARRED if "barred" in active else "")
    most, nearest = limits
    whole = _SETUP + (_EXACT if exact else _BY_WORDS) + _SCORED
    return (
        sql.SQL(whole.replace("{open}", " and ".join(conditions)))
        .format(
            model=sql.Literal(model),
            dimensions=sql.Literal(dimensions),
            terms=sql.Literal(DIMENSIONS),
            looked_up=sql.Literal(LOOKED_UP),
            pairs=sql.Literal(PAIRS),
            most=sql.Literal(most),
            by_words=sql.Literal(max(BY_WORDS, most)),
            by_meaning=sql.Literal(nearest),
            width=sql.Literal(str(min(nearest, WIDEST))),
            large=sql.Literal(LARGE),
            looked=sql.Literal(str(LOOKED_THROUGH)),
            order=sql.SQL(_ORDER),
            standing=sql.SQL(standing),
            apart=sql.SQL(_APART),
        )
        .as_bytes()
    )


_TOLD = """
    select e.entry_id, coalesce(e.message_id, e.memory_id)::text, e.memory_id is not null,
           coalesce(m.content, c.text), e.speaker, e.type, e.session_id::text,
           e.sent_at, e.ended_at,
           coalesce(m.message_ids, c.raw_ids)::text[], coalesce(m.pinned, false)
    from unnest(%s::bigint[]) as wanted (entry_id)
    join search_entries e using (entry_id)
    left join cleaned_messages c on c.id = e.message_id
    left join memories m on m.memory_id = e.memory_id
"""


@dataclass(frozen=True)
class Told:
    """What stands behind an entry, in words."""

    ref: str
    memory: bool
    text: str
    speaker: str
    type: str
    session_id: str | None
    sent_at: datetime
    ended_at: datetime
    message_ids: list[str]
    pinned: bool


def told(connection: psycopg.Connection, entries: Sequence[int]) -> dict[int, Told]:
    """What stands behind each entry, by its id; one that went in the meantime is left out."""
    rows = connection.execute(_TOLD, [list(entries)], prepare=True).fetchall()
    return {entry: Told(*rest) for entry, *rest in rows}


def index_version(connection: psycopg.Connection) -> int:
    """The version of all that a search reads; what was found under another one is stale."""
    row = connection.execute("select version from search_state", prepare=True).fetchone()
    if row is None:
        raise RuntimeError("the table search_state has lost its row")
    return int(row[0])
