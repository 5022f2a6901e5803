"""What `twin memory` does: list, search, pin, undo, why, forget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.memory import ledger, ledger_store, pins, store
from twin_pipelines.memory.forgetting import archiving
from twin_pipelines.memory.forgetting.archiving import MOST_LOST, Effect, Plan
from twin_pipelines.memory.forgetting.store import history_end
from twin_pipelines.memory.recall.recalls import record_recalls
from twin_pipelines.memory.recall.search import Found, index, search
from twin_pipelines.memory.recall.why import Why, why_memory, why_query
from twin_pipelines.memory.records import STATES, TYPES
from twin_pipelines.settings import TwinError, TwinSettings

if TYPE_CHECKING:
    from twin_pipelines.memory.ledger import Undone

DIGITS = 8  # of an id, in a table
_LISTED = (
    "memory_id",
    "type",
    "kind",
    "content",
    "about",
    "importance",
    "confidence",
    "sessions",
    "first_at",
    "last_at",
    "status",
    "status_reason",
    "pinned",
    "origin",
    "message_ids",
    "source_ids",
)


def listed(
    settings: TwinSettings,
    *,
    types: Sequence[str],
    status: str,
    about: str | None,
    pinned: bool,
    limit: int,
) -> pl.DataFrame:
    """Memories of the types (none: all) in a state, the weightiest first. Raises TwinError."""
    for given, known in ((types, TYPES), ([status], STATES)):
        for unknown in set(given) - set(known):
            raise TwinError(f"There are no {unknown} memories; choose of {', '.join(known)}.")
    with _connection(settings) as connection:
        found = store.load_memories(connection, types=types, states=[status], about=about)
    if pinned:
        found = found.filter("pinned")
    return found.head(limit).select(_LISTED)


def list_table(memories: pl.DataFrame) -> RenderableType:
    """The list for people."""
    rows = [
        (
            row["memory_id"][:DIGITS],
            f"{row['importance']:.2f}",
            str(row["sessions"]),
            f"{row['last_at']:%Y-%m-%d}",
            short_name(row["about"]),
            f"{row['type']}, {row['kind']}" + (" (pinned)" if row["pinned"] else ""),
            row["content"],
        )
        for row in memories.iter_rows(named=True)
    ]
    return _entries(rows, "id", "weight", "sessions", "last", "about", "what")


def searched(
    settings: TwinSettings, query: str, k: int, *, dreams: bool, about: str | None
) -> list[Found]:
    """The k memories (`about` one speaker, where given) that answer best; they count as recalled.

    What is new is indexed first, so that nothing said today is missed.
    """
    encoder = load_encoder(settings)
    with _connection(settings) as connection:
        index(connection, encoder)
        (found,) = search(
            connection, encoder, [query], k=k, dreams=dreams, about=about, settings=settings.memory
        )
        record_recalls(connection, [one.memory_id for one in found], datetime.now(UTC))
        connection.commit()
    return found


def search_table(found: Sequence[Found]) -> RenderableType:
    """What was found, for people."""
    rows = [
        (
            one.memory_id[:DIGITS],
            f"{one.score:.2f}",
            f"{one.meaning:.2f}",
            f"{one.words:.2f}",
            f"× {one.boost:.2f}",
            f"{one.last_at:%Y-%m-%d}",
            short_name(one.about),
            f"{one.type}, {one.kind}" + (" (imagined)" if one.imagined else ""),
            one.content,
        )
        for one in found
    ]
    return _entries(rows, "id", "score", "meaning", "words", "boost", "last", "about", "what")


def pinned(settings: TwinSettings, reference: str, *, keep: bool) -> dict[str, Any]:
    """Pin or unpin a memory; returns it as it is then. Raises TwinError."""
    with _connection(settings) as connection:
        memory = (pins.pin if keep else pins.unpin)(connection, reference)
        connection.commit()
    return {name: memory[name] for name in _LISTED}


def runs(settings: TwinSettings) -> pl.DataFrame:
    """What changed memories, the latest first."""
    with _connection(settings) as connection:
        return ledger_store.load_runs(connection)


def runs_table(found: pl.DataFrame) -> RenderableType:
    """The runs for people."""
    rows = [
        (
            str(row["run_id"]),
            f"{row['started_at']:%Y-%m-%d %H:%M}",
            row["kind"],
            row["words"],
            f"undone by {row['undone_by']}" if row["undone_by"] else "",
        )
        for row in found.iter_rows(named=True)
    ]
    return _table(rows, "run", "when", "kind", "what", "")


def undone(settings: TwinSettings, run_id: int) -> Undone:
    """Take a run back. Raises TwinError."""
    with _connection(settings) as connection:
        done = archiving.take_back(connection, run_id)
        connection.commit()
    return done


def why(settings: TwinSettings, asked: str) -> list[Why]:
    """Why a memory (its id) is as it is, or what a question recalls and what it does not."""
    with _connection(settings) as connection:
        now = history_end(connection) or datetime.now(UTC)
        if _is_reference(asked):
            return [why_memory(connection, settings, asked, now)]
        encoder = load_encoder(settings)
        index(connection, encoder)
        return why_query(connection, settings, encoder, asked, now)


def forgetting(
    settings: TwinSettings,
    *,
    dry_run: bool,
    half_life_days: float | None,
    forget_below: float | None,
) -> tuple[Plan, ledger.Run | None]:
    """What forgetting would do, with other settings where given, and unless `dry_run` doing it."""
    tried = {"half_life_days": half_life_days, "forget_below": forget_below}
    changed = {name: value for name, value in tried.items() if value is not None}
    if changed and not dry_run:
        raise TwinError(
            "Other settings are for --dry-run; to forget with them write "
            f"{' and '.join(f'memory.{name}' for name in changed)} into twin.toml."
        )
    encoder = load_encoder(settings)
    with _connection(settings) as connection:
        planned = archiving.plan(connection, encoder, settings.memory.model_copy(update=changed))
        if dry_run:
            return planned, None
        run = archiving.forget(connection, planned, asked_for=True)
        connection.commit()
    return planned, run


def plan_view(planned: Plan, run: ledger.Run | None) -> RenderableType:
    """The plan, and whether it was done, for people."""
    going, by_type = planned.archived, planned.archived["type"].value_counts(sort=True).rows()
    kinds = ", ".join(f"{count} {name}" for name, count in by_type) or "none"
    parts: list[RenderableType] = [
        Text(
            f"With a half-life of {planned.half_life_days:g} days and a limit of "
            f"{planned.forget_below:g}, of {planned.judged.height:,} memories {going.height:,} "
            f"fade ({kinds}) and {planned.revived.height:,} come back, as of "
            f"{planned.now:%Y-%m-%d}."
        ),
        Text(effect_words(planned.effect), style="yellow" if planned.costs_too_much else ""),
    ]
    if planned.effect.asked:
        ages = [tuple(str(cell) for cell in row) for row in planned.effect.by_age.rows()]
        parts.append(_table(ages, "last said", "asked for", "found before", "found after"))
    if going.height:
        rows = [
            (
                row["memory_id"][:DIGITS],
                f"{row['importance']:.2f}",
                f"{row['days']:.0f}",
                f"{row['retention']:.3f}",
                row["type"],
                row["content"],
            )
            for row in going.head(20).iter_rows(named=True)
        ]
        parts.append(Text("The most important that go:"))
        parts.append(_table(rows, "id", "importance", "days", "retention", "type", "memory"))
    if run is None:
        parts.append(Text("Nothing was changed."))
    elif run.changed_anything:
        parts.append(Text(f"Done; `twin memory undo {run.run_id}` takes it back."))
    else:
        parts.append(Text("There was nothing to do."))
    return Group(*parts)


def effect_words(effect: Effect) -> str:
    """What forgetting does to search, in a sentence or two."""
    if effect.before is None or effect.after is None:
        return "There is nothing to search for yet."
    words = (
        f"Asked for {effect.asked} memories by half of their words, search finds "
        f"{effect.before:.1%} among the first {archiving.AT} now and {effect.after:.1%} afterwards"
    )
    if effect.staying_before is not None and effect.staying_after is not None:
        words += (
            f"; of the {effect.staying} that stay {effect.staying_before:.1%} and "
            f"{effect.staying_after:.1%}"
        )
    if effect.lost > MOST_LOST:
        words += (
            f". That is more than the {MOST_LOST:.0%} that may go unasked: it waits for "
            "`twin memory forget`"
        )
    return words + "."


def short_name(speaker: str) -> str:
    """A speaker's name for a table: of a long id, the first digits."""
    return speaker if len(speaker) <= 2 * DIGITS else speaker[:DIGITS]


def found_json(found: Sequence[Found]) -> list[dict[str, Any]]:
    """What was found, for a machine."""
    return [asdict(one) for one in found]


def _is_reference(asked: str) -> bool:
    digits = asked.strip().lower().replace("-", "")
    return (
        pins.LEAST_DIGITS <= len(digits) <= 32
        and " " not in asked.strip()
        and set(digits) <= set("0123456789abcdef")
        and any(digit.isdigit() for digit in digits)
    )


@contextmanager
def _connection(settings: TwinSettings) -> Iterator[psycopg.Connection]:
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        yield connection


def _entries(rows: Sequence[tuple[str, ...]], *header: str) -> RenderableType:
    """Rows whose last cell is a memory's text, which stands on lines of its own below the rest."""
    if not rows:
        return Text("none")
    widths = [
        max(map(len, cells)) for cells in zip(header, *(row[:-1] for row in rows), strict=True)
    ]
    told: list[RenderableType] = [_line(header, widths, "bold")]
    for *cells, text in rows:
        told += [_line(cells, widths, "dim"), Padding(Text(text), (0, 0, 0, 2))]
    return Group(*told)


def _line(cells: Sequence[str], widths: Sequence[int], style: str) -> Text:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return Text("  ".join(padded).rstrip(), style=style)


def _table(rows: Sequence[tuple[str, ...]], *header: str) -> RenderableType:
    if not rows:
        return Text("none")
    table = Table(box=None, pad_edge=False)
    for name in header:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
