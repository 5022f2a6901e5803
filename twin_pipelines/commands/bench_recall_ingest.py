"""Turns that come in beside a measurement: landed and indexed by a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
import polars as pl

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.foundation.database import connect, copy_frame
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.settings import TwinError, TwinSettings

TURNS_AT_ONCE, PAUSE_SECONDS = 5, 0.5
BEGIN_SECONDS, END_SECONDS = 60.0, 60.0


@dataclass
class Beside:
    """What came in: turns, and how long after their landing each batch could be found."""

    turns: int = 0
    seconds: float = 0.0
    lags: list[float] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Turns a second, and the 95th percentile of the time until they could be found."""
        return {
            "ingested": self.turns,
            "ingested_per_s": round(self.turns / self.seconds, 1) if self.seconds else 0.0,
            "findable_p95_ms": round(1_000 * float(np.percentile(self.lags, 95)), 1)
            if self.lags
            else None,
        }


@contextmanager
def ingesting(url: str, settings: TwinSettings, coming: pl.DataFrame) -> Iterator[Beside]:
    """Land `coming` (features TURNS) piece by piece while the block runs; filled in at its end.

    Raises TwinError when the process does not begin.
    """
    context = multiprocessing.get_context("spawn")
    begun, stop, told = context.Event(), context.Event(), context.Queue()
    signals = {"begun": begun, "stop": stop, "told": told}
    process = context.Process(
        target=_ingest, args=(url, settings, coming), kwargs=signals, daemon=True
    )
    process.start()
    found = Beside()
    try:
        if not begun.wait(BEGIN_SECONDS):
            raise TwinError("No turns came in beside the measurement within a minute; run again.")
        yield found
        stop.set()
        found.turns, found.seconds, found.lags = told.get(timeout=END_SECONDS)
    finally:
        stop.set()
        process.join(END_SECONDS)
        process.kill()


def _ingest(
    url: str,
    settings: TwinSettings,
    coming: pl.DataFrame,
    *,
    begun: Event,
    stop: Event,
    told: Queue[tuple[int, float, list[float]]],
) -> None:
    encoder = load_encoder(settings)
    landed, lags = 0, []
    with connect(url) as connection:
        started = time.perf_counter()
        for part in coming.iter_slices(TURNS_AT_ONCE):
            copy_frame(connection, "cleaned_messages", part)
            connection.commit()
            begin = time.perf_counter()
            index_queued(connection, encoder, wait=True)
            lags.append(time.perf_counter() - begin)
            landed += part.height
            begun.set()
            if stop.wait(PAUSE_SECONDS):
                break
        seconds = time.perf_counter() - started
        connection.execute(
            "delete from cleaned_messages where id = any(%s::uuid[])", [coming["id"].to_list()]
        )
        connection.commit()
        index_queued(connection, encoder, wait=True)
    told.put((landed, seconds, lags))
