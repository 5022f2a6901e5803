"""Consolidates what changed: knowledge first and verified, then its sources retire; or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import polars as pl
import psycopg

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory import ledger
from twin_pipelines.memory.consolidation import store as consolidation_store
from twin_pipelines.memory.consolidation.knowledge import Knowledge, knowledge_of
from twin_pipelines.persona.statements.find import content_words
from twin_pipelines.persona.statements.patterns import KINDS
from twin_pipelines.settings import ImportanceWeights, TwinError

RULES = "1"  # raised when the same statements are to make other knowledge


@dataclass(frozen=True)
class Consolidated:
    """What a consolidation did: numbers, and its run (None: nothing had to change)."""

    run_id: int | None
    speakers: int  # looked at, because they said something new
    statements: int  # of these speakers
    knowledge: int  # memories these statements make
    made: int
    changed: int
    removed: int


def consolidate(connection: psycopg.Connection, weights: ImportanceWeights) -> Consolidated:
    """Bring knowledge up to date with all statements, in one transaction that can be undone.

    Only speakers whose statements changed since are looked at. Knowledge is inserted and verified
    first; then the statements it is made of are marked as merged and knowledge without evidence is
    removed, and both are verified again. Raises TwinError, and changes nothing, when a verification
    fails.
    """
    settings = json.dumps({"rules": RULES, "weights": weights.model_dump()}, sort_keys=True)
    words = "made knowledge of what was said several times"
    with ledger.run(connection, "consolidation", words, json.loads(settings)) as run:
        key = hashlib.md5(settings.encode(), usedforsecurity=False).hexdigest()
        changed = consolidation_store.changed_speakers(connection, KINDS, key)
        speakers = changed["about"].to_list()
        if not speakers:
            return Consolidated(None, 0, 0, 0, 0, 0, 0)
        statements = with_words(consolidation_store.load_statements(connection, KINDS, speakers))
        made = knowledge_of(
            statements,
            weights,
            consolidation_store.load_present(connection, speakers),
            consolidation_store.load_taken_back(connection, speakers),
        )
        _replace(connection, made, speakers)
        consolidation_store.remember_seen(connection, changed, speakers)
        run.counts = {"speakers": len(speakers), "statements": statements.height}
    return Consolidated(
        run.run_id if run.changed_anything else None,
        len(speakers),
        statements.height,
        made.memories.height,
        run.made,
        run.changed,
        run.removed,
    )


def with_words(statements: pl.DataFrame) -> pl.DataFrame:
    """Statements whose normalised sentence and content words are made of the content where they
    were not written down, as of those that a language model extracted."""
    filled = statements.with_columns(
        pl.coalesce("bare", normal_text(pl.col("content"))),
        pl.coalesce("session_id", "memory_id").alias("session_id"),
    )
    gists = [
        content_words(bare) if gist is None else gist
        for bare, gist in filled.select("bare", "gist").iter_rows()
    ]
    return filled.with_columns(pl.Series("gist", gists, pl.List(pl.String)))


def _replace(connection: psycopg.Connection, made: Knowledge, speakers: list[str]) -> None:
    identities = made.memories["memory_id"].to_list()
    consolidation_store.write_knowledge(connection, made.memories)
    _verify(consolidation_store.knowledge_faults(connection, identities), len(identities))
    consolidation_store.retire(connection, made.states, speakers)
    _verify(consolidation_store.knowledge_faults(connection, identities), len(identities))
    _verify(consolidation_store.statement_faults(connection, KINDS, speakers), made.states.height)


def _verify(faults: pl.DataFrame, expected: int) -> None:
    (row,) = faults.to_dicts()
    total, count = next(iter(row.items()))
    wrong = [f"{row[name]} {name.replace('_', ' ')}" for name in list(row)[1:] if row[name]]
    wrong += [f"{count} instead of {expected}"] if count != expected else []
    if wrong:
        raise TwinError(
            f"Consolidation was given up and changed nothing, as its {total} would not have been "
            f"whole ({', '.join(wrong)}); materialise episodic_memories again."
        )
