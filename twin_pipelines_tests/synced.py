"""Two databases of an application, as fixtures, for tests of the two-way sync."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from twin_pipelines.foundation.server import EmbeddedServer
from twin_pipelines.settings import Sync, SyncTable
from twin_pipelines.sources.sync.pair import Pair, opened
from twin_pipelines.sources.sync.setup import take_down
from twin_pipelines.sources.sync.standing import standing

NOTES = """
    create table notes (
        id uuid primary key default gen_random_uuid(), body text, email text unique,
        origin text default {origin}, updated_at timestamptz not null default clock_timestamp()
    )
"""


def made(server: EmbeddedServer) -> Iterator[Sync]:
    """Settings of a sync of two databases with an empty table; all of it is gone afterwards."""
    names = [f"side_{uuid.uuid4().hex[:10]}" for _ in range(2)]
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute("alter system set wal_retrieve_retry_interval = '300ms'")
        administrator.execute("select pg_reload_conf()")
        for name, origin in zip(names, ("local", "remote"), strict=True):
            administrator.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            with psycopg.connect(server.url(name), autocommit=True) as connection:
                connection.execute(sql.SQL(NOTES).format(origin=sql.Literal(origin)))
        table = SyncTable(table="notes", origin="origin")
        sync = Sync(local=server.url(names[0]), remote=server.url(names[1]), tables=(table,))
        yield sync
        take_down(sync)
        for name in names:
            drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            administrator.execute(drop)


@pytest.fixture
def sync(server: EmbeddedServer) -> Iterator[Sync]:
    """Settings of a sync that is not set up yet."""
    yield from made(server)


@pytest.fixture
def pair(sync: Sync) -> Iterator[Pair]:
    """Both sides, opened; a user of either writes by the same connections."""
    with opened(sync) as both:
        yield both


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that replication brings."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def notes(connection: psycopg.Connection) -> list[tuple[str, str, str]]:
    """What stands on a side: identity, text, origin."""
    return connection.execute("select id::text, body, origin from notes order by id").fetchall()


def settled(pair: Pair) -> list[tuple[str, str, str]]:
    """Both sides once they hold the same rows and nothing is on its way."""
    until(lambda: all(one.lag_bytes < 10_000 for one in standing(pair).directions))
    end = time.monotonic() + 20
    while True:
        local, remote = (notes(side.connection) for side in pair.sides)
        if local == remote:
            return local
        assert time.monotonic() < end, (local, remote)
        time.sleep(0.02)
