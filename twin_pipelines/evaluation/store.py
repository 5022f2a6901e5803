"""The only SQL over `evaluations`; reads besides which release serves and the one-voice test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import psycopg
from psycopg.types.json import Jsonb


@dataclass(frozen=True)
class Evaluation:
    """What an adapter reached. `path` is relative to the state folder."""

    evaluation_id: str
    adapter_id: str
    champion_id: str | None
    metrics: dict[str, Any]
    path: PurePosixPath
    created_at: datetime


_COLUMNS = ", ".join(Evaluation.__dataclass_fields__)


def save_evaluation(
    connection: psycopg.Connection,
    *,
    evaluation_id: str,
    adapter_id: str,
    champion_id: str | None,
    metrics: dict[str, Any],
    path: PurePosixPath,
) -> None:
    """Record an evaluation as the current one; one of the same identity is replaced."""
    with connection.transaction():
        connection.execute(
            """
            insert into evaluations (evaluation_id, adapter_id, champion_id, metrics, path)
            values (%s, %s, %s, %s, %s)
            on conflict (evaluation_id) do update
            set metrics = excluded.metrics, path = excluded.path, chosen_at = clock_timestamp()
            """,
            (evaluation_id, adapter_id, champion_id, Jsonb(metrics), str(path)),
        )


def choose_evaluation(connection: psycopg.Connection, evaluation_id: str) -> Evaluation | None:
    """Make a known evaluation the current one and return it; None when it is not known."""
    with connection.transaction():
        connection.execute(
            "update evaluations set chosen_at = clock_timestamp() where evaluation_id = %s",
            (evaluation_id,),
        )
    return evaluation(connection, evaluation_id)


def latest_evaluation(connection: psycopg.Connection) -> Evaluation | None:
    """The current evaluation; None before the first."""
    return _one(connection, "order by chosen_at desc limit 1", ())


def evaluation(connection: psycopg.Connection, evaluation_id: str) -> Evaluation | None:
    """An evaluation by identity."""
    return _one(connection, "where evaluation_id = %s", (evaluation_id,))


def serving_adapter(connection: psycopg.Connection) -> str | None:
    """Identity of the adapter that serves now; None while nothing was promoted, or what was learnt
    what was erased since and may not answer."""
    row = connection.execute(
        "select adapter_id from releases where status = 'champion' "
        "and adapter_id not in (select adapter_id from blocked_adapters)"
    ).fetchone()
    return row[0] if row else None


def one_voice(connection: psycopg.Connection) -> dict[str, Any] | None:
    """The subject's last one-voice test (docs/figures.md); None where there was none."""
    row = connection.execute(
        "select own_share, other_share, passed, note from voice_tests join subjects using (speaker)"
        " order by tested_at desc limit 1"
    ).fetchone()
    return (
        dict(zip(("own_share", "other_share", "passed", "note"), row, strict=True)) if row else None
    )


def _one(connection: psycopg.Connection, clause: str, given: tuple[str, ...]) -> Evaluation | None:
    row = connection.execute(f"select {_COLUMNS} from evaluations {clause}", given).fetchone()
    if row is None:
        return None
    values = dict(zip(Evaluation.__dataclass_fields__, row, strict=True))
    return Evaluation(**{**values, "path": PurePosixPath(values["path"])})
