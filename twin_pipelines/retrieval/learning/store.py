"""The only SQL over `retrievers`, over which of them is in force, and what it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from twin_pipelines.retrieval.learning.retriever import STOCK, Floats, Retriever
from twin_pipelines.settings import TwinError

KEPT = 8  # retrievers a process remembers


@dataclass(frozen=True)
class Learned:
    """A retriever as it is recorded, without its weights."""

    retriever_id: str
    model: str
    rank: int
    learned_from: str
    messages: int
    figures: dict[str, Any]
    passed: bool
    verdict: str
    learned_at: datetime
    in_force: bool


_LEARNED = """
    select r.retriever_id, r.model, r.rank, r.learned_from, cardinality(r.message_ids), r.figures,
           r.passed, r.verdict, r.learned_at, s.retriever is not distinct from r.retriever_id
    from retrievers r cross join search_state s
"""


def save(
    connection: psycopg.Connection,
    retriever: Retriever,
    *,
    recipe: str,
    learned_from: str,
    message_ids: Sequence[str],
    figures: dict[str, Any],
    passed: bool,
    verdict: str,
) -> None:
    """Record a retriever with what it learned from and the gate's word; the caller commits.

    Raises TwinError when one of the messages was erased while it learned.
    """
    _held(connection)  # an erasure is waited for
    row = connection.execute(
        "select count(*) from tombstones where ref = any(%s::uuid[])", [list(message_ids)]
    ).fetchone()
    if row and row[0]:
        raise TwinError(
            "Messages that the retriever learned from were erased meanwhile, so it is not kept; "
            "run `twin retriever train` again."
        )
    connection.execute(
        """
        insert into retrievers (retriever_id, model, dimensions, rank, weights, recipe,
                                learned_from, message_ids, figures, passed, verdict)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            *(retriever.retriever_id, retriever.model, retriever.looks.shape[1], retriever.rank),
            *(retriever.packed(), recipe, learned_from, list(message_ids)),
            *(Jsonb(figures), passed, verdict),
        ],
    )


def learned(connection: psycopg.Connection) -> list[Learned]:
    """All retrievers, the one learned last first."""
    rows = connection.execute(f"{_LEARNED} order by r.learned_at desc").fetchall()
    return [Learned(*row) for row in rows]


def recorded(connection: psycopg.Connection, retriever_id: str) -> Learned | None:
    """A retriever by its id."""
    row = connection.execute(f"{_LEARNED} where r.retriever_id = %s", [retriever_id]).fetchone()
    return Learned(*row) if row else None


def of_recipe(connection: psycopg.Connection, recipe: str) -> Learned | None:
    """The retriever that was learned by a recipe already."""
    row = connection.execute(f"{_LEARNED} where r.recipe = %s", [recipe]).fetchone()
    return Learned(*row) if row else None


def in_force(connection: psycopg.Connection) -> str | None:
    """Id of the retriever in force; None for the encoder as it is."""
    row = connection.execute("select retriever from search_state").fetchone()
    return row[0] if row else None


def put_in_force(connection: psycopg.Connection, retriever_id: str) -> None:
    """Look questions up by a retriever from this transaction on; what was found before is stale.

    Nothing changes when it is in force already. Raises TwinError when it is unknown or the gate
    refused it.
    """
    found = recorded(connection, retriever_id)
    if found is None:
        raise TwinError(
            f"There is no retriever {retriever_id}; `twin retriever status` lists those there are."
        )
    if not found.passed:
        raise TwinError(f"Retriever {retriever_id} was refused: {found.verdict}")
    with connection.transaction():
        before = _held(connection)
        if before == retriever_id:
            return
        connection.execute(
            "update retrievers set replaced = %s, in_force_since = clock_timestamp() "
            "where retriever_id = %s",
            [before, retriever_id],
        )
        _set(connection, retriever_id)


def roll_back(connection: psycopg.Connection) -> str | None:
    """Let the retriever answer again that was in force before the present one, or none.

    Returns its id; None for the encoder as it is. Raises TwinError when none is in force.
    """
    with connection.transaction():
        present = _held(connection)
        if present is None:
            raise TwinError(
                "No learned retriever is in force, so there is nothing to go back to; see "
                "`twin retriever status`."
            )
        row = connection.execute(
            "select earlier.retriever_id from retrievers r left join retrievers earlier"
            " on earlier.retriever_id = r.replaced where r.retriever_id = %s",
            [present],
        ).fetchone()
        before: str | None = row[0] if row else None
        _set(connection, before)
    return before


def withdraw(connection: psycopg.Connection, message_ids: Sequence[str]) -> list[str]:
    """Delete the retrievers that learned from any of these messages; their ids, in order.

    Where one was in force, questions are looked up by the encoder as it is from this transaction
    on. The caller commits.
    """
    present = _held(connection)
    rows = connection.execute(
        "select retriever_id from retrievers where message_ids && %s::uuid[] order by learned_at",
        [list(message_ids)],
    ).fetchall()
    gone = [row[0] for row in rows]
    if present in gone:
        _set(connection, None)
    connection.execute("delete from retrievers where retriever_id = any(%s)", [gone])
    return gone


def retriever(connection: psycopg.Connection, retriever_id: str) -> Retriever:
    """A retriever with its weights, read once a process; STOCK where it went in the meantime."""
    if not retriever_id:
        return STOCK
    known = _known().get(retriever_id)
    if known is None:
        row = connection.execute(
            "select model, dimensions, weights from retrievers where retriever_id = %s",
            [retriever_id],
        ).fetchone()
        if row is None:
            return STOCK
        known = Retriever.unpacked(retriever_id, *row)
        if len(_known()) >= KEPT:
            _known().clear()
        _known()[retriever_id] = known
    return known


@lru_cache(maxsize=1)
def _known() -> dict[str, Retriever]:
    return {}


def vectors(
    connection: psycopg.Connection, message_ids: Sequence[str], model: str
) -> dict[str, Floats]:
    """Of turns, by cleaned message id: the mean of both vectors of their entries (dimensions,)."""
    rows = connection.execute(
        """
        select message_id::text, own_vector + around_vector from search_entries
        where message_id = any(%s::uuid[]) and model = %s
        """,
        [list(message_ids), model],
    ).fetchall()
    return {ref: both.to_numpy().astype(np.float32) * np.float32(0.5) for ref, both in rows}


def _held(connection: psycopg.Connection) -> str | None:
    """The retriever in force, which nobody changes until the transaction ends."""
    row = connection.execute("select retriever from search_state for update").fetchone()
    return row[0] if row else None


def _set(connection: psycopg.Connection, retriever_id: str | None) -> None:
    connection.execute(
        "update search_state set retriever = %s, version = version + 1", [retriever_id]
    )
