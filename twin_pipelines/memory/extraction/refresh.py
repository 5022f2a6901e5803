"""Extracts a range of days in slices that fit in memory, each with its eve and committed alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.features.refresh import slices
from twin_pipelines.features.store import load_session_turns, raw_volume
from twin_pipelines.memory.extraction.extract import extract
from twin_pipelines.memory.extraction.llm import read_sessions
from twin_pipelines.memory.extraction.store import drop_faded, in_mind, load_read
from twin_pipelines.memory.records import MEMORIES
from twin_pipelines.memory.store import pinned_memories, rewrite_days
from twin_pipelines.memory.suspicion import quarantine_against
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.store import subject

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange
    from twin_pipelines.foundation.llm import Endpoint

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Extracted:
    """What extracting a range made: its memories (MEMORIES) and the rows `written` or deleted.

    `asked` and `unread` count the sessions a model was asked about, and those of them it gave no
    acceptable answer for; `failure` is the last reason.
    """

    memories: pl.DataFrame
    written: int
    asked: int = 0
    unread: int = 0
    failure: str = ""


def extract_days(
    connection: psycopg.Connection,
    settings: TwinSettings,
    days: DayRange,
    endpoint: Endpoint | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Extracted:
    """Rewrite what is extracted of the sessions that began on the days or on their eve.

    The eve is renewed because a session may end after midnight. Each slice is committed before the
    next begins, so a run that is killed leaves each day as it was or as it should be. Raises
    TwinError while no subject was chosen.
    """
    who = subject(connection)
    names = {who.speaker: [who.name]}
    fresh = in_mind(connection, settings.memory.short_term_hours)
    pinned = pinned_memories(connection)
    made = [pl.DataFrame(schema=MEMORIES)]
    written = asked = unread = 0
    failure = ""
    for part in slices(days, raw_volume(connection, days)):
        begun = replace(part, first=part.first - DAY)
        turns = _begun_on(load_session_turns(connection, begun), begun)
        extracted = extract(turns, who.speaker, names, settings.memory, fresh)
        reading = read_sessions(
            endpoint,
            turns,
            extracted,
            load_read(connection, begun),
            names=names,
            memory=settings.memory,
            log=log,
        )
        found = quarantine_against(reading.memories, pinned)
        written += rewrite_days(connection, begun, found)
        written += drop_faded(connection, fresh)
        connection.commit()
        log(f"{begun.first} to {begun.last}: {found.height} memories")
        made.append(found)
        asked += reading.asked
        unread += reading.refused + reading.unanswered
        failure = reading.failure or failure
    memories = pl.concat(made).unique("memory_id", keep="last", maintain_order=True)
    return Extracted(memories, written, asked, unread, failure)


def _begun_on(turns: pl.DataFrame, days: DayRange) -> pl.DataFrame:
    """The turns of those sessions that began on one of the days."""
    began = pl.col("day").min().over("session_id")
    return turns.filter(began.is_between(days.first, days.last))
