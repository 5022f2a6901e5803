"""Turns that refer back to an earlier one, and what they may mean: for the owner to confirm.

What people refer back to is the natural test of a memory. Nobody but them can tell which earlier
turn is meant, so nothing here counts before the owner has picked one. What is offered is the best
by words, the best by meaning and the best by both, so that neither way of searching is favoured.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.retrieval.ranking.features import build_history
from twin_pipelines.retrieval.ranking.lexical import terms_of

FEWEST_TERMS = 3  # of a turn that tells what it refers to
REFERS = re.compile(
    r"\b(?:remember|last time|the other day|(?:you|i|we) (?:once )?(?:said|told|mentioned|talked"
    r"|spoke)|(?:as|like) (?:you|i|we) said|you were (?:saying|telling)|did you ever)\b"
    r"|จำได้|คราวก่อน|ครั้งก่อน|ครั้งที่แล้ว|วันก่อน|เคยบอก|เคยเล่า|เคยพูด|ที่บอก|ที่เล่า|ที่พูดถึง",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Offer:
    """An earlier turn that may be meant: the id of its first raw message, and the turn."""

    message_id: str
    speaker: str
    text: str
    sent_at: datetime


@dataclass(frozen=True)
class Reference:
    """A turn that refers back, with one to three earlier turns that it may mean."""

    message_id: str
    speaker: str
    text: str
    sent_at: datetime
    offers: tuple[Offer, ...]


def references(
    turns: pl.DataFrame, encoder: Encoder, most: int, judged: Collection[str] = ()
) -> list[Reference]:
    """At most `most` turns (figures_store.SAMPLED) that refer back, the latest first.

    Only turns of earlier sessions are offered. `judged` are ids of those that were shown before.
    """
    seen = set(judged)
    telling = [
        row
        for row, (text, ids) in enumerate(turns.select("text", "message_ids").iter_rows())
        if REFERS.search(text) and ids[0] not in seen and len(set(terms_of(text))) >= FEWEST_TERMS
    ]
    if not telling:
        return []
    history = build_history(turns.drop("message_ids"), encoder)
    moments = turns["sent_at"].to_numpy()
    found = []
    for row in reversed(telling):
        text = turns["text"][row]
        earlier = (moments < moments[row]) & (history.sessions != history.sessions[row])
        if not earlier.any():
            continue
        words = history.lexicon_meta.scores(text)
        meaning = history.vectors_meta @ history.vectors_meta[row]
        both = words / max(float(words[earlier].max()), 1e-9) + meaning
        best = [
            int(np.where(earlier, scores, -np.inf).argmax()) for scores in (words, meaning, both)
        ]
        offers = tuple(Offer(*_turn(turns, place)) for place in sorted(set(best)))
        found.append(Reference(*_turn(turns, row), offers))
        if len(found) == most:
            break
    return found


def _turn(turns: pl.DataFrame, row: int) -> tuple[str, str, str, datetime]:
    speaker, text, sent_at, ids = turns.select("speaker", "text", "sent_at", "message_ids").row(row)
    return ids[0], speaker, text, sent_at
