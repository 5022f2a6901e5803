"""The only SQL over `exports`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import psycopg
from psycopg.types.json import Jsonb


@dataclass(frozen=True)
class Export:
    """A file made of an adapter. `path` is relative to the state folder.

    `passed` is None where nothing could compare it with the trained model.
    """

    adapter_id: str
    kind: str
    path: PurePosixPath
    sha256: str
    bytes: int
    parity: dict[str, Any]
    passed: bool | None
    created_at: datetime


_COLUMNS = ", ".join(Export.__dataclass_fields__)


def save_exports(
    connection: psycopg.Connection, adapter_id: str, exports: Iterable[Export]
) -> None:
    """Record what lies in the adapter's export folder, all of it and nothing else."""
    places = ", ".join(f"%({name})s" for name in Export.__dataclass_fields__)
    rows = [{**vars(one), "path": str(one.path), "parity": Jsonb(one.parity)} for one in exports]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("delete from exports where adapter_id = %s", (adapter_id,))
        cursor.executemany(f"insert into exports ({_COLUMNS}) values ({places})", rows)


def exports_of(connection: psycopg.Connection, adapter_id: str) -> dict[str, Export]:
    """The adapter's files, by kind."""
    found = connection.execute(
        f"select {_COLUMNS} from exports where adapter_id = %s order by kind", (adapter_id,)
    )
    exports = {}
    for row in found:
        values = dict(zip(Export.__dataclass_fields__, row, strict=True))
        values["path"] = PurePosixPath(values["path"])
        values["created_at"] = values["created_at"].astimezone(UTC)
        exports[values["kind"]] = Export(**values)
    return exports


def promotable(connection: psycopg.Connection, adapter_id: str) -> dict[str, Export]:
    """The adapter's files that behave as it does, by kind: only these may be promoted or served."""
    return {kind: one for kind, one in exports_of(connection, adapter_id).items() if one.passed}


def latest_exported(connection: psycopg.Connection) -> str | None:
    """The adapter that was exported last; None before the first."""
    row = connection.execute(
        "select adapter_id from exports order by chosen_at desc limit 1"
    ).fetchone()
    return row[0] if row else None
