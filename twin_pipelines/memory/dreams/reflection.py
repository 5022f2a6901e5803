"""Reflects on all that is remembered: makes the dreams that are due, and sees which came true."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
import psycopg

from twin_pipelines.features.refresh import slices
from twin_pipelines.features.store import load_turns, raw_volume
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.llm import Endpoint, open_endpoint
from twin_pipelines.memory import ledger
from twin_pipelines.memory.dreams import store as dreams_store
from twin_pipelines.memory.dreams.combine import Dream, Dreamt, as_memories, due, reflect
from twin_pipelines.memory.dreams.fulfilment import FULFILMENTS, find_fulfilments
from twin_pipelines.memory.dreams.llm import deepened
from twin_pipelines.memory.dreams.phrases import parts_of_memories
from twin_pipelines.memory.records import STATES
from twin_pipelines.memory.store import load_memories
from twin_pipelines.memory.suspicion import quarantine
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.store import Counts, counts

BY_FORM = "form"
WAKING = ("episodic", "knowledge", "core")  # types that dreams are made of
ALL_STATES = STATES  # a dream that is forgotten is not dreamt again


@dataclass(frozen=True)
class Reflected:
    """What a reflection came to."""

    moments: int  # reflections that were due
    made: pl.DataFrame  # MEMORIES
    fulfilled: pl.DataFrame  # FULFILMENTS
    removed: int  # dreams whose memories or messages are gone
    by_model: int  # dreams worded by the model
    model_failed: str  # why the model was not asked further; empty: it was


def dream(
    connection: psycopg.Connection,
    settings: TwinSettings,
    about: str,
    log: Callable[[str], None] | None = None,
) -> Reflected:
    """Make the dreams of `about` that are due and look which ones came true, as one run; commit.

    The clock is the history's: reflections stand every week from the first memory to the last
    message. Repeated without new memories and messages it changes nothing.
    """
    landed = counts(connection)
    memories = load_memories(connection, types=WAKING, about=about)
    known = load_memories(connection, types=["dream"], states=ALL_STATES)
    chosen, moments = _choose(memories, known.filter(pl.col("about") == about), settings)
    worded, failed = _worded(chosen, open_endpoint(settings.llm))
    made = quarantine(as_memories(worded, about))
    active = known.filter(pl.col("status") == "active")
    came_true = _came_true(connection, pl.concat([active, made]), landed, log)
    words = f"dreamt {made.height} dreams"
    chosen_settings = {"dreams": settings.memory.dreams, "model": settings.llm.model}
    with ledger.run(connection, "dreaming", words, chosen_settings) as run:
        removed = dreams_store.remove_groundless(connection)
        added = dreams_store.add_dreams(connection, made)
        fulfilled = dreams_store.mark_fulfilled(connection, came_true)
        run.counts = {"dreamt": added, "fulfilled": fulfilled, "groundless": removed}
        run.words = f"dreamt {added} dreams; {fulfilled} came true"
    connection.commit()
    by_model = sum(by != BY_FORM for _, _, by in worded)
    return Reflected(moments, made, came_true, removed, by_model, failed)


def _choose(
    memories: pl.DataFrame, dreams: pl.DataFrame, settings: TwinSettings
) -> tuple[list[Dream], int]:
    dreamt = Dreamt.of(dreams)
    parts = parts_of_memories(memories)
    now = memories["last_at"].max()
    if not parts or not isinstance(now, datetime) or not settings.memory.dreams:
        return [], 0
    moments = due(min(part.first_at for part in parts), dreamt.latest, now)
    chosen = []
    for at in moments:
        chosen += reflect(parts, dreamt, at, settings.memory.dreams)
    return chosen, len(moments)


def _worded(
    dreams: list[Dream], endpoint: Endpoint | None
) -> tuple[list[tuple[Dream, str, str]], str]:
    """Dreams with their wording and who worded them; why the model failed, if it did."""
    plain = [(one, one.words, BY_FORM) for one in dreams]
    if endpoint is None or not dreams:
        return plain, ""
    try:
        with ThreadPoolExecutor(endpoint.parallel) as pool:
            deeper = list(pool.map(lambda one: deepened(endpoint, one), dreams))
    except TwinError as error:
        return plain, str(error)
    return [
        (one, better, endpoint.model) if better else (one, words, by)
        for (one, words, by), better in zip(plain, deeper, strict=True)
    ], ""


def _came_true(
    connection: psycopg.Connection,
    dreams: pl.DataFrame,
    landed: Counts,
    log: Callable[[str], None] | None,
) -> pl.DataFrame:
    first = dreams["first_at"].min()
    if not isinstance(first, datetime) or landed.first_day is None or landed.last_day is None:
        return pl.DataFrame(schema=FULFILMENTS)
    eve = first.date() - timedelta(days=1)
    days = DayRange(min(max(eve, landed.first_day), landed.last_day), landed.last_day)
    found = [pl.DataFrame(schema=FULFILMENTS)]
    for part in slices(days, raw_volume(connection, days)):
        found.append(find_fulfilments(dreams, load_turns(connection, part)))
        if log:
            log(f"{part.first} to {part.last}: {found[-1].height} dreams came true")
    return pl.concat(found).sort("fulfilled_at").unique("memory_id", keep="first")
