"""Imports the memory tables of an existing companion, as `memory.imports` in twin.toml lists them.

Each table is read whole, through columns found by name or mapped, with somebody's consent on
record. Importing again changes only what changed in the table: new rows are added, changed ones
written anew, rows that are gone are archived. Nothing is ever deleted, and each import is one run
that can be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import psycopg

from twin_pipelines.memory import ledger
from twin_pipelines.memory.imports import store as imports_store
from twin_pipelines.memory.imports.columns import find_columns
from twin_pipelines.memory.imports.rows import Read, Reading, read_rows
from twin_pipelines.memory.records import MEMORIES
from twin_pipelines.memory.suspicion import quarantine
from twin_pipelines.settings import MemoryTable, TwinError, TwinSettings
from twin_pipelines.sources.landing_store import record_consent
from twin_pipelines.sources.messages import Rules


@dataclass(frozen=True)
class TableReport:
    """What came of one table: numbers of rows, and which column was taken for what."""

    table: str
    type: str
    columns: dict[str, str]
    read: int
    imported: int  # memories that stand
    inactive: int
    quarantined: int
    written: int  # made or changed
    archived: int
    returned: int
    rejected: pl.DataFrame  # `source_ref`, `reason`, `excerpt`


def import_tables(
    connection: psycopg.Connection, settings: TwinSettings, subject: str
) -> list[TableReport]:
    """Import every configured table, each in a transaction of its own, and commit.

    Memories are about `subject` unless the table says otherwise. Raises TwinError when a table has
    no consent, stands twice, is missing or cannot be meant; the tables before it stay imported.
    """
    tables = settings.memory.imports
    names = [table.table for table in tables]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TwinError(
            f"The table {', '.join(twice)} stands twice under memory.imports in twin.toml; "
            "remove one, or write one with its schema, as in public.core_memories."
        )
    for table in tables:
        _granted(table)
    return [_import(connection, settings, table, subject) for table in tables]


def _import(
    connection: psycopg.Connection, settings: TwinSettings, table: MemoryTable, subject: str
) -> TableReport:
    rules = Rules.of(settings)
    reading = Reading(
        table.table,
        table.type,
        subject,
        rules.zone,
        rules.latest,
        rules.max_chars,
        settings.memory.short_term_hours,
    )
    with imports_store.opened(table, connection) as reader:
        columns = find_columns(table, imports_store.column_names(reader, table.table))
        info = reader.info
        where = f"table {table.table} in {info.dbname} at {info.host}:{info.port}"
        with connection.transaction():
            record_consent(
                connection, f"memories:{table.table}", "memories", where, _granted(table)
            )
            rows = imports_store.fetch_rows(reader, table.table, columns)
    read = read_rows(rows, reading)
    memories = quarantine(_with_messages(connection, read.memories))
    counts = _write(connection, table, columns, memories, read)
    connection.commit()
    return TableReport(
        table=table.table,
        type=table.type,
        columns=columns,
        read=rows.height,
        imported=memories.height,
        inactive=read.inactive,
        quarantined=memories.filter(pl.col("status") == "quarantined").height,
        rejected=read.rejected,
        **counts,
    )


def _write(
    connection: psycopg.Connection,
    table: MemoryTable,
    columns: dict[str, str],
    memories: pl.DataFrame,
    read: Read,
) -> dict[str, int]:
    words = f"imported {memories.height:,} memories from the table {table.table}"
    chosen = {"table": table.table, "type": table.type, "columns": columns}
    with ledger.run(connection, "import", words, chosen) as run:
        counts = imports_store.write_imported(connection, table.table, memories, read.refs)
        run.counts = {**counts, "rejected": read.rejected.height, "inactive": read.inactive}
    return counts


def _with_messages(connection: psycopg.Connection, memories: pl.DataFrame) -> pl.DataFrame:
    """Memories with the raw messages they name, as far as those were landed."""
    named = memories.select("memory_id", pl.col("messages").alias("message")).explode(
        "message", empty_as_null=False
    )
    known = imports_store.raw_ids(connection, named["message"].unique().to_list())
    found = named.join(known, on="message").group_by("memory_id").agg(pl.col("id").unique().sort())
    return (
        memories.join(found, on="memory_id", how="left", maintain_order="left")
        .with_columns(pl.col("id").fill_null([]).alias("message_ids"))
        .select(list(MEMORIES))
    )


def _granted(table: MemoryTable) -> str:
    if table.consent.strip():
        return table.consent.strip()
    raise TwinError(
        f"The import of {table.table} has no consent; write under it in twin.toml who allowed the "
        'reading and when, as in consent = "David, 2026-01-05".'
    )


def problems(reports: Sequence[TableReport]) -> dict[str, int]:
    """Rejected rows by "table: reason", the commonest first."""
    rejected = pl.concat(
        [
            report.rejected.select((pl.lit(f"{report.table}: ") + pl.col("reason")).alias("reason"))
            for report in reports
        ]
        or [pl.DataFrame(schema={"reason": pl.String})]
    )
    return dict(rejected["reason"].value_counts(sort=True).iter_rows())
