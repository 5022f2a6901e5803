"""Looks for what was erased everywhere: not where it is known to have been, but wherever it can be.

Every column of every table of the three databases, what the planner remembers of them, every file
of the state folder but weights and pictures, what meaning and words find, and the models.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from twin_pipelines.automation.erasure import papers, papers_store
from twin_pipelines.automation.erasure.gone import Gone
from twin_pipelines.automation.erasure.sayings import spoken, telling
from twin_pipelines.automation.erasure.traces import Traces, traces_of
from twin_pipelines.foundation.database import Databases, connect
from twin_pipelines.settings import TwinError, TwinSettings

BESIDE = ("erasing", "tombstones")  # what is looked for stands there, and what may not come back
ASKED = 20  # texts that are asked for by meaning and by words: the longest
SHOWN = 5  # of what is nearest to each
MOST_PLACES = 20


@dataclass(frozen=True)
class Query:
    """One way of looking: how much was looked through, and where something was found."""

    name: str
    words: str
    looked_through: int
    found: int
    places: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Verification:
    """All ways of looking; `phrases` is how many texts and sentences were looked for.

    What is too short to be told apart, or is still said by a message that stays, is not among them.
    """

    at: str
    texts: int
    phrases: int
    messages: int
    queries: tuple[Query, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not any(query.found for query in self.queries)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "passed": self.passed}


def verify(settings: TwinSettings, databases: Databases, gone: Gone) -> Verification:
    """Look for an erasure that is on its way, after everything was removed."""
    with connect(databases.twin) as connection:
        said = papers_store.said(connection, list(gone.message_ids))
        connection.rollback()
        traces = traces_of(gone, said)
        wanted = Traces(gone.texts, said)
        queries = [
            *_papers(settings, databases, traces),
            *_searches(connection, settings, gone.texts, wanted),  # indexes what still waits
            _identities(connection, gone),
            _models(connection, gone.erasure_id),
        ]
    return _verification(gone.texts, traces, len(gone.message_ids), queries)


def probe(settings: TwinSettings, databases: Databases, text: str) -> Verification:
    """Look for one text, at any later time, the serving model's answers included.

    Raises TwinError when the text is too short to be told apart.
    """
    from twin_pipelines.automation.erasure.gives_back import champion_gives_back

    if not telling(spoken(text)):
        raise TwinError(
            "That text is too short to be told apart; give at least four words, or twelve letters "
            "of a script without spaces."
        )
    traces = Traces([text])
    with connect(databases.twin) as connection:
        queries = [
            *_papers(settings, databases, traces),
            *_searches(connection, settings, [text], traces),
        ]
        begun = time.monotonic()
        given = champion_gives_back(connection, settings, text)
    if given is not None:
        places = (given.words,) if given.beyond_base else ()
        queries.append(
            _query(
                "the serving model",
                "what it goes on with",
                1,
                found=len(places),
                places=places,
                begun=begun,
            )
        )
    return _verification([text], traces, 0, queries)


def _verification(
    texts: Sequence[str], traces: Traces, messages: int, queries: Iterable[Query]
) -> Verification:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Verification(at, len(texts), traces.texts, messages, tuple(queries))


def _papers(settings: TwinSettings, databases: Databases, traces: Traces) -> list[Query]:
    named = (("twin", databases.twin), ("dagster", databases.dagster), ("mlflow", databases.mlflow))
    queries = []
    for program, url in named:
        begun = time.monotonic()
        with connect(url) as connection:
            columns = len(papers_store.columns(connection))
            held = papers_store.held(connection, traces, BESIDE)
        places = tuple(f"{one.table}.{one.column}: {one.rows} rows" for one in held)
        words = "every column that can hold words, of every table, and the planner's statistics"
        queries.append(
            _query(
                f"tables of {program}",
                words,
                columns,
                found=sum(one.rows for one in held),
                places=places,
                begun=begun,
            )
        )
    begun = time.monotonic()
    number, hits = 0, {}
    for path in papers.papers(settings.home, own=True):
        number += 1
        if rows := papers.hits(path, traces):
            hits[path.relative_to(settings.home).as_posix()] = rows
    places = tuple(f"{place}: {rows}" for place, rows in hits.items())
    words = "every file of the state folder but weights, pictures and the database's own"
    return [
        *queries,
        _query("files", words, number, found=sum(hits.values()), places=places, begun=begun),
    ]


def _identities(connection: psycopg.Connection, gone: Gone) -> Query:
    begun = time.monotonic()
    held = papers_store.rows_with(connection, sorted(gone.message_ids), BESIDE)
    connection.rollback()
    places = tuple(f"{one.table}.{one.column}: {one.rows} rows" for one in held)
    words = "every identity and list of identities, tombstones aside"
    found = sum(one.rows for one in held)
    return _query(
        "identities", words, len(gone.message_ids), found=found, places=places, begun=begun
    )


def _searches(
    connection: psycopg.Connection, settings: TwinSettings, texts: Sequence[str], traces: Traces
) -> list[Query]:
    """What is nearest to the texts by their own vectors, and what `twin recall` finds for them."""
    from twin_pipelines.embeddings.encoder import load_encoder
    from twin_pipelines.retrieval.find import Question, find
    from twin_pipelines.retrieval.index.refresh import index_queued

    asked = sorted({text for text in texts if traces.within(text)}, key=len, reverse=True)[:ASKED]
    if not asked:
        return []
    encoder = load_encoder(settings)
    begun = time.monotonic()
    near = [
        text
        for vector in encoder.encode(asked)
        for text in papers_store.nearest(connection, encoder.model_id, vector, SHOWN)
    ]
    connection.rollback()
    words = "the turns and memories nearest to it, compared with each"
    queries = [_asked("nearest vectors", words, asked, near, traces=traces, begun=begun)]
    begun = time.monotonic()
    index_queued(connection, encoder, wait=True)
    if papers_store.indexed(connection):
        questions = [Question(text) for text in asked]
        found = find(connection, encoder, questions, k=SHOWN, settings=settings)
        told = [hit.text for hits in found for hit in hits]
        words = "what the twin would be told for it"
        queries.append(_asked("recall", words, asked, told, traces=traces, begun=begun))
    connection.rollback()
    return queries


def _asked(
    name: str,
    words: str,
    asked: Sequence[str],
    answers: Sequence[str],
    *,
    traces: Traces,
    begun: float,
) -> Query:
    found = sum(traces.found(answers))
    places = (f"{found} of {len(answers)} texts",) if found else ()
    return _query(name, words, len(asked), found=found, places=places, begun=begun)


def _models(connection: psycopg.Connection, erasure_id: str) -> Query:
    begun = time.monotonic()
    free = papers_store.unblocked(connection, erasure_id)
    words = "adapters that learnt some of it and may answer without anybody's signature"
    return _query("models", words, len(free), found=len(free), places=tuple(free), begun=begun)


def _query(
    name: str,
    words: str,
    number: int,
    *,
    found: int,
    places: tuple[str, ...],
    begun: float,
) -> Query:
    seconds = round(time.monotonic() - begun, 3)
    return Query(name, words, number, found, places[:MOST_PLACES], seconds)
