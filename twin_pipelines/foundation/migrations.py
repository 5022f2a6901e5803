"""Numbered, forward-only migrations: `sql/NNNN_name.sql`, each in its own transaction."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg

from twin_pipelines.settings import TwinError

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK = 7_894_612_305  # of the advisory lock between concurrent migrators

_RECORD = """
create table if not exists schema_migrations (
    number     int primary key,
    name       text not null,
    sha256     text not null,
    applied_at timestamptz not null default now()
);
comment on table schema_migrations is 'Migrations applied to this database, in order.';
comment on column schema_migrations.number is 'Leading number of the file.';
comment on column schema_migrations.name is 'File name.';
comment on column schema_migrations.sha256 is 'Hash of the file: an edited one is refused.';
comment on column schema_migrations.applied_at is 'When it was applied.';
"""


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations_folder() -> Path:
    """The `sql` folder: beside the package in a source checkout, inside it in a wheel."""
    package = Path(__file__).parent.parent
    inside = package / "sql"
    return inside if inside.is_dir() else package.parent / "sql"


def read_migrations(folder: Path) -> list[Migration]:
    """The folder's migrations in order. Raises TwinError for a name without a number of its own."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if not match:
            raise TwinError(f"The migration {path} is not named NNNN_name.sql; rename it.")
        number = int(match[1])
        if number in found:
            raise TwinError(
                f"The migrations {found[number].name} and {path.name} in {folder} share a number; "
                "give the newer one the next free number."
            )
        found[number] = Migration(number, path.name, path.read_text(encoding="utf-8"))
    if not found:
        raise TwinError(f"No migrations were found in {folder}; reinstall twin_pipelines.")
    return [found[number] for number in sorted(found)]


def pending(files: list[Migration], applied: dict[int, tuple[str, str]]) -> list[Migration]:
    """Migrations still to apply, in order.

    `applied` maps the number to name and hash. Raises TwinError when an applied file was edited or
    is missing, or when a new file's number lies before an applied one.
    """
    known = {migration.number: migration for migration in files}
    for number, (name, sha256) in sorted(applied.items()):
        if number not in known:
            raise TwinError(
                f"The migration {name} was applied to this database but its file is missing; "
                "restore it, or update twin_pipelines to the release that wrote this database."
            )
        if known[number].sha256 != sha256:
            raise TwinError(
                f"The migration {known[number].name} was edited after it was applied; undo the "
                "edit and put the change into a new migration with the next number."
            )
    newest = max(applied, default=0)
    rest = [migration for migration in files if migration.number not in applied]
    for migration in rest:
        if migration.number < newest:
            raise TwinError(
                f"The migration {migration.name} comes before number {newest:04d}, which is "
                "already applied; give it the next free number."
            )
    return rest


def migrate(connection: psycopg.Connection, folder: Path | None = None) -> list[str]:
    """Apply what is pending and return the names applied. The connection must be idle.

    Concurrent migrators wait for each other: each transaction takes the lock, looks what is still
    pending and applies one file, so it also works through a transaction-level connection pooler.
    Raises TwinError as `pending` does, or when this user may not do what a migration does.
    """
    files = read_migrations(folder or migrations_folder())
    names: list[str] = []
    while True:
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            rest = pending(files, _applied(connection))
            if not rest:
                return names
            _apply(connection, rest[0])
        names.append(rest[0].name)


def _applied(connection: psycopg.Connection) -> dict[int, tuple[str, str]]:
    table = connection.execute("select to_regclass('schema_migrations')").fetchone()
    if table is None or table[0] is None:
        connection.execute(_RECORD)
        return {}
    rows = connection.execute("select number, name, sha256 from schema_migrations").fetchall()
    return {number: (name, sha256) for number, name, sha256 in rows}


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    try:
        connection.execute(migration.text.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        info = connection.info
        raise TwinError(
            f"The user {info.user} may not apply the migration {migration.name} to the database "
            f"{info.dbname} ({error.diag.message_primary}); let an administrator run CREATE "
            "EXTENSION vector and CREATE EXTENSION pg_trgm there and grant the user CREATE on it."
        ) from error
    except psycopg.Error as error:
        error.add_note(f"in the migration {migration.name}")
        raise
    connection.execute(
        "insert into schema_migrations (number, name, sha256) values (%s, %s, %s)",
        [migration.number, migration.name, migration.sha256],
    )
