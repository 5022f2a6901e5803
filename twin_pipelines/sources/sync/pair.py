"""The two databases of a sync, opened, and the names of what is made in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict

from twin_pipelines.foundation.database import connect
from twin_pipelines.settings import Sync, SyncTable, TwinError

SideName = Literal["local", "remote"]


@dataclass(frozen=True)
class Side:
    """One database of a sync, by a connection that commits by itself.

    `sync` is the name of the schema and the publication in both. `subscription` is the name of the
    one made here and of its slot on the other side; `slot` is the slot here, which the other side
    reads. `other_reached` is how this server reaches the other one.
    """

    sync: str
    name: SideName
    connection: psycopg.Connection
    other_reached: str

    @property
    def other(self) -> SideName:
        return "remote" if self.name == "local" else "local"

    @property
    def subscription(self) -> str:
        return f"{self.sync}_{self.name}"

    @property
    def slot(self) -> str:
        return f"{self.sync}_{self.other}"

    @property
    def publications(self) -> tuple[str, str]:
        """Of the application's tables, and of the deletions."""
        return self.sync, f"{self.sync}_deletions"

    @property
    def place(self) -> str:
        """Where the database is, without a password."""
        info = self.connection.info
        return f"{info.dbname} at {info.host}:{info.port}"


@dataclass(frozen=True)
class Pair:
    """Both sides and the tables that are kept the same."""

    name: str
    local: Side
    remote: Side
    tables: tuple[SyncTable, ...]

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.local, self.remote


def sync_name(sync: Sync) -> str:
    """Stable for two databases, whatever the passwords. Raises TwinError for a URL that is none."""
    digest = hashlib.sha256("\0".join([place(sync.local), place(sync.remote)]).encode()).hexdigest()
    return f"twin_sync_{digest[:8]}"


def place(url: str) -> str:
    """Where a URL points to, without user and password. Raises TwinError when it is none."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise TwinError(
            "A url under [sync] in twin.toml is no address of a PostgreSQL database; write it as "
            "postgresql://user:password@db.example.org:5432/name."
        ) from None  # the cause may quote the password
    return f"{parts.get('dbname', '')} at {parts.get('host', '')}:{parts.get('port', 5432)}"


def configured(sync: Sync) -> Sync:
    """The section itself. Raises TwinError while it says nothing, or names one database twice."""
    if not sync.tables:
        raise TwinError(
            "No sync is configured; write local, remote and tables under [sync] in twin.toml, see "
            "docs/sync.md."
        )
    if place(sync.local) == place(sync.remote):
        raise TwinError(
            f"Under [sync] in twin.toml local and remote are both {place(sync.local)}; name two "
            "databases."
        )
    return sync


@contextmanager
def opened(sync: Sync) -> Iterator[Pair]:
    """Both databases. Raises TwinError when one cannot be reached or the section is not whole."""
    configured(sync)
    with ExitStack() as stack:
        local = stack.enter_context(opened_side(sync, "local"))
        remote = stack.enter_context(opened_side(sync, "remote"))
        yield Pair(sync_name(sync), local, remote, sync.tables)


@contextmanager
def opened_side(sync: Sync, name: SideName) -> Iterator[Side]:
    """One of the two. Raises TwinError when it cannot be reached."""
    here = name == "local"
    other = sync.remote_from_local or sync.remote if here else sync.local_from_remote or sync.local
    with connect(sync.local if here else sync.remote) as connection:
        connection.autocommit = True
        yield Side(sync_name(sync), name, connection, other)
