"""`twin bench memory`: how long memories of a history take, and of one more day of it.

The texts are chitchat's, but all of them said by the same two people, as in the history of a
companion: nothing is harder for consolidation, as every new day touches everything they ever said.
"""

from __future__ import annotations

import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.commands.bench import scratch_database
from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.memory.consolidation.consolidate import Consolidated, consolidate
from twin_pipelines.memory.extraction.refresh import extract_days
from twin_pipelines.settings import TwinSettings, load_settings
from twin_pipelines.sources import chitchat
from twin_pipelines.sources.landing import import_file
from twin_pipelines.sources.store import Subject, save_subject

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
PACE = timedelta(minutes=1)  # between two messages
PAUSE = timedelta(minutes=90)  # between two chats
A_DAY = 400  # messages
SUBJECT, PARTNER = "angela", "david"
RESERVED = range(chitchat.SUBJECT_RANKS + 1, chitchat.FIRST_STRANGER)


def memory(messages: int) -> dict[str, Any]:
    """Extract and consolidate so many messages, then one more day, in a database of its own.

    Returns seconds (`full_s`, `increment_s`, each also in its two parts), how many statements and
    facts they make, peak memory, and beside the increment what consolidating everything anew takes.
    Import and cleaning are not counted.
    """
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder, scratch_database(settings) as connection:
        quiet = settings.model_copy(update={"home": Path(folder)})
        chats, today = _history(messages)
        save_subject(connection, Subject(SUBJECT, SUBJECT, "the benchmark"))
        full = _learn(connection, quiet, Path(folder) / "history.jsonl", chats)
        increment = _learn(connection, quiet, Path(folder) / "today.jsonl", today)
        anew = _anew(connection, quiet)
    return {
        "messages": messages,
        "full_s": round(sum(full[:2]), 2),
        "increment_s": round(sum(increment[:2]), 2),
        "full_parts_s": {"extraction": round(full[0], 2), "consolidation": round(full[1], 2)},
        "increment_messages": today.height,
        "increment_parts_s": {
            "extraction": round(increment[0], 2),
            "consolidation": round(increment[1], 2),
        },
        "statements": full[2].statements,
        "knowledge": full[2].knowledge,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "baselines": {"consolidation_of_everything_anew_s": round(anew, 2)},
    }


def _history(messages: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Whole chats one after another, said by two people, and those of the day after.

    Rows as `twin import` reads them.
    """
    rows = chitchat.messages()
    nobodys = chitchat.senders().filter(pl.col("rank").is_in(list(RESERVED)))["speaker"]
    spoken = pl.col("speaker").cast(pl.String)
    left = rows.filter(~spoken.is_in(nobodys.implode()).any().over("chat")).head(messages + A_DAY)
    chats = (pl.col("chat") != pl.col("chat").shift()).fill_null(False).cum_sum()
    beginner = spoken == spoken.first().over("chat")
    told = left.select(
        pl.int_range(pl.len()).cast(pl.String).alias("message_id"),
        pl.col("chat").cast(pl.String).alias("conversation_id"),
        pl.when(beginner).then(pl.lit(SUBJECT)).otherwise(pl.lit(PARTNER)).alias("speaker"),
        "text",
        (pl.lit(BEGAN) + pl.int_range(pl.len()) * PACE + chats * PAUSE).alias("sent_at"),
    )
    history, later = told.head(messages), told.slice(messages)
    midnight = _span(history)[1].replace(hour=0, minute=0) + timedelta(days=2)
    shifted = pl.col("sent_at") - _span(later)[0] + midnight
    return history, later.with_columns(shifted).filter(
        pl.col("sent_at") < midnight + timedelta(days=1)
    )


def _span(rows: pl.DataFrame) -> tuple[datetime, datetime]:
    first, last = rows.select(
        pl.col("sent_at").min().alias("first"), pl.col("sent_at").max().alias("last")
    ).row(0)
    return first, last


def _learn(
    connection: psycopg.Connection, settings: TwinSettings, file: Path, rows: pl.DataFrame
) -> tuple[float, float, Consolidated]:
    """Seconds of extraction and of consolidation of messages that are imported first."""
    times = pl.col("sent_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.f+00:00")
    rows.with_columns(times).write_ndjson(file)
    import_file(connection, settings, file, source_name=file.stem, consent="public dataset, MIT")
    first, last = _span(rows)
    days = DayRange(first.date(), last.date())
    refresh_days(connection, settings, days)
    connection.commit()
    connection.execute("analyze")
    started = time.perf_counter()
    extract_days(connection, settings, days)
    extracted = time.perf_counter()
    done = consolidate(connection, settings.memory.weights)
    connection.commit()
    return extracted - started, time.perf_counter() - extracted, done


def _anew(connection: psycopg.Connection, settings: TwinSettings) -> float:
    connection.execute("delete from consolidated_speakers")
    started = time.perf_counter()
    consolidate(connection, settings.memory.weights)
    connection.commit()
    return time.perf_counter() - started
