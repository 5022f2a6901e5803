"""The only SQL over `adapters`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import psycopg
from psycopg.types.json import Jsonb


@dataclass(frozen=True)
class Adapter:
    """A trained adapter. `path` is relative to the state folder; the weights are in `adapter/`."""

    adapter_id: str
    dataset_version: str
    base_model: str
    base_hash: str
    config: dict[str, Any]
    code_version: str
    path: PurePosixPath
    metrics: dict[str, Any]
    mlflow_run_id: str
    created_at: datetime


_COLUMNS = ", ".join(Adapter.__dataclass_fields__)


def save_adapter(connection: psycopg.Connection, made: Adapter) -> None:
    """Record an adapter as the current one; one of the same identity is replaced."""
    values = {
        **{name: getattr(made, name) for name in Adapter.__dataclass_fields__},
        "config": Jsonb(made.config),
        "metrics": Jsonb(made.metrics),
        "path": str(made.path),
    }
    given = ", ".join(f"%({name})s" for name in values)
    renewed = ", ".join(f"{name} = excluded.{name}" for name in values if name != "adapter_id")
    with connection.transaction():
        connection.execute(
            f"insert into adapters ({_COLUMNS}) values ({given}) on conflict (adapter_id) "
            f"do update set {renewed}, chosen_at = clock_timestamp()",
            values,
        )


def choose_adapter(connection: psycopg.Connection, adapter_id: str) -> Adapter | None:
    """Make a known adapter the current one and return it; None when it is not known."""
    with connection.transaction():
        connection.execute(
            "update adapters set chosen_at = clock_timestamp() where adapter_id = %s", (adapter_id,)
        )
    return adapter(connection, adapter_id)


def latest_adapter(connection: psycopg.Connection) -> Adapter | None:
    """The current adapter; None before the first."""
    return _one(connection, "order by chosen_at desc limit 1", ())


def adapter(connection: psycopg.Connection, adapter_id: str) -> Adapter | None:
    """An adapter by identity."""
    return _one(connection, "where adapter_id = %s", (adapter_id,))


def _one(connection: psycopg.Connection, clause: str, given: tuple[str, ...]) -> Adapter | None:
    row = connection.execute(f"select {_COLUMNS} from adapters {clause}", given).fetchone()
    if row is None:
        return None
    values = dict(zip(Adapter.__dataclass_fields__, row, strict=True))
    values["path"] = PurePosixPath(values["path"])
    values["created_at"] = values["created_at"].astimezone(UTC)
    return Adapter(**values)
