"""The database of `twin bench recall`: made once, and found again by its name."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from twin_pipelines.commands.bench_recall_history import BenchHistory
from twin_pipelines.foundation.database import connect, copy_frame, migrate

_LANDED = "select (select count(*) from cleaned_messages), (select count(*) from memories)"


def kept_database(beside: str, name: str) -> str:
    """URL of the database of this name on the server of `beside`, made and migrated."""
    with psycopg.connect(beside, autocommit=True) as administrator:
        known = administrator.execute("select from pg_database where datname = %s", [name])
        if known.fetchone() is None:
            administrator.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    url = make_conninfo(beside, dbname=name)
    with connect(url) as connection:
        migrate(connection)
    return url


def fill(connection: psycopg.Connection, given: BenchHistory) -> bool:
    """Land the turns and memories unless they are there; what came in beside a run before goes.

    True when they were landed now; the queue of the index holds them then.
    """
    come = given.coming["id"].to_list()
    connection.execute("delete from cleaned_messages where id = any(%s::uuid[])", [come])
    connection.commit()
    row = connection.execute(_LANDED).fetchone()
    if row == (given.turns.height, given.memories.height):
        connection.commit()
        return False
    connection.execute("delete from cleaned_messages")
    connection.execute("delete from memories")
    copy_frame(connection, "cleaned_messages", given.turns)
    copy_frame(connection, "memories", given.memories)
    connection.commit()
    connection.execute("analyze")
    connection.commit()
    return True
