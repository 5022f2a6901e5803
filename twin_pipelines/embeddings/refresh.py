"""Embeds what is new or changed in a range of days, slice by slice, each committed alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import psycopg

from twin_pipelines.embeddings import store
from twin_pipelines.embeddings.encoder import Encoder
from twin_pipelines.foundation.days import DayRange

SLICE_TURNS = 8_192
SLICE_TEXTS = 16_384  # most that is held in memory at once, even where one day has more
REBUILD_TURNS = 10_000  # from here on, and from this share of what is there,
REBUILD_SHARE = 0.2  # building the index anew is faster than adding to it

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did: turns given a vector, of these texts run through the model, and how."""

    turns: int
    embedded: int
    encoding_seconds: float
    index_made: bool

    @property
    def reused(self) -> int:
        """Turns that got the vector of an identical text."""
        return self.turns - self.embedded

    @property
    def texts_per_second(self) -> float | None:
        return self.embedded / self.encoding_seconds if self.embedded else None


def refresh(
    connection: psycopg.Connection, days: DayRange, encoder: Encoder, progress: Progress
) -> Refreshed:
    """Give every turn of the days a current vector of the encoder's model.

    Commits after each run of whole days (a day with more than SLICE_TEXTS texts takes several
    commits). `progress(done, total)` counts turns.
    """
    model = encoder.model_id
    pending = store.pending_days(connection, days, model)
    total = sum(turns for _, turns in pending)
    present = store.vector_total(connection, model) if total >= REBUILD_TURNS else 0
    if total >= max(REBUILD_TURNS, present * REBUILD_SHARE):
        store.drop_index(connection, model)
        connection.commit()
    turns, embedded, seconds = 0, 0, 0.0
    for part in _slices(pending):
        while True:
            texts = store.pending_texts(connection, part, model, SLICE_TEXTS)
            connection.commit()
            began = time.perf_counter()
            vectors = encoder.encode(texts["text"].to_list())
            seconds += time.perf_counter() - began
            hashes = texts["content_hash"].to_list()
            turns += store.write_vectors(connection, part, model, hashes, vectors)
            embedded += texts.height
            if texts.height < SLICE_TEXTS:
                turns += store.reuse_vectors(connection, part, model)
                connection.commit()
                break
            connection.commit()
        progress(turns, total)
    index_made = store.ensure_index(connection, model, encoder.dimensions)
    connection.commit()
    return Refreshed(turns, embedded, seconds, index_made)


def _slices(pending: Sequence[tuple[date, int]]) -> Iterator[DayRange]:
    """Runs of days with about SLICE_TURNS pending turns each."""
    first, held = None, 0
    for day, turns in pending:
        first, held = first or day, held + turns
        if held >= SLICE_TURNS:
            yield DayRange(first, day)
            first, held = None, 0
    if first:
        yield DayRange(first, pending[-1][0])
