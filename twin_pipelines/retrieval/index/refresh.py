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
LOOKED_AT = 16  # turns that are looked at for each that is to be indexed: of a session few changed
MANY = 500  # sessions and memories that wait, from which on a step counts what is stale of them

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
    """A part of what waits: about `most` turns and memories.

    Of what changed last, what itself came or was said otherwise: what stands beside such a turn is
    found as it was until then. Or, of what has waited longest (`oldest`), all.
    """

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
    if not done.left:
        _finish(connection, encoder, done)
    done.seconds = time.perf_counter() - began
    return done


def _finish(connection: psycopg.Connection, encoder: Encoder, done: Indexed) -> None:
    """What is to be done once nothing is left."""
    now = store.state(connection, lock=True)
    words_store.forget_unused(connection)
    if now.entries and now.model == "" and not store.others_left(connection, encoder.model_id):
        store.set_model(connection, encoder.model_id)
    connection.commit()
    store.drop_indexes(connection, keep=encoder.model_id)
    done.index_made = store.ensure_index(connection, encoder.model_id, encoder.dimensions)
    connection.commit()


def _drain_once(
    connection: psycopg.Connection,
    encoder: Encoder,
    progress: Progress | None,
    done: Indexed,
    step: Step | None,
) -> None:
    """Index until nothing is queued but what others hold back just now, or the step is done."""
    total, bulk = _size(connection, encoder, step)
    if bulk:
        store.drop_indexes(connection)
    passed: set[Ref] = set()
    seen = 0
    part = BULK_PART if bulk else min(PART, step.most if step else PART)
    looked_at = part if bulk else LOOKED_AT * part
    order: queue_store.Order = "newest"
    if step and not bulk:
        order = "oldest" if step.oldest else "fresh"
    while picked := queue_store.pick(connection, looked_at, passed, order):
        found, taken = _first_of(
            store.load(connection, picked, encoder.model_id), picked, part, fresh=order == "fresh"
        )
        finished = _index(connection, encoder, found, taken, done)
        passed |= set(taken) - finished
        seen += found.filter("stale").height
        if progress:
            progress(seen, max(total, seen))
        if step and not bulk and seen >= step.most:
            break
    done.left = step is not None and queue_store.more_wait_than(connection, len(passed))
    connection.rollback()


def _size(connection: psycopg.Connection, encoder: Encoder, step: Step | None) -> tuple[int, bool]:
    """Turns and memories that wait, and whether they are so many that the HNSW is made anew.

    For a step they are counted only where many sessions wait.
    """
    if step and not queue_store.more_wait_than(connection, MANY):
        return 0, False
    total = queue_store.waiting(connection, encoder.model_id)
    entries = store.state(connection).entries
    connection.commit()
    return total, total >= max(REBUILD_ENTRIES, REBUILD_SHARE * entries)


def _first_of(
    found: pl.DataFrame, picked: Sequence[Ref], most: int, *, fresh: bool
) -> tuple[pl.DataFrame, list[Ref]]:
    """What of FOUND is of the first picked that have up to `most` stale ones, and which these are.

    At least one, however many stale ones it has. `fresh`: stale is then what is so itself, and
    `waits` what has to wait.
    """
    found = found.with_columns(waits=pl.col("stale") & ~pl.col("own_stale") & pl.lit(fresh))
    found = found.with_columns(stale=pl.col("stale") & ~pl.col("waits"))
    owner = pl.coalesce("session_id", "ref")
    stale = dict(found.filter("stale").group_by(owner.alias("owner")).len().iter_rows())
    taken: list[Ref] = []
    size = 0
    for ref in picked:
        size += stale.get(ref[1], 0)
        if size > most and taken:
            break
        taken.append(ref)
    return found.filter(owner.is_in([ref for _, ref, _ in taken])), taken


def _weigh_first(connection: psycopg.Connection) -> None:
    """Begin the first weighing with the mean lengths of a sample of what is queued."""
    entries = entries_of(store.load(connection, queue_store.sampled(connection, SAMPLE), ""))
    if entries.is_empty():
        return
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
    found: pl.DataFrame,
    picked: Sequence[Ref],
    done: Indexed,
) -> set[Ref]:
    """Index what is stale of FOUND, all that was picked; what of it is finished."""
    weighing = store.state(connection).weighing
    connection.commit()
    entries = entries_of(found)
    began = time.perf_counter()
    vectors = _vectors(entries, encoder)
    done.encoding_seconds += time.perf_counter() - began
    terms = {text: counted(text) for text in {*entries["own_text"], *entries["around_text"]}}
    with connection.transaction():
        now = store.state(connection, lock=True)
        if now.weighing != weighing:
            return set()  # another drainer weighs anew and has queued this part once more
        if not now.entries and now.model != encoder.model_id:
            store.set_model(connection, encoder.model_id)
        current = queue_store.still_queued(connection, picked)
        here = pl.col("ref").is_in(store.hold(connection, entries))
        held, missing = entries.filter(here), entries.filter(~here)
        if held.height:
            rows = _rows(held, terms, vectors, encoder.model_id, now)
            turns, memories = store.write(connection, rows)
            words_store.add(connection, _words(held["own_text"]))
            done.turns += turns
            done.memories += memories
        done.removed += store.remove_hidden(connection, picked)
        unfinished = {*missing["session_id"], *missing["ref"]}
        finished = {ref for ref in current if ref[1] not in unfinished}
        waiting = set(found.filter("waits")["session_id"])
        queue_store.take_out(connection, (ref for ref in finished if ref[1] not in waiting))
        queue_store.let_wait(connection, (ref for ref in finished if ref[1] in waiting))
    done.embedded += len(vectors)
    return finished


def _words(texts: Iterable[str]) -> dict[str, int]:
    """Words of texts as they are spelled, with the number of each one's term."""
    words = {word for text in texts for word in spellings(text)}
    return {word: term_number(stem(word)) for word in sorted(words)}


def _vectors(entries: pl.DataFrame, encoder: Encoder) -> dict[str, Vector]:
    own, around = entries.filter("own_stale"), entries.filter("around_stale")
    texts = list(dict.fromkeys([*own["own_text"], *around["around_text"]]))
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
