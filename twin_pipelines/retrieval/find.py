"""Search over turns and memories: by words and by meaning at once, ranked by the learned fusion.

The database gives the candidates with all they are judged by in one round trip (`store`); the same
plain functions rank them that rank a history in memory (`ranking`). Importance and recency nudge
the order (`boosts`), a cross-encoder may have the last word (`rerank`). With `exact` every entry is
looked at instead of those the indexes give, which is slow and what the fast way is measured by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.embeddings.encoder import Vectors as Vector
from twin_pipelines.retrieval import store, words_store
from twin_pipelines.retrieval.boosts import boosts
from twin_pipelines.retrieval.expansion import asked, fed_back
from twin_pipelines.retrieval.index.entries import term_number
from twin_pipelines.retrieval.index.refresh import ready
from twin_pipelines.retrieval.learning import store as learning
from twin_pipelines.retrieval.learning.retriever import STOCK, Retriever
from twin_pipelines.retrieval.pool import days_of, signs_of
from twin_pipelines.retrieval.ranking.features import NAMES
from twin_pipelines.retrieval.ranking.fusion import ranked
from twin_pipelines.retrieval.ranking.lexical import Floats, terms_of
from twin_pipelines.retrieval.reasons import reasons
from twin_pipelines.retrieval.records import Filters, Hit, Kind, Question, SessionHit
from twin_pipelines.retrieval.rerank import RERANKED, reranked
from twin_pipelines.retrieval.spelling import respelled
from twin_pipelines.retrieval.store import Pool, Told
from twin_pipelines.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Filters", "Hit", "Kind", "Question", "SessionHit", "find", "find_sessions"]

DATE = NAMES.index("date")
FED_BACK = 5  # texts a question gets words of (`retrieval.expansion` = feedback)
SPARE = 2  # times as many are read as are wanted: some say what another one says
FEWEST_CHARS = 8  # of a turn that tells something, besides its questions
HITS_A_SESSION = 4  # times as many turns are found as sessions are wanted
_ASKED = re.compile(r"[^.!?\n]*[?]+")


@dataclass(frozen=True)
class _Asked:
    """A question, the words that are searched for it, and what may be found."""

    text: str
    question: Question
    k: int
    filters: Filters
    settings: TwinSettings
    exact: bool
    literal: bool


@dataclass(frozen=True)
class _Ranked:
    """Candidates of a question in order: rows of the pool, scores with boost, signs, boosts."""

    pool: Pool
    rows: Sequence[int]
    scores: Floats
    signs: Floats
    boosts: Floats


def find(
    connection: psycopg.Connection,
    encoder: Encoder,
    questions: Sequence[Question],
    *,
    k: int = 10,
    filters: Filters = Filters(),  # noqa: B008
    settings: TwinSettings,
    exact: bool = False,
    literal: bool = False,
    retriever: Retriever | None = None,
) -> list[list[Hit]]:
    """For each question the k turns and memories that answer it best, the best first.

    Only what `filters` let through and what was indexed is found, the same words once. A word that
    no entry holds is taken for one that is spelled almost like it (`spelling`), unless the question
    is taken as `literal`. Questions are looked up by the learned retriever in force, or by the one
    given. Depends on nothing but its arguments and the index's version, and on a language model
    where `retrieval.expansion` is llm. Raises TwinError when the index was made by another
    embedding model. Leaves a transaction open.
    """
    alike = _Asked("", Question(""), k, filters, settings, exact, literal)
    wanted = [
        replace(alike, text=asked(question, settings).replace("\0", ""), question=question)
        for question in questions
    ]
    if settings.retrieval.expansion == "feedback":
        short = [replace(one, k=FED_BACK) for one in wanted]
        first = _answers(connection, encoder, short, retriever)
        wanted = [
            replace(one, text=fed_back(one.text, [hit.text for hit in hits]))
            for one, hits in zip(wanted, first, strict=True)
        ]
    return _answers(connection, encoder, wanted, retriever)


def find_sessions(
    connection: psycopg.Connection,
    encoder: Encoder,
    questions: Sequence[Question],
    *,
    k: int = 5,
    filters: Filters = Filters(),  # noqa: B008
    settings: TwinSettings,
    exact: bool = False,
) -> list[list[SessionHit]]:
    """For each question the k sessions whose turns answer it best, with those turns in order.

    A session is as good as its best turn; memories are not looked at. Raises as `find`.
    """
    turns = replace(filters, kinds=frozenset({"turn"}))
    found = find(
        connection,
        encoder,
        questions,
        k=HITS_A_SESSION * k,
        filters=turns,
        settings=settings,
        exact=exact,
    )
    return [by_session(hits)[:k] for hits in found]


def by_session(hits: Sequence[Hit]) -> list[SessionHit]:
    """The hits that are turns (best first), gathered by session, the best session first."""
    sessions: dict[str, list[Hit]] = {}
    for hit in hits:
        if hit.session_id is not None:
            sessions.setdefault(hit.session_id, []).append(hit)
    return [
        SessionHit(session, own[0].score, tuple(sorted(own, key=lambda hit: hit.sent_at)))
        for session, own in sessions.items()
    ]


def _answers(
    connection: psycopg.Connection,
    encoder: Encoder,
    wanted: Sequence[_Asked],
    given: Retriever | None,
) -> list[list[Hit]]:
    """The hits of each question, its words as they are searched."""
    if not wanted:
        return []
    looking = _Looking(connection, encoder, given)
    vectors = encoder.encode([one.text for one in wanted])
    return [
        _told(connection, *looking.spelled(one, looking.pool(one, vector)))
        for one, vector in zip(wanted, vectors, strict=True)
    ]


class _Looking:
    """Gives the candidates of questions, by the retriever in force where none is given.

    Which one that is comes with the candidates: only after a change they are asked for twice.
    """

    seen = STOCK  # in force when this process last looked

    def __init__(
        self, connection: psycopg.Connection, encoder: Encoder, given: Retriever | None
    ) -> None:
        self._connection = connection
        self._encoder = encoder
        self._given = given

    def pool(self, one: _Asked, vector: Vector) -> Pool:
        """The candidates of a question whose words have this vector (dimensions,)."""
        retriever = self._given or _Looking.seen
        pool = self._candidates(one, vector, retriever)
        if pool.model != self._encoder.model_id:
            ready(self._connection, self._encoder)
        if self._given is None and pool.retriever != retriever.retriever_id:
            _Looking.seen = learning.retriever(self._connection, pool.retriever)
            pool = self._candidates(one, vector, _Looking.seen)
        return pool

    def spelled(self, one: _Asked, pool: Pool) -> tuple[_Asked, Pool]:
        """The question with slips of the pen put right, and its candidates."""
        if one.literal:
            return one, pool
        text = respelled(
            one.text, pool.unknown, lambda words: words_store.spelled_like(self._connection, words)
        )
        if text == one.text:
            return one, pool
        right = replace(one, text=text)
        return right, self.pool(right, self._encoder.encode([text])[0])

    def _candidates(self, one: _Asked, vector: Vector, retriever: Retriever) -> Pool:
        model = self._encoder.model_id
        return store.candidates(
            self._connection,
            model=model,
            vector=retriever.of(vector[None], model)[0],
            terms=[term_number(term) for term in dict.fromkeys(terms_of(one.text))],
            filters=one.filters,
            most=max(one.settings.retrieval.candidates, one.k),
            nearest=one.k,
            exact=one.exact,
        )


def _told(connection: psycopg.Connection, one: _Asked, pool: Pool) -> list[Hit]:
    """The k best of a pool, in words."""
    if not len(pool.candidates):
        return []
    best = _ranked(one, pool)
    reranker = one.settings.retrieval.reranker
    wanted = max(one.k, RERANKED) if reranker else one.k
    hits: list[Hit] = []
    said: set[str] = set()
    for place, told in _read(connection, best, SPARE * wanted):
        words = " ".join(told.text.lower().split())
        if words in said or (one.filters.telling and _only_asks(told.text)):
            continue
        said.add(words)
        hits.append(_hit(one.text, best, place, told))
        if len(hits) == wanted:
            break
    return reranked(one.text, hits, one.settings)[: one.k] if reranker else hits


def _only_asks(text: str) -> bool:
    return len(_ASKED.sub("", text)) < FEWEST_CHARS


def _ranked(one: _Asked, pool: Pool) -> _Ranked:
    found = signs_of(pool, one.text, one.question.asked_on)
    rows, scores = ranked(found)
    today = one.question.asked_on or pool.last
    boost = boosts(
        pool.candidates["importance"].astype(np.float32),
        days_of(pool),
        today.toordinal() if today else 0,
        one.settings.memory.half_life_days,
        dated=bool(found.signs[:, DATE].any()),
    )[rows]
    boosted = scores + np.log(boost)
    order = np.argsort(-boosted, kind="stable")
    rows, boosted, boost = rows[order], boosted[order], boost[order]
    return _Ranked(pool, rows.tolist(), boosted, found.signs[rows], boost)


def _read(connection: psycopg.Connection, best: _Ranked, first: int) -> Iterator[tuple[int, Told]]:
    """Places in the ranking with what stands there, in order; read in two parts, `first` rows
    first."""
    entries = best.pool.candidates["entry"][best.rows].tolist()
    for start, end in ((0, first), (first, len(entries))):
        part = entries[start:end]
        known = store.told(connection, part) if part else {}
        for place, entry in enumerate(part, start=start):
            if entry in known:
                yield place, known[entry]


def _hit(text: str, best: _Ranked, place: int, one: Told) -> Hit:
    signs = dict(zip(NAMES, best.signs[place].tolist(), strict=True))
    row = best.pool.candidates[best.rows[place]]
    boost = float(best.boosts[place])
    return Hit(
        kind="memory" if one.memory else "turn",
        ref=one.ref,
        text=one.text,
        speaker=one.speaker,
        type=one.type,
        session_id=one.session_id,
        sent_at=one.sent_at,
        ended_at=one.ended_at,
        message_ids=tuple(one.message_ids),
        score=float(best.scores[place]),
        signs=signs,
        boost=boost,
        importance=float(row["importance"]),
        imagined=one.type == "dream",
        pinned=one.pinned,
        why=reasons(text, one, signs, meaning=float(row["meaning"].max()), boost=boost),
    )
