"""What the person said about themselves, sentence by sentence, each with the session it is from.

Questions may be made of train sessions only: `ensure_disjoint` raises where a session also stands
among those to be evaluated on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from twin_pipelines.evaluation.frozen import Exchange
from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.persona.statements.find import MOST_WORDS, patterns, split_sentences
from twin_pipelines.settings import TwinError

_CLAUSE_END = re.compile(r"[,;:()]\s|\s[-–—]\s|\.{2,}")


@dataclass(frozen=True)
class Saying:
    """A clause: its sentence as written, itself normalised and without fillers, its session."""

    text: str
    bare: str
    session_id: str


def sayings(exchanges: Sequence[Exchange]) -> list[Saying]:
    """Clauses of the replies that may tell something lasting: of no question, quotation, joke or
    hypothesis, as far as `persona.statements.patterns` can tell. In order, each once a session."""
    said = [
        (sentence, clause, exchange.session_id)
        for exchange in exchanges
        for sentence in split_sentences(exchange.reply)
        for clause in _CLAUSE_END.split(sentence)
    ]
    schema = {"text": pl.String, "clause": pl.String, "session": pl.String}
    frame = pl.DataFrame(said, schema=schema, orient="row").with_columns(
        normal_text(pl.col("text")).alias("normal"), normal_text(pl.col("clause"))
    )
    kept: dict[tuple[str, str], Saying] = {}
    for text, clause, session, normal in frame.iter_rows():
        if len(normal.split()) > MOST_WORDS or patterns.UNSURE.search(normal):
            continue
        if patterns.QUESTION.search(text) or patterns.ASIDE.search(text):
            continue
        fillers = patterns.FILLERS.match(f"{clause} ")
        bare = clause[fillers.end() :] if fillers else clause
        if bare:
            kept.setdefault((session, bare), Saying(text, bare, session))
    return list(kept.values())


def ensure_disjoint(train: Iterable[Exchange], unseen: Iterable[Exchange]) -> None:
    """Raise TwinError when a session that questions are made of is to be evaluated on too."""
    shared = {one.session_id for one in train} & {one.session_id for one in unseen}
    if shared:
        raise TwinError(
            f"{len(shared)} sessions stand in train and in validation or test, so the personality "
            f"questions would come from unseen text ({min(shared)} is one); rebuild the dataset."
        )
