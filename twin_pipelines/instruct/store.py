"""The only SQL over `instruct_pairs`, `datasets` and `dataset_pairs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.foundation.database import copy_frame, fetch_frame
from twin_pipelines.instruct.pairs import PAIR_SCHEMA

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

RATE_DAYS = 90


@dataclass(frozen=True)
class PairCounts:
    """How many pairs there are, why others may not be used, and how fast they come."""

    total: int  # usable
    excluded: dict[str, int]  # by reason, the most frequent first
    first: datetime | None  # of the usable ones
    last: datetime | None
    recent: int  # usable, in the last RATE_DAYS before the last one


@dataclass(frozen=True)
class DatasetVersion:
    """A frozen dataset. `path` is relative to the state folder."""

    version: str
    subject: str
    settings: dict[str, Any]
    train: int
    validation: int
    test: int
    purged: dict[str, int]
    train_until: datetime
    test_from: datetime
    path: PurePosixPath


_VERSION_COLUMNS = ", ".join(DatasetVersion.__dataclass_fields__)


def rewrite_days(connection: psycopg.Connection, days: DayRange, pairs: pl.DataFrame) -> None:
    """Make `pairs` (PAIR_SCHEMA) the whole content of the days, in one transaction."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('instruct_pairs'))")
        connection.execute(
            "delete from instruct_pairs where day between %s and %s", (days.first, days.last)
        )
        copy_frame(connection, "instruct_pairs", pairs)


def load_pairs(connection: psycopg.Connection) -> pl.DataFrame:
    """Every pair that may be trained on (PAIR_SCHEMA), by time.

    None that holds a message which says what the owner wants forgotten.
    """
    return fetch_frame(
        connection,
        f"select {', '.join(PAIR_SCHEMA)} from instruct_pairs where excluded is null "
        "and not message_ids && array(select unnest(hidden_ids) from forgetting_in_force) "
        "order by replied_at, id",
        schema=PAIR_SCHEMA,
    )


def load_excluded(connection: psycopg.Connection) -> pl.DataFrame:
    """Every pair that may not be trained on (PAIR_SCHEMA), with the reason, by time."""
    return fetch_frame(
        connection,
        f"select {', '.join(PAIR_SCHEMA)} from instruct_pairs where excluded is not null "
        "order by replied_at, id",
        schema=PAIR_SCHEMA,
    )


def counts(connection: psycopg.Connection) -> PairCounts:
    """Counts over the whole history."""
    row = connection.execute(
        """
        select count(*), min(replied_at), max(replied_at),
               count(*) filter (where replied_at > newest - make_interval(days => %s))
        from instruct_pairs,
             (select max(replied_at) as newest from instruct_pairs where excluded is null) as latest
        where excluded is null
        """,
        (RATE_DAYS,),
    ).fetchone()
    total, first, last, recent = row or (0, None, None, 0)
    reasons = connection.execute(
        "select excluded, count(*) from instruct_pairs where excluded is not null "
        "group by 1 order by 2 desc, 1"
    ).fetchall()
    return PairCounts(total, dict(reasons), first, last, recent)


def pair_faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """How many pairs of the days break a rule, one column a rule; no row where there are no pairs.

    `blank`: no message or no reply. `bad_roles`: an empty context turn, or one that is neither user
    nor assistant. `bad_quality`: quality outside 0–10 or not the sum of its parts.
    `unknown_messages`: lineage that is missing or names no raw message. `not_own`: a reply the
    subject did not write. `other_day`: the day is not that of the reply.
    """
    return fetch_frame(
        connection,
        """
        with looked_at as (
            select * from instruct_pairs
            where (%(first)s::date is null or day between %(first)s and %(last)s)
        )
        select count(*) as pairs,
            count(*) filter (where btrim(input) = '' or btrim(reply) = '') as blank,
            count(*) filter (where exists (
                select from jsonb_array_elements(context) as turn
                where turn ->> 'role' is distinct from 'user'
                  and turn ->> 'role' is distinct from 'assistant'
                   or btrim(turn ->> 'content') is not distinct from ''
            )) as bad_roles,
            count(*) filter (where quality not between 0 and 10 or abs(quality - (
                select sum(part.value::real) from jsonb_each_text(quality_parts) as part
            )) > 0.01) as bad_quality,
            count(*) filter (where cardinality(message_ids) = 0 or exists (
                select from unnest(message_ids) as message
                where not exists (select from raw_messages where raw_messages.id = message)
            )) as unknown_messages,
            count(*) filter (where not exists (
                select from raw_messages join subjects using (speaker)
                where raw_messages.id = looked_at.id
            )) as not_own,
            count(*) filter (where not exists (
                select from raw_messages
                where raw_messages.id = looked_at.id and raw_messages.day = looked_at.day
            )) as other_day
        from looked_at having count(*) > 0
        """,
        {"first": days and days.first, "last": days and days.last},
    )


def excluded_share(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """One row: `pairs` of the days, and the `share` of them that may not be trained on."""
    return fetch_frame(
        connection,
        """
        select count(*) as pairs, count(excluded)::float8 / greatest(1, count(*)) as share
        from instruct_pairs
        where (%(first)s::date is null or day between %(first)s and %(last)s)
        """,
        {"first": days and days.first, "last": days and days.last},
    )


def save_dataset(
    connection: psycopg.Connection, dataset: DatasetVersion, pairs: pl.DataFrame
) -> None:
    """Record a dataset and its pairs (PAIR_SCHEMA and `split`) as the current one, in one
    transaction, each with the messages it came from and what it said.

    A version that is known already is only made current again.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('datasets'))")
        if latest_version(connection) == dataset.version:
            return
        values = {
            **{name: getattr(dataset, name) for name in DatasetVersion.__dataclass_fields__},
            "settings": Jsonb(dataset.settings),
            "purged": Jsonb(dataset.purged),
            "path": str(dataset.path),
        }
        given = ", ".join(f"%({name})s" for name in values)
        made = connection.execute(
            f"insert into datasets ({', '.join(values)}) values ({given}) "
            "on conflict (version) do update set chosen_at = clock_timestamp() "
            "returning xmax = 0",
            values,
        ).fetchone()
        if made and made[0]:
            _save_pairs(connection, dataset.version, pairs)


def _save_pairs(connection: psycopg.Connection, version: str, pairs: pl.DataFrame) -> None:
    connection.execute(
        "create temp table frozen_pairs (id uuid, split text, context jsonb, input text, "
        "reply text, message_ids uuid[])"
    )
    columns = ("id", "split", "context", "input", "reply", "message_ids")
    copy_frame(connection, "frozen_pairs", pairs.select(columns))
    connection.execute(
        "insert into dataset_pairs (version, pair_id, split, message_ids, content_hash) "
        "select %s, id, split, message_ids, pair_hash(context, input, reply) from frozen_pairs",
        (version,),
    )
    connection.execute("drop table frozen_pairs")


def learnt_sessions(connection: psycopg.Connection, version: str) -> list[str]:
    """Sessions of the pairs of train and validation that still exist."""
    rows = connection.execute(
        "select distinct session_id::text from instruct_pairs join dataset_pairs on pair_id = id "
        "where version = %s and split in ('train', 'validation') order by 1",
        (version,),
    ).fetchall()
    return [row[0] for row in rows]


def latest_version(connection: psycopg.Connection) -> str | None:
    """Version of the current dataset."""
    row = connection.execute(
        "select version from datasets order by chosen_at desc limit 1"
    ).fetchone()
    return row[0] if row else None


def latest_dataset(connection: psycopg.Connection) -> DatasetVersion | None:
    """The current dataset; None before the first."""
    version = latest_version(connection)
    return dataset(connection, version) if version else None


def dataset(connection: psycopg.Connection, version: str) -> DatasetVersion | None:
    """A dataset by version."""
    row = connection.execute(
        f"select {_VERSION_COLUMNS} from datasets where version = %s", (version,)
    ).fetchone()
    if row is None:
        return None
    values: Mapping[str, Any] = dict(zip(DatasetVersion.__dataclass_fields__, row, strict=True))
    return DatasetVersion(**{**values, "path": PurePosixPath(values["path"])})


def dataset_versions(connection: psycopg.Connection) -> list[str]:
    """Every version, the one chosen last first."""
    rows = connection.execute("select version from datasets order by chosen_at desc").fetchall()
    return [row[0] for row in rows]


def message_ids(connection: psycopg.Connection, pair_ids: list[str]) -> dict[str, list[str]]:
    """raw_messages.id of the messages behind each of the pairs that still exist."""
    rows = connection.execute(
        "select id::text, message_ids::text[] from instruct_pairs where id = any(%s::uuid[])",
        (pair_ids,),
    ).fetchall()
    return dict(rows)


def new_pairs_since(connection: psycopg.Connection, version: str) -> int:
    """Usable pairs that a dataset neither holds nor left out when it was made.

    Counted by identity, so that an old history imported later counts as new. All of them when the
    version is unknown.
    """
    row = connection.execute(
        """
        select greatest(0, count(*) - coalesce((
            select sum(purged.value::int)
            from datasets, jsonb_each_text(datasets.purged) as purged
            where datasets.version = %(version)s
        ), 0))::bigint
        from instruct_pairs
        where excluded is null and not exists (
            select from dataset_pairs
            where dataset_pairs.version = %(version)s and pair_id = instruct_pairs.id
        )
        """,
        {"version": version},
    ).fetchone()
    return int(row[0]) if row else 0


def shared_account(connection: psycopg.Connection) -> bool | None:
    """Whether the subject failed the one-voice test; None while it could not tell."""
    row = connection.execute(
        "select not passed from voice_tests join subjects using (speaker) "
        "order by tested_at desc limit 1"
    ).fetchone()
    return row[0] if row else None


def reply_times(connection: psycopg.Connection, pair_ids: list[str]) -> dict[str, datetime]:
    """When the reply of each of the pairs that still exist was sent."""
    rows = connection.execute(
        "select id::text, replied_at from instruct_pairs where id = any(%s::uuid[])", (pair_ids,)
    ).fetchall()
    return dict(rows)
