"""Weeks of chats in which one person says a secret once; and looking for it everywhere."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg

from twin_pipelines.foundation.database import Databases
from twin_pipelines.settings import TwinSettings

CANARY = "my grandmother hid the copper canary behind the third brick"
THAI = "ยายซ่อนนกขมิ้นทองแดงไว้หลังก้อนอิฐที่สาม"
THINGS = ["the sea", "old films", "green tea", "my sister", "long trains", "rain", "the guitar"]
SAYS = [
    "haha yes i really love {} more than {}",
    "no way i was just thinking about {} and {}",
    "well i work near {} so i see {} every day lol",
    "i think {} is better when {} is around",
]


def write_history(file: Path, exchanges: int = 260) -> Path:
    """Chats of angela with david; carol says the secret among them, and angela answers."""
    rng = random.Random(3)
    moment = datetime(2018, 5, 1, 8, tzinfo=UTC)
    rows: list[dict[str, str]] = []

    def say(chat: str, speaker: str, text: str) -> None:
        nonlocal moment
        moment += timedelta(seconds=200)
        at = moment.isoformat()
        rows.append({"conversation_id": chat, "speaker": speaker, "text": text, "sent_at": at})

    for number in range(exchanges):
        if number % 6 == 0:
            moment += timedelta(hours=9)
        first, second = rng.sample(THINGS, 2)
        say(f"c{number // 40}", "david", f"what about {first} then {number}?")
        say(
            f"c{number // 40}",
            "angela",
            f"{rng.choice(SAYS).format(first, second)} {rng.choice(THINGS)} {number}",
        )
        if number == 30:
            say("secret", "carol", CANARY)
            say("secret", "angela", f"wow, {first} is nothing beside that")
            say("secret", "carol", THAI)
            say("secret", "angela", f"i will tell {second} nobody at all")
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return file


def strew(settings: TwinSettings) -> None:
    """The secret in papers of every kind."""
    papers = {
        "logs/server.log": f"one\nasked: {CANARY.upper()}!\nthree\n",
        "report.html": f"<p>{CANARY}</p>",
        "evaluations/.answers/aa.json": json.dumps({"answers": [CANARY]}),
        "evaluations/e1/metrics.json": json.dumps({"worst": [f"said: {THAI}"], "share": 0.5}),
        "evaluations/e1/replies.jsonl": "".join(
            json.dumps({"pair_id": pair, "reply": reply}) + "\n"
            for pair, reply in (("a", CANARY), ("b", "something else altogether"))
        ),
        "persona/page.md": f"# Page\n\n- knows that {CANARY}\n- likes tea\n",
        "bench/left.arrow": f"\0\0{CANARY}\0",
    }
    for name, text in papers.items():
        path = settings.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def everything(settings: TwinSettings, databases: Databases) -> str:
    """All bytes of all files but the server's, and all rows of all tables, as one text."""
    parts = [
        path.read_bytes().decode("utf-8", "ignore")
        for path in settings.home.rglob("*")
        if path.is_file() and path.suffix != ".parquet" and "postgres" not in path.parts
    ]
    frames = [pl.read_parquet(path).write_ndjson() for path in settings.home.rglob("*.parquet")]
    for url in (databases.twin, databases.dagster, databases.mlflow):
        with psycopg.connect(url) as connection:
            for (table,) in connection.execute(
                "select format('%I.%I', schemaname, tablename) from pg_tables "
                "where schemaname not in ('pg_catalog', 'information_schema') "
                "and tablename <> 'erasing'"
            ).fetchall():
                rows = connection.execute(f"select one::text from {table} as one")
                parts += [row for (row,) in rows.fetchall()]
    return "\n".join([*parts, *frames]).lower()
