"""The SQL that counts and hashes the rows of a table, on whatever server it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from twin_pipelines.foundation.database import fetch_frame
from twin_pipelines.sources.reconciliation import DAY_SCHEMA, ROW_SCHEMA


@dataclass(frozen=True)
class Compared:
    """What of a table is compared, as SQL over its columns.

    `rows` is a table, or a select in parentheses; `values` are what must be equal, `day` and `key`
    are cast to date and text. Values are compared as text in UTC, so both sides must give the same
    types. `where` chooses rows; `parameters` fill the %(placeholders)s of any of them.
    """

    rows: sql.Composable
    key: sql.Composable
    day: sql.Composable
    values: Sequence[sql.Composable]
    where: sql.Composable = field(default_factory=lambda: sql.SQL("true"))
    parameters: Mapping[str, Any] = field(default_factory=dict)


def digests(connection: psycopg.Connection, compared: Compared) -> pl.DataFrame:
    """How many rows a day has and a hash of them all, in any order: DAY_SCHEMA, without order.

    The hash is the sum of the rows' own 64-bit ones (the first half of MD5), so that it does not
    depend on how a server sorts. One pass over the table.
    """
    query = sql.SQL(
        "select day, count(*) as rows, sum(digest)::text as digest from ({}) as row_digests "
        "group by day"
    ).format(_hashed(compared))
    return fetch_frame(connection, query, compared.parameters, DAY_SCHEMA)


def fingerprints(
    connection: psycopg.Connection, compared: Compared, days: Sequence[date | None]
) -> pl.DataFrame:
    """The rows of some days (None: of those without one): ROW_SCHEMA, without order."""
    query = sql.SQL(
        "select key, digest::text as digest from ({}) as row_digests "
        "where day = any(%(compared_days)s::date[]) or (%(dayless)s and day is null)"
    ).format(_hashed(compared))
    chosen = {
        "compared_days": [day for day in days if day is not None],
        "dayless": None in days,
    }
    return fetch_frame(connection, query, {**compared.parameters, **chosen}, ROW_SCHEMA)


def _hashed(compared: Compared) -> sql.Composed:
    return sql.SQL(
        "select ({day})::date as day, ({key})::text as key, "
        "('x' || left(md5(row({key}, {values})::text), 16))::bit(64)::bigint as digest "
        "from {rows} where {where}"
    ).format(
        day=compared.day,
        key=compared.key,
        values=sql.SQL(", ").join(compared.values),
        rows=compared.rows,
        where=compared.where,
    )
