"""Deliberate changes of memories: each is a run, one transaction, journaled, and can be undone.

Whoever consolidates, forgets, dreams or pins does it inside `run`; the database's trigger writes
down every row before and after. What extraction derives from a day's messages is no run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from twin_pipelines.memory import ledger_store
from twin_pipelines.memory.store import lock_memories
from twin_pipelines.settings import TwinError

KINDS = ("consolidation", "forgetting", "dreaming", "procedures", "import", "owner", "undo")


@dataclass
class Run:
    """A change under way: say more in `words` and `counts` until it ends.

    `made`, `changed` and `removed` count memories once it has ended.
    """

    run_id: int
    words: str
    counts: dict[str, int] = field(default_factory=dict)
    made: int = 0
    changed: int = 0
    removed: int = 0

    @property
    def changed_anything(self) -> bool:
        return bool(self.made or self.changed or self.removed)


@contextmanager
def run(
    connection: psycopg.Connection,
    kind: str,
    words: str,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Run]:
    """Journal all changes of `memories` made inside, in one transaction; nobody else writes them.

    `kind` is one of KINDS, `words` say in one sentence what is done, `settings` with which
    settings. An exception takes everything back. A run that changed nothing leaves no trace. In an
    open transaction it is a savepoint, and the caller commits.
    """
    if kind not in KINDS:
        raise ValueError(f"a run is one of {', '.join(KINDS)}, not {kind}")
    with connection.transaction():
        if (outer := ledger_store.present_run(connection)) is not None:
            raise RuntimeError(f"run {outer} has not ended; runs do not nest")
        lock_memories(connection)
        opened = Run(ledger_store.open_run(connection, kind, words, settings or {}), words)
        yield opened
        totals = ledger_store.close_run(connection, opened.run_id, opened.words, opened.counts)
        opened.made, opened.changed, opened.removed = totals.values()


@dataclass(frozen=True)
class Undone:
    """What an undo did, as numbers of memories."""

    run_id: int
    undone: int
    returned: int  # had been removed and are back
    restored: int  # are again as they were
    taken_back: int  # had been made and are gone
    left: int  # could not go back, as their messages are gone or they were derived anew


def undo(connection: psycopg.Connection, run_id: int) -> Undone:
    """Take a run back: every memory it changed is exactly as it was before.

    A memory whose messages are gone meanwhile is not brought back, and what extraction derived anew
    since stays. Undoing an undo does the change again. Raises TwinError when there is no such run,
    it was undone already, or a later run changed the same memories.
    """
    known = {number: (words, by) for number, words, by in _runs(connection, run_id)}
    if run_id not in known:
        raise TwinError(
            f"There is no memory run {run_id}; `twin memory undo` without a number lists the runs."
        )
    words, by = known[run_id]
    if by is not None:
        raise TwinError(f"Memory run {run_id} was undone already, by run {by}; undo that one.")
    with run(connection, "undo", f"took back run {run_id}: {words}", {"run": run_id}) as undoing:
        if later := ledger_store.later_runs(connection, run_id):
            raise TwinError(
                f"Memory run {run_id} cannot be undone while run {later[0]} stands, which changed "
                f"the same memories later; undo run {later[0]} first."
            )
        total = ledger_store.gather_changes(connection, run_id)
        ledger_store.mark_undone(connection, run_id, undoing.run_id)  # what it forgot may return
        counts = ledger_store.restore_gathered(connection)
        undoing.counts = {**counts, "left": total - sum(counts.values())}
    return Undone(run_id=undoing.run_id, undone=run_id, **undoing.counts)


def _runs(connection: psycopg.Connection, run_id: int) -> list[tuple[int, str, int | None]]:
    return (
        ledger_store.load_runs(connection, [run_id]).select("run_id", "words", "undone_by").rows()
    )
