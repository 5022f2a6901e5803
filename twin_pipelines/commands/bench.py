"""`twin bench`: figures beside a baseline measured in the same run, on made-up messages."""

from __future__ import annotations

import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.database import connect, migrate, open_databases
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import TwinSettings, load_settings
from twin_pipelines.sources.landing import import_file

WORDS = (
    *("yes", "no", "maybe", "coffee", "later", "tomorrow", "the", "a", "to", "of", "and", "it"),
    *("is", "was", "that", "on", "for", "with", "lol", "haha", "ok", "really", "think", "know"),
    *("going", "home", "work", "sleep", "music", "rain", "dinner", "train", "friend", "happy"),
    *("คิดถึง", "กินข้าว", "วันนี้", "ค่ะ", "ครับ", "นะ", "ฝันดี", "งาน", "เพลง", "ฝนตก"),
)
BASELINE_MESSAGES = 5_000
EMBEDDED = 4_000


def ingest(messages: int) -> dict[str, Any]:
    """Import, clean and embed made-up messages in a database of its own, which is dropped after.

    Returns messages/s of import and cleaning together, texts/s of embedding, peak memory, and the
    same of the plain way: one INSERT a message and one text a call.
    """
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder, scratch_database(settings) as connection:
        file = Path(folder) / "messages.jsonl"
        first, last = write_messages(file, messages)
        quiet = settings.model_copy(update={"home": Path(folder)})
        started = time.perf_counter()
        import_file(connection, quiet, file, source_name="bench", consent="made up")
        imported = time.perf_counter()
        refresh_days(connection, quiet, DayRange(first.date(), last.date()))
        cleaned = time.perf_counter()
        baseline = _plain_ingest(connection, file, min(messages, BASELINE_MESSAGES))
        texts = [json.loads(line)["text"] for line in _head(file, EMBEDDED)]
    embedded, plain_embedded = _embedding_rates(settings, texts)
    return {
        "messages": messages,
        "messages_per_s": round(messages / (cleaned - started)),
        "import_per_s": round(messages / (imported - started)),
        "clean_per_s": round(messages / (cleaned - imported)),
        "embedded_per_s": round(embedded),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "cores": len(os.sched_getaffinity(0)),
        "baselines": {
            "messages_per_s_one_insert_each": round(baseline),
            "embedded_per_s_one_text_each": round(plain_embedded),
        },
    }


def write_messages(file: Path, count: int, seed: int = 1) -> tuple[datetime, datetime]:
    """Write made-up two-person chats as JSONL; returns the first and last time."""
    rng = random.Random(seed)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    moment = start
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            moment += timedelta(seconds=rng.choice((3, 8, 20, 45, 90, 7200)))
            row = {
                "message_id": str(number),
                "conversation_id": f"chat-{number // 400}",
                "speaker": "angela" if rng.random() < 0.5 else "david",
                "text": " ".join(rng.choices(WORDS, k=rng.randint(1, 14))),
                "sent_at": moment.isoformat(),
            }
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return start, moment


@contextmanager
def scratch_database(settings: TwinSettings) -> Iterator[psycopg.Connection]:
    """A fresh, migrated database beside the twin's, dropped afterwards."""
    name = f"bench_{uuid4().hex[:12]}"
    with open_databases(settings) as databases, connect(databases.twin) as administrator:
        administrator.autocommit = True
        administrator.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            with connect(make_conninfo(databases.twin, dbname=name)) as connection:
                migrate(connection)
                yield connection
        finally:
            drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            administrator.execute(drop)


def _plain_ingest(connection: psycopg.Connection, file: Path, count: int) -> float:
    """Messages/s of reading, stripping and inserting one row at a time, in one transaction."""
    connection.execute("create temp table plain (like raw_messages)")
    started = time.perf_counter()
    with connection.transaction():
        for line in _head(file, count):
            row = json.loads(line)
            row["text"] = " ".join(row["text"].split())
            row["sent_at"] = datetime.fromisoformat(row["sent_at"])
            connection.execute(
                "insert into plain (id, source, source_message_id, conversation_id, speaker, text,"
                " sent_at, day) values (gen_random_uuid(), 'bench', %(message_id)s,"
                " %(conversation_id)s, %(speaker)s, %(text)s, %(sent_at)s, %(sent_at)s::date)",
                row,
            )
    return count / (time.perf_counter() - started)


def _embedding_rates(settings: TwinSettings, texts: list[str]) -> tuple[float, float]:
    encoder = load_encoder(settings)
    encoder.encode(texts[:64])
    started = time.perf_counter()
    encoder.encode(texts)
    batched = len(texts) / (time.perf_counter() - started)
    started = time.perf_counter()
    for text in texts[:200]:
        encoder.encode([text])
    return batched, 200 / (time.perf_counter() - started)


def _head(file: Path, count: int) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for _, line in zip(range(count), lines, strict=False):
            yield line
