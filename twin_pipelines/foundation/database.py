"""The twin's databases: opened, probed, migrated, and read and written as polars frames.

One PostgreSQL server holds three databases: the twin's, Dagster's and MLflow's. Without a URL in
the settings it is the embedded one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.types import TypeInfo

from twin_pipelines.foundation.frames import copy_frame, fetch_frame
from twin_pipelines.foundation.migrations import migrate
from twin_pipelines.settings import TwinError, TwinSettings

__all__ = [
    "Databases",
    "ServerFacts",
    "connect",
    "copy_frame",
    "fetch_frame",
    "migrate",
    "open_databases",
    "shortfall",
]

CONNECT_SECONDS = 15
LEAST_SERVER = 16
LEAST_PGVECTOR = (0, 7)
EMBEDDED_NAMES = ("twin", "dagster", "mlflow")


@dataclass(frozen=True)
class Databases:
    """Addresses (postgresql:// URLs with password) of the three databases."""

    twin: str
    dagster: str
    mlflow: str


@dataclass(frozen=True)
class ServerFacts:
    """What a server told about itself. Extension versions are None where there is none."""

    version: int  # as server_version_num: 160004
    encoding: str
    pgvector_available: str | None
    pgvector_installed: str | None
    pg_trgm_available: str | None


_READY: set[Databases] = set()
_GUARD = threading.RLock()


@contextmanager
def open_databases(settings: TwinSettings) -> Iterator[Databases]:
    """The three databases, ready: server up and good enough, databases made, `twin` migrated.

    Holds the embedded server up inside the `with`. Looks and migrates once a process, so opening
    again is cheap. Raises TwinError saying what is missing and never showing a password.
    """
    if settings.database.url:
        databases = _beside(settings.database.url)
        _make_ready(databases, embedded=False)
        yield databases
        return
    if os.name == "nt":
        raise TwinError(
            "The embedded database needs Linux or macOS; set TWIN_DATABASE__URL to a PostgreSQL "
            "server, or use the Windows Subsystem for Linux."
        )
    from twin_pipelines.foundation.server import open_server  # needs file locks Windows lacks

    with open_server(settings) as server:
        databases = Databases(*(server.url(name) for name in EMBEDDED_NAMES))
        _make_ready(databases, embedded=True)
        yield databases


def connect(url: str) -> psycopg.Connection:
    """A connection in UTC that knows pgvector's types; nothing is committed by itself.

    Raises TwinError (without the password) when the server cannot be reached or refuses.
    """
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="twin_pipelines",
            client_encoding="UTF8",
        )
    except psycopg.OperationalError as error:
        raise TwinError(_refusal(url, str(error))) from error
    except psycopg.ProgrammingError:
        raise TwinError(_unusable()) from None  # the cause may quote the password
    connection.execute("set time zone 'UTC'; set datestyle to ISO; set jit to off")
    if TypeInfo.fetch(connection, "vector"):
        from pgvector.psycopg import register_vector

        register_vector(connection)
    connection.autocommit = False
    return connection


def shortfall(facts: ServerFacts) -> str | None:
    """What a server lacks to hold a twin, in words; None when it lacks nothing."""
    lacks = []
    if facts.version // 10_000 < LEAST_SERVER:
        major, minor = divmod(facts.version, 10_000)
        lacks.append(f"it is PostgreSQL {major}.{minor} and {LEAST_SERVER} or newer is needed")
    if facts.encoding != "UTF8":
        lacks.append(f"its encoding is {facts.encoding} and UTF8 is needed")
    least = ".".join(map(str, LEAST_PGVECTOR))
    present = facts.pgvector_installed or facts.pgvector_available
    if present is None:
        lacks.append(f"the extension pgvector ({least} or newer) is not available on its server")
    elif _numbers(present) < LEAST_PGVECTOR:
        newer = facts.pgvector_available or ""
        update = _numbers(newer) >= LEAST_PGVECTOR
        hint = " (run ALTER EXTENSION vector UPDATE there)" if update else ""
        lacks.append(f"its pgvector is {present} and {least} or newer is needed{hint}")
    if facts.pg_trgm_available is None:
        lacks.append("the extension pg_trgm is not available on its server")
    return " and ".join([", ".join(lacks[:-1]), lacks[-1]] if len(lacks) > 1 else lacks) or None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _beside(url: str) -> Databases:
    """The URLs of the three databases on a given server."""
    try:
        parts = urlsplit(url)
        name = unquote(parts.path.removeprefix("/"))
        _ = parts.port
    except ValueError:
        raise TwinError(_unusable()) from None  # the cause may quote the password
    if parts.scheme not in ("postgresql", "postgres") or not name or "/" in name:
        raise TwinError(_unusable())

    def named(database: str) -> str:
        path = "/" + quote(database, safe="")
        return urlunsplit(("postgresql", parts.netloc, path, parts.query, parts.fragment))

    return Databases(named(name), named(f"{name}_dagster"), named(f"{name}_mlflow"))


def _make_ready(databases: Databases, embedded: bool) -> None:
    with _GUARD:
        if databases in _READY:
            return
        if embedded:
            with connect(_sibling(databases.twin, "postgres")) as connection:
                _create_missing(connection, list(EMBEDDED_NAMES))
        with connect(databases.twin) as connection:
            if not embedded:
                _probe(connection)
                names = [_name(databases.dagster), _name(databases.mlflow)]
                _create_missing(connection, names)
            migrate(connection)
            _probe_thai(connection)
        _READY.add(databases)


def _sibling(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _name(url: str) -> str:
    return unquote(urlsplit(url).path.removeprefix("/"))


def _create_missing(connection: psycopg.Connection, names: list[str]) -> None:
    rows = connection.execute("select datname from pg_database").fetchall()
    missing = [name for name in names if (name,) not in rows]
    connection.rollback()
    connection.autocommit = True
    for name in missing:
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            continue  # another process made it in the meantime
        except psycopg.errors.InsufficientPrivilege as error:
            user = connection.info.user
            raise TwinError(
                f"The user {user} may not create databases on {_place(connection)}; let an "
                f"administrator create {' and '.join(missing)}, owned by {user}."
            ) from error
    connection.autocommit = False


def _place(connection: psycopg.Connection) -> str:
    return f"{connection.info.host}:{connection.info.port}"


def _probe(connection: psycopg.Connection) -> None:
    row = connection.execute(
        """
        select current_setting('server_version_num')::int, current_setting('server_encoding'),
               max(default_version) filter (where name = 'vector'),
               max(installed_version) filter (where name = 'vector'),
               max(default_version) filter (where name = 'pg_trgm')
        from pg_available_extensions
        """
    ).fetchone()
    connection.rollback()
    lacks = shortfall(ServerFacts(*row)) if row else None
    if lacks:
        raise TwinError(
            f"The database {connection.info.dbname} on {_place(connection)} cannot hold a twin: "
            f"{lacks}; mend that, or unset database.url to use the embedded server."
        )


def _probe_thai(connection: psycopg.Connection) -> None:
    """pg_trgm drops Thai letters under some locales, and its indexes then find nothing."""
    row = connection.execute("select cardinality(show_trgm('แมว'))").fetchone()
    connection.rollback()
    if not row or not row[0]:
        raise TwinError(
            f"The database {connection.info.dbname} on {_place(connection)} was created with a "
            "character type (LC_CTYPE) that knows no Thai letters; create it anew with "
            "LC_CTYPE 'C.UTF-8' and TEMPLATE template0."
        )


def _unusable() -> str:
    return (
        "The database URL is not usable; write postgresql://user:password@host:5432/database with "
        "special characters percent-encoded, in database.url or TWIN_DATABASE__URL."
    )


def _refusal(url: str, told: str) -> str:
    """Why a connection failed, without the password."""
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
        secret = unquote(parts.password or "")
    except ValueError:
        return _unusable()
    name, user = _name(url), parts.username or "its user"
    if "password authentication failed" in told or "no password supplied" in told:
        return f"The database server {place} refused the password of {user}; correct its URL."
    if "does not exist" in told and f'database "{name}"' in told:
        return (
            f"The server {place} has no database {name}; create it there with "
            f"CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0, or correct its URL."
        )
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    reason = lines[0].split(" failed: ")[-1] if lines else "no answer"
    if secret:
        reason = reason.replace(secret, "…")
    return (
        f"The database server {place} cannot be reached ({reason.rstrip('.')}); "
        "start it, or correct its URL."
    )
