"""Drains the queue of the search index: exactly what changed is indexed, part by part.

A part is read, embedded without any lock, and written in one short transaction in which only what
nobody queued anew meanwhile is taken out of the queue. So a drainer that is killed, or two that run
at once, leave nothing half done: what is still queued is indexed by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.retrieval import words_store
from twin_pipelines.retrieval.index import index_store as store
from twin_pipelines.retrieval.index import queue_store
from twin_pipelines.retrieval.index.entries import (
    DIMENSIONS,
    STORED,
    Terms,
    counted,
    entries_of,
    term_number,
    weights_of,
)
from twin_pipelines.retrieval.index.queue_store import Ref
from twin_pipelines.retrieval.ranking.stems import stem
from twin_pipelines.retrieval.spelling import spellings
from twin_pipelines.settings import TwinError

PART, BULK_PART = 256, 4_096  # turns and memories that are written in one transaction
REBUILD_ENTRIES = 10_000  # from so many without a usable entry on, and from this share of what is
REBUILD_SHARE = 0.2  # there, making the HNSW index anew is faster than adding to it
SAMPLE = 500  # sessions and memories, for the first mean lengths
MEAN_MOVED = 0.1  # share by which a mean length may move before all is weighed anew

Progress = Callable[[int, int], None]
Vector = npt.NDArray[np.float32]


@dataclass
class Indexed:
    """What was done: entries written and removed, texts run through the model, and how long."""

    turns: int = 0
    memories: int = 0
    removed: int = 0
    embedded: int = 0  # texts
    encoding_seconds: float = 0.0
    seconds: float = 0.0
    index_made: bool = False
    weighed_anew: bool = False
    left: bool = False  # a step was done, and more waits
    busy: bool = False  # another one was at it, and nothing was done

    @property
    def entries_per_second(self) -> float | None:
        """Entries written a second, all told; None when none was."""
        written = self.turns + self.memories
        return written / self.seconds if written and self.seconds else None


@dataclass(frozen=True)
class Step:
    """A part of what waits: about `most` turns and memories, those that changed last, or those that
    have waited longest (`oldest`)."""

    most: int
    oldest: bool = False


def ready(connection: psycopg.Connection, encoder: Encoder) -> None:
    """Raise TwinError when the index cannot answer questions of this encoder's model."""
    now = store.state(connection)
    if now.entries == 0 or now.model == encoder.model_id:
        return
    if now.model:
        raise TwinError(
            f"The search index is made with the embedding model {now.model} and embedding.model is "
            f"now {encoder.model_id}; run `twin reindex`, or set the former model again."
        )
    raise TwinError(
        "The search index is being made anew with another embedding model and cannot be searched "
        "meanwhile; wait for `twin reindex`, or run it to finish the work."
    )


def index_queued(
    connection: psycopg.Connection,
    encoder: Encoder,
    *,
    wait: bool = False,
    step: Step | None = None,
    progress: Progress | None = None,
) -> Indexed:
    """Index all that is queued, the newest change first; commits after each part.

    Commits whatever the connection has open, too. While another process drains the queue, it is
    waited for (`wait`) or nothing is done (`busy`). With a `step` it ends after that, and what is
    left stays queued (`left`), unless so much waits that the index is made anew. `progress(done,
    total)` counts turns and memories. Raises TwinError as `ready` does.
    """
    connection.commit()
    try:
        ready(connection, encoder)
        indexed = encoder.dimensions > store.INDEX_LIMIT or store.has_index(
            connection, encoder.model_id
        )
        if indexed and not queue_store.something_waits(connection):
            return Indexed()
    finally:
        connection.rollback()
    return _alone(connection, encoder, wait=wait, progress=progress, anew=False, step=step)


def reindex(
    connection: psycopg.Connection, encoder: Encoder, progress: Progress | None = None
) -> Indexed:
    """Look at every turn and memory again, and index what is not as it should be; waits its turn.

    Only what was said otherwise or is of another model is embedded. With another model search is
    refused from the first part to the last (`ready`), because vectors of two models cannot be
    compared. Killed, it goes on where it stopped when it is called again.
    """
    connection.commit()
    return _alone(connection, encoder, wait=True, progress=progress, anew=True)


def _alone(
    connection: psycopg.Connection,
    encoder: Encoder,
    *,
    wait: bool,
    progress: Progress | None,
    anew: bool,
    step: Step | None = None,
) -> Indexed:
    alone = queue_store.try_alone(connection, wait=wait)
    connection.commit()
    if not alone:
        return Indexed(busy=True)
    try:
        if anew:
            _queue_all(connection, encoder.model_id)
        else:
            ready(connection, encoder)  # as it is now that nobody else writes
        return _drain(connection, encoder, progress, step)
    finally:
        if not connection.closed:
            connection.rollback()
            queue_store.end_alone(connection)
            connection.commit()


def _queue_all(connection: psycopg.Connection, model: str) -> None:
    queue_store.queue_all(connection)
    connection.commit()  # before the state is locked, or a writer of turns could wait for this
    now = store.state(connection, lock=True)
    if now.entries and now.model != model:
        store.set_model(connection, "")
    connection.commit()


def _drain(
    connection: psycopg.Connection,
    encoder: Encoder,
    progress: Progress | None,
    step: Step | None,
) -> Indexed:
    done, began = Indexed(), time.perf_counter()
    if not store.state(connection).weighing:
        _weigh_first(connection)
    while True:
        _drain_once(connection, encoder, progress, done, step)
        if not _weigh_anew(connection):
            break
        done.weighed_anew = True
    now = store.state(connection, lock=True)
    words_store.forget_unused(connection)
    if now.entries and now.model == "" and not store.others_left(connection, encoder.model_id):
        store.set_model(connection, encoder.model_id)
    connection.commit()
    store.drop_indexes(connection, keep=encoder.model_id)
    done.index_made = store.ensure_index(connection, encoder.model_id, encoder.dimensions)
    connection.commit()
    done.seconds = time.perf_counter() - began
    return done


def _drain_once(
    connection: psycopg.Connection,
    encoder: Encoder,
    progress: Progress | None,
    done: Indexed,
    step: Step | None,
) -> None:
    """Index until nothing is queued but what others hold back just now, or the step is done."""
    total, stale = queue_store.waiting(connection, encoder.model_id)
    bulk = stale >= max(REBUILD_ENTRIES, REBUILD_SHARE * store.state(connection).entries)
    connection.commit()
    if bulk:
        store.drop_indexes(connection)
    passed: set[Ref] = set()
    seen = 0
    part = BULK_PART if bulk else min(PART, step.most if step else PART)
    oldest = bool(step and step.oldest)
    while picked := queue_store.pick(connection, part, passed, oldest=oldest):
        size, finished = _index(connection, encoder, picked, done)
        passed |= set(picked) - finished
        seen += size
        if progress:
            progress(min(seen, total), max(total, seen))
        if step and not bulk and seen >= step.most:
            done.left = queue_store.something_waits(connection)
            break
    connection.rollback()


def _weigh_first(connection: psycopg.Connection) -> None:
    """Begin the first weighing with the mean lengths of a sample of what is queued."""
    found, _ = store.load(connection, queue_store.sampled(connection, SAMPLE))
    if found.is_empty():
        return
    entries = entries_of(found)
    own, around = (
        sum(counted(text).length for text in entries[view]) / entries.height
        for view in ("own_text", "around_text")
    )
    store.set_means(connection, own, around)
    connection.commit()


def _weigh_anew(connection: psycopg.Connection) -> bool:
    """Begin a new weighing, and queue all entries for it, where the mean lengths moved too far."""
    now = store.state(connection)
    moved = False
    if now.entries and now.own_length and now.own_mean:
        own, around = now.own_length / now.entries, now.around_length / now.entries
        moved = max(abs(own / now.own_mean - 1), abs(around / now.around_mean - 1)) > MEAN_MOVED
    connection.commit()
    if moved:
        queue_store.queue_all(connection)
        connection.commit()
        store.set_means(connection, own, around)
        connection.commit()
    return moved


def _index(
    connection: psycopg.Connection,
    encoder: Encoder,
    picked: Sequence[Ref],
    done: Indexed,
) -> tuple[int, set[Ref]]:
    """Index one part; how many turns and memories it has, and what of it is finished."""
    found, known = store.load(connection, picked)
    weighing = store.state(connection).weighing
    connection.commit()
    entries = entries_of(found)
    words = _words(entries["own_text"])
    stale = _stale(entries, known, encoder.model_id, weighing)
    began = time.perf_counter()
    vectors = _vectors(stale.filter("embed"), encoder)
    done.encoding_seconds += time.perf_counter() - began
    terms = {text: counted(text) for text in {*stale["own_text"], *stale["around_text"]}}
    with connection.transaction():
        now = store.state(connection, lock=True)
        if now.weighing != weighing:
            return 0, set()  # another drainer weighs anew and has queued this part once more
        if not now.entries and now.model != encoder.model_id:
            store.set_model(connection, encoder.model_id)
        current = queue_store.still_queued(connection, picked)
        held = store.hold(connection, found)
        rows = _rows(stale.filter(pl.col("ref").is_in(held)), terms, vectors, encoder.model_id, now)
        turns, memories = store.write(connection, rows) if stale.height else (0, 0)
        done.removed += store.remove_others(connection, picked, found["ref"].to_list())
        if len(held) < found.height:
            words = _words(entries.filter(pl.col("ref").is_in(held))["own_text"])
        words_store.add(connection, words)
        missing = found.filter(~pl.col("ref").is_in(held))
        unfinished = {*missing["session_id"], *missing["ref"]}
        finished = {ref for ref in current if ref[1] not in unfinished}
        queue_store.take_out(connection, finished)
    done.turns += turns
    done.memories += memories
    done.embedded += len(vectors)
    return found.height, finished


def _stale(entries: pl.DataFrame, known: pl.DataFrame, model: str, weighing: int) -> pl.DataFrame:
    """Entries that are not indexed as they are now; `embed`: their vectors are missing too."""
    compared = entries.join(known, on=("kind", "ref"), how="left", suffix="_known")
    other = [pl.col(name).ne_missing(pl.col(f"{name}_known")) for name in STORED]
    of_model = pl.col("model").eq_missing(pl.lit(model))
    same_text = pl.col("content_hash").eq_missing(pl.col("content_hash_known"))
    return compared.with_columns(embed=~(of_model & same_text)).filter(
        pl.any_horizontal("embed", pl.col("weighing").ne_missing(weighing), *other)
    )


def _words(texts: Iterable[str]) -> dict[str, int]:
    """Words of texts as they are spelled, with the number of each one's term."""
    words = {word for text in texts for word in spellings(text)}
    return {word: term_number(stem(word)) for word in sorted(words)}


def _vectors(entries: pl.DataFrame, encoder: Encoder) -> dict[str, Vector]:
    texts = list(dict.fromkeys([*entries["own_text"], *entries["around_text"]]))
    return dict(zip(texts, encoder.encode(texts), strict=True)) if texts else {}


def _rows(
    entries: pl.DataFrame,
    terms: Mapping[str, Terms],
    vectors: Mapping[str, Vector],
    model: str,
    now: store.State,
) -> Iterator[tuple[object, ...]]:
    """Rows for `index_store.write`."""
    from pgvector import HalfVector, SparseVector

    def half(text: str) -> HalfVector | None:
        return HalfVector(vectors[text]) if text in vectors else None

    def sparse(of: Terms, mean: float) -> SparseVector:
        weights = weights_of(of, mean).tolist()
        places = (of.numbers - 1).tolist()
        return SparseVector(dict(zip(places, weights, strict=True)), DIMENSIONS)

    for row in entries.iter_rows(named=True):
        own, around = terms[row["own_text"]], terms[row["around_text"]]
        yield (
            *(row["kind"], UUID(row["ref"]), row["session_id"] and UUID(row["session_id"])),
            *(row[name] for name in ("place", "speaker", "source", "type")),
            *(row[name] for name in ("day", "sent_at", "ended_at")),
            *(model, row["content_hash"], own.length, around.length, now.weighing),
            *(row[name] for name in ("words", "asks", "answers")),
            *(own.numbers.tolist(), around.numbers.tolist()),
            *(sparse(own, now.own_mean), sparse(around, now.around_mean)),
            *(half(row["own_text"]), half(row["around_text"])),
        )
