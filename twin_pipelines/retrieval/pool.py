"""Candidates that came from the database, made into the signs they are ranked by."""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt

from twin_pipelines.retrieval.ranking.features import (
    Candidates,
    Rows,
    assembled,
    date_sign,
    speaker_signs,
)
from twin_pipelines.retrieval.ranking.lexical import Floats
from twin_pipelines.retrieval.store import Pool

_APART = 1 << 32  # places of one session lie nearer to each other than sessions do


def signs_of(pool: Pool, text: str, asked_on: date | None) -> Candidates:
    """The candidates of a question, as `ranking.features.candidates` gives those of a history.

    `rows` count the pool's candidates, at least one. What is the best of a session is the best of
    it among candidates and the turns beside them.
    """
    found = pool.candidates
    sessions, keys = _keys(pool)
    own, others = keys[: len(found)], keys[len(found) :]
    words = np.concatenate([found["words"], pool.neighbours["words"]]).astype(np.float32)
    meaning = np.concatenate([found["meaning"][:, 0], pool.neighbours["meaning"]]).astype(
        np.float32
    )
    before, after = (_beside(own, others, step) for step in (-1, 1))
    names = list(dict.fromkeys(pool.speakers))
    places = {name: place for place, name in enumerate(names)}
    spoken_by = np.array([places[name] for name in pool.speakers], dtype=np.int64)
    signs = assembled(
        scores=np.column_stack([words[: len(found)], found["meaning"]]).astype(np.float32),
        by_session=_best(sessions, np.column_stack([words[:, 1], meaning]))[: len(found)],
        coverage=found["coverage"].astype(np.float32),
        speaker=speaker_signs(text, names, spoken_by),
        nearness=date_sign(text, found["day"].astype(np.int64), _span(pool), asked_on),
        beside=np.column_stack(
            [words[before, 0], words[after, 0], meaning[before], meaning[after]]
        ),
        shape=np.column_stack([np.log1p(found["length"]), found["asks"], found["answers"]]).astype(
            np.float32
        ),
    )
    return Candidates(np.arange(len(found)), signs)


def _keys(pool: Pool) -> tuple[Rows, Rows]:
    """Number of the session of candidates and neighbours, and a key that orders their places."""
    sessions = np.concatenate([pool.candidates["session"], pool.neighbours["session"]])
    places = np.concatenate([pool.candidates["place"], pool.neighbours["place"]])
    numbers = np.unique(sessions, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers, numbers * _APART + places


def _beside(own: Rows, others: Rows, step: int) -> Rows:
    """Row, among candidates and neighbours, of the turn a step away; without one the turn's own."""
    keys = np.concatenate([own, others])
    order = np.argsort(keys, kind="stable")
    at = np.minimum(np.searchsorted(keys, own + step, sorter=order), len(keys) - 1)
    rows = order[at]
    return np.where(keys[rows] == own + step, rows, np.arange(len(own)))


def _best(sessions: Rows, scores: Floats) -> Floats:
    best = np.full((int(sessions.max()) + 1, scores.shape[1]), -np.inf, dtype=np.float32)
    np.maximum.at(best, sessions, scores)
    return best[sessions]


def _span(pool: Pool) -> tuple[date, date]:
    days = pool.candidates["day"]
    first = pool.first or date.fromordinal(int(days.min()))
    return first, pool.last or date.fromordinal(int(days.max()))


def days_of(pool: Pool) -> npt.NDArray[np.int64]:
    """Ordinal day of each candidate."""
    return pool.candidates["day"].astype(np.int64)
