"""A source database whose conversations are followed, as fixtures for every room that needs one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.server import EmbeddedServer
from twin_pipelines.settings import Source, TwinSettings
from twin_pipelines.sources.capture.feeds import Feed, feeds

CONVERSATIONS = """
    create table conversations (
        conversation_id uuid primary key default gen_random_uuid(), session_id text,
        speaker text, message_text text, message_type text, topic text, importance_level int,
        created_at timestamptz, content_json jsonb
    )
"""


@pytest.fixture
def source_url(server: EmbeddedServer) -> Iterator[str]:
    """A source database on the test's server; its slots and itself are dropped afterwards."""
    name = f"source_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute(f"create database {name}")
        yield server.url(name)
        slots = "select slot_name from pg_replication_slots where database = %s"
        for (slot,) in administrator.execute(slots, [name]).fetchall():
            administrator.execute("select pg_drop_replication_slot(%s)", [slot])
        administrator.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def source(source_url: str) -> Iterator[psycopg.Connection]:
    """A writer of the source, with an empty table of conversations; it commits by itself."""
    with psycopg.connect(source_url, autocommit=True) as writer:
        writer.execute(CONVERSATIONS)
        yield writer


@pytest.fixture
def reader(source_url: str, source: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The connection by which the source is followed."""
    opened = connect(source_url)
    yield opened
    opened.close()


@pytest.fixture
def following(twin_home: TwinSettings, source_url: str) -> TwinSettings:
    """Settings that follow the table."""
    table = Source(name="angela", kind="table", consent="David, 2026", url=source_url, capture=True)
    return twin_home.model_copy(update={"sources": (table,)})


@pytest.fixture
def feed(following: TwinSettings) -> Feed:
    """The one feed of the settings."""
    (only,) = feeds(following)
    return only


def say(source: psycopg.Connection, text: str, day: int = 1, **columns: Any) -> uuid.UUID:
    """One message in May 2018; returns its identity."""
    values = {
        "session_id": "s1",
        "speaker": "angela",
        "message_text": text,
        "created_at": f"2018-05-{day:02}T12:00:00Z",
    } | columns
    row = source.execute(
        sql.SQL("insert into conversations ({}) values ({}) returning conversation_id").format(
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        ),
        list(values.values()),
    ).fetchone()
    assert row
    return row[0]
