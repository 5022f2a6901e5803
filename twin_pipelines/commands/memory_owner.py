"""What `twin memory` lets the owner decide about single memories besides pinning."""

from __future__ import annotations

from typing import Any

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from twin_pipelines.commands.memory import list_table
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.memory import owner
from twin_pipelines.settings import TwinSettings


def waiting(settings: TwinSettings) -> pl.DataFrame:
    """What is in quarantine (`records.MEMORIES`), latest first."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        return owner.quarantined(connection)


def waiting_view(found: pl.DataFrame) -> RenderableType:
    """The quarantine for people: each memory with why it waits."""
    if found.is_empty():
        return Text("Nothing is in quarantine.")
    why = pl.format("{} [{}]", "content", "status_reason").alias("content")
    return list_table(found.with_columns(why))


def released(settings: TwinSettings, reference: str) -> dict[str, Any]:
    """Let a memory out of quarantine for good; returns it. Raises TwinError."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        return owner.release(connection, reference)


def dropped(settings: TwinSettings, reference: str) -> owner.Forgot:
    """Never recall a memory again, nor what says the same. Raises TwinError."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        return owner.forget(connection, reference)


def corrected(settings: TwinSettings, reference: str, text: str) -> owner.Corrected:
    """Put the owner's words in place of a memory. Raises TwinError."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        return owner.correct(connection, reference, text)
