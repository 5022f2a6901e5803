"""The SQL of consolidation: what changed since, what it makes, and what must be true of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, LiteralString

import polars as pl
import psycopg

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.memory.consolidation.knowledge import STATEMENTS, TakenBack
from twin_pipelines.memory.forgetting.retention import FADED

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

_DECIDED: LiteralString = """
    kind, title, content, people, language, importance, importance_parts, confidence, sessions,
    first_at, last_at, valid_from, valid_until, superseded_by, happens_on, message_ids, source_ids,
    details
"""
_FADED = f"({{row}}.status = 'archived' and {{row}}.status_reason like '{FADED}%')"


def changed_speakers(
    connection: psycopg.Connection, kinds: Sequence[str], settings: str
) -> pl.DataFrame:
    """Speakers whose statements or whose `settings` are not those consolidated last.

    Columns `about`, `fingerprint` (null: nothing is left of them). A speaker also counts as changed
    when a source of their knowledge was derived anew and is no longer marked as merged.
    """
    return fetch_frame(
        connection,
        """
        with present as (
            select about, md5(%(settings)s || string_agg(md5(row(
                memory_id, kind, content, people, language, importance_parts, confidence, first_at,
                happens_on, message_ids, details)::text), '' order by memory_id)) as fingerprint
            from memories
            where type = 'episodic' and kind = any(%(kinds)s)
              and status not in ('quarantined', 'forgotten')
            group by about
        ), unmerged as (
            select distinct knowledge.about
            from memories as knowledge cross join unnest(knowledge.source_ids) as source (id)
            join memories as statement on statement.memory_id = source.id
            where knowledge.type = 'knowledge' and knowledge.origin = 'consolidated'
              and statement.status = 'active' and not statement.pinned
        )
        select about, present.fingerprint
        from present full join consolidated_speakers as seen using (about)
        where present.fingerprint is distinct from seen.fingerprint
           or about in (select about from unmerged)
        order by about
        """,
        {"kinds": list(kinds), "settings": settings},
    )


def load_statements(
    connection: psycopg.Connection, kinds: Sequence[str], speakers: Sequence[str]
) -> pl.DataFrame:
    """What these speakers said of themselves (`knowledge.STATEMENTS`), but what is suspicious or
    forgotten.

    What faded is evidence too.
    """
    stored = [name for name in STATEMENTS if name not in ("gist", "bare", "session_id")]
    frame = fetch_frame(
        connection,
        f"""
        select {", ".join(stored)}, details from memories
        where type = 'episodic' and kind = any(%(kinds)s)
          and status not in ('quarantined', 'forgotten')
          and about = any(%(speakers)s)
        """,
        {"kinds": list(kinds), "speakers": list(speakers)},
    )
    details = pl.Struct({"gist": pl.List(pl.String), "bare": pl.String, "session_id": pl.String})
    return frame.with_columns(pl.col("details").str.json_decode(details).struct.unnest()).select(
        pl.col(name).cast(dtype) for name, dtype in STATEMENTS.items()
    )


def load_present(
    connection: psycopg.Connection, speakers: Sequence[str]
) -> dict[str, frozenset[str]]:
    """The knowledge there is about these speakers: sources by memory."""
    rows = connection.execute(
        """
        select memory_id, source_ids from memories
        where type = 'knowledge' and origin = 'consolidated' and about = any(%s)
          and status <> 'forgotten'
        """,
        [list(speakers)],
    )
    return {str(memory): frozenset(map(str, sources)) for memory, sources in rows.fetchall()}


def load_taken_back(connection: psycopg.Connection, speakers: Sequence[str]) -> TakenBack:
    """What the owner undid of former consolidations of these speakers."""
    rows = connection.execute(
        """
        select memory_id, after ->> 'type', after -> 'source_ids',
            after ->> 'superseded_by', before ->> 'superseded_by'
        from memory_changes join memory_runs using (run_id)
        where memory_runs.kind = 'consolidation' and undone_by is not null
          and after ->> 'about' = any(%s)
        """,
        [list(speakers)],
    ).fetchall()
    return TakenBack(
        groups={frozenset(sources) for _, type, sources, _, _ in rows if type == "knowledge"},
        supersessions={
            (str(memory), by) for memory, _, _, by, before in rows if by and by != before
        },
    )


def write_knowledge(connection: psycopg.Connection, memories: pl.DataFrame) -> int:
    """Insert knowledge or bring it up to date; returns how many rows were written.

    A pin stays. What had faded is active again when it was said again.
    """
    connection.execute(
        "create temporary table if not exists incoming_memories (like memories) "
        "on commit delete rows"
    )
    connection.execute("truncate incoming_memories")
    copy_frame(connection, "incoming_memories", memories)
    connection.execute("analyze incoming_memories")
    columns = ", ".join(memories.columns)
    decided = [name.strip() for name in _DECIDED.split(",")]
    new = ", ".join(f"excluded.{name}" for name in decided)
    again = f"excluded.last_at > old.last_at and {_FADED.format(row='old')}"
    return connection.execute(
        f"""
        insert into memories as old ({columns}) select {columns} from incoming_memories
        on conflict (memory_id) do update set
            ({", ".join(decided)}) = row({new}),
            status = case when {again} then 'active' else old.status end,
            status_reason = case when {again} then '' else old.status_reason end
        where ({", ".join(f"old.{name}" for name in decided)}) is distinct from ({new})
        """
    ).rowcount


def retire(
    connection: psycopg.Connection, states: pl.DataFrame, speakers: Sequence[str]
) -> tuple[int, int]:
    """Give statements their `states` and remove knowledge that no longer is; returns both counts.

    To be called after `write_knowledge` of all the speakers' knowledge, in one transaction. What is
    pinned stays active; pinned knowledge stays as long as all it rests on is there.
    """
    connection.execute(
        """
        create temporary table if not exists incoming_states (
            memory_id uuid, status text, status_reason text, valid_from timestamptz,
            valid_until timestamptz, superseded_by uuid
        ) on commit delete rows
        """
    )
    connection.execute("truncate incoming_states")
    copy_frame(connection, "incoming_states", states)
    connection.execute("analyze incoming_states")
    faded = _FADED.format(row="now")
    kept = f"now.status = 'archived' and not (state.status = 'merged' and {faded})"
    changed = connection.execute(
        f"""
        update memories as old
        set (status, status_reason, valid_from, valid_until, superseded_by)
            = (new.status, new.reason, new.valid_from, new.valid_until, new.superseded_by)
        from (
            select state.memory_id, state.valid_from, state.valid_until, state.superseded_by,
                case when {kept} then now.status when now.pinned then 'active'
                     else state.status end as status,
                case when {kept} then now.status_reason when now.pinned then ''
                     else state.status_reason end as reason
            from incoming_states as state join memories as now using (memory_id)
        ) as new
        where old.memory_id = new.memory_id
          and (old.status, old.status_reason, old.valid_from, old.valid_until, old.superseded_by)
              is distinct from
              (new.status, new.reason, new.valid_from, new.valid_until, new.superseded_by)
        """
    ).rowcount
    removed = connection.execute(
        """
        delete from memories as old
        where type = 'knowledge' and origin = 'consolidated' and about = any(%s)
          and status <> 'forgotten'
          and not exists (select from incoming_memories as new
                          where new.memory_id = old.memory_id)
          and (not pinned or exists (
              select from unnest(source_ids) as source (id)
              where not exists (select from memories where memory_id = source.id)))
        """,
        [list(speakers)],
    ).rowcount
    return changed, removed


def remember_seen(
    connection: psycopg.Connection, seen: pl.DataFrame, speakers: Sequence[str]
) -> None:
    """Note the `fingerprint` of each speaker (`about`) just consolidated; null: nothing is left."""
    connection.execute("delete from consolidated_speakers where about = any(%s)", [list(speakers)])
    copy_frame(
        connection, "consolidated_speakers", seen.filter(pl.col("fingerprint").is_not_null())
    )


def knowledge_faults(
    connection: psycopg.Connection, memory_ids: Sequence[str] | None = None
) -> pl.DataFrame:
    """What must not be in knowledge (these memories, None: all), in one row.

    Columns `knowledge` (how many), `few_sources` (fewer than two), `missing_sources` (a source is
    no memory), `other_messages` (its messages are not those of its sources).
    """
    return fetch_frame(
        connection,
        """
        select count(*) as knowledge,
            count(*) filter (where cardinality(source_ids) < 2) as few_sources,
            count(*) filter (where found < cardinality(source_ids)) as missing_sources,
            count(*) filter (where said is distinct from (
                select array_agg(distinct own.id order by own.id)
                from unnest(message_ids) as own (id))) as other_messages
        from memories cross join lateral (
            select count(distinct source.memory_id) as found,
                array_agg(distinct message.id order by message.id) as said
            from memories as source left join unnest(source.message_ids) as message (id) on true
            where source.memory_id = any(memories.source_ids)
        ) as evidence
        where type = 'knowledge' and origin = 'consolidated'
          and (%(ids)s::uuid[] is null or memory_id = any(%(ids)s::uuid[]))
        """,
        {"ids": None if memory_ids is None else list(memory_ids)},
    )


def statement_faults(
    connection: psycopg.Connection, kinds: Sequence[str], speakers: Sequence[str] | None = None
) -> pl.DataFrame:
    """What must not be in statements (of these speakers, None: of all), in one row.

    Columns `statements` (how many), `lost` (merged, but part of no knowledge), `counted_twice`
    (active, though part of knowledge), `dangling` (superseded by what is no memory).
    """
    return fetch_frame(
        connection,
        """
        with held as (
            select unnest(source_ids) as id from memories
            where type = 'knowledge' and origin = 'consolidated' and not pinned
              and (%(speakers)s::text[] is null or about = any(%(speakers)s))
        ), pinned as (
            select unnest(source_ids) as id from memories
            where type = 'knowledge' and origin = 'consolidated' and pinned
        )
        select count(*) as statements,
            count(*) filter (where status = 'merged' and memory_id not in (select id from held)
                             and memory_id not in (select id from pinned)) as lost,
            count(*) filter (where status = 'active' and not pinned
                             and memory_id in (select id from held)) as counted_twice,
            count(*) filter (where superseded_by is not null and not exists (
                select from memories as newer where newer.memory_id = memories.superseded_by
            )) as dangling
        from memories
        where type = 'episodic' and kind = any(%(kinds)s)
          and status not in ('quarantined', 'forgotten')
          and (%(speakers)s::text[] is null or about = any(%(speakers)s))
        """,
        {"kinds": list(kinds), "speakers": None if speakers is None else list(speakers)},
    )


def sessions_with(
    connection: psycopg.Connection, subject: str
) -> tuple[list[tuple[str, int]], int]:
    """Sessions the subject had with each other speaker, and all sessions they took part in."""
    rows = connection.execute(
        """
        with own as (select distinct session_id from cleaned_messages where speaker = %(subject)s)
        select speaker, count(distinct session_id)
        from cleaned_messages join own using (session_id) group by speaker
        """,
        {"subject": subject},
    ).fetchall()
    total = sum(count for speaker, count in rows if speaker == subject)
    return [(speaker, count) for speaker, count in rows if speaker != subject], total


def unknown_messages(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Each knowledge memory with what a reader could stumble over; `days` is ignored.

    Columns `messages` (how many it rests on), `unknown` (how many of them are no raw message),
    `content_length`, `importance`, `confidence`, `sessions`.
    """
    del days
    return fetch_frame(
        connection,
        """
        select cardinality(message_ids) as messages, length(btrim(content)) as content_length,
            importance, confidence, sessions,
            (select count(*) from unnest(message_ids) as message (id)
             where not exists (select from raw_messages where raw_messages.id = message.id)
            ) as unknown
        from memories where type = 'knowledge' and origin = 'consolidated'
        """,
    )
