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


def signs_of(pool: Pool, text: str, asked_on: date | None) -> Candidates:
    """The candidates of a question, as `ranking.features.candidates` gives those of a history.

    `rows` count the pool's candidates, at least one. What is the best of a session is the best of
    it among candidates and the turns beside them.
    """
    found = pool.candidates
    sessions = _sessions(pool)
    words = np.concatenate([found["words"], pool.neighbours["words"]]).astype(np.float32)
    meaning = np.concatenate([found["meaning"][:, 0], pool.neighbours["meaning"]]).astype(
        np.float32
    )
    before, after = _beside(pool, sessions)
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


def _sessions(pool: Pool) -> Rows:
    """Number of the session of candidates and neighbours."""
    sessions = np.concatenate([pool.candidates["session"], pool.neighbours["session"]])
    return np.unique(sessions, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _beside(pool: Pool, sessions: Rows) -> tuple[Rows, Rows]:
    """For each candidate the row, among candidates and neighbours, of the turn before it and of the
    one after it in its session; without one the candidate's own.

    Both are there, so nothing of the session lies between it and the row next to it in order.
    """
    number = len(pool.candidates)
    sent, place = (
        np.concatenate([pool.candidates[name], pool.neighbours[name]]) for name in ("sent", "place")
    )
    # A turn may be candidate and neighbour: of equal keys the candidate comes first, and counts.
    order = np.lexsort((np.arange(len(sessions)), place, sent, sessions))
    keys = np.column_stack([sessions, sent, place])[order]
    kept = np.append(True, (keys[1:] != keys[:-1]).any(axis=1))
    order = order[kept]
    at = np.empty(len(sessions), dtype=np.int64)
    at[order] = np.arange(len(order))
    own = np.arange(number)

    def next_to(step: int) -> Rows:
        row = order[np.clip(at[:number] + step, 0, len(order) - 1)]
        return np.where(sessions[row] == sessions[:number], row, own)

    return next_to(-1), next_to(1)


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
