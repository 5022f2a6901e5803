"""The whole graph, for real: a file of messages in, a judged release out, with a tiny model.

What the gate says of a model of 94,000 parameters does not matter here; that every stage ran, that
its checks ran, and that `twin status` tells the truth about it, does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from markupsafe import escape
from rich.console import Console

from twin_pipelines.commands import runs
from twin_pipelines.commands.importing import import_all
from twin_pipelines.commands.report import write_report
from twin_pipelines.commands.status import collect
from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.instance import open_instance
from twin_pipelines.settings import TwinSettings, load_settings
from twin_pipelines_tests.tiny_model import build_tiny_model

THINGS = ["the sea", "old films", "green tea", "my sister", "long trains", "rain", "the guitar"]
SAYS = [
    "haha yes i really love {a} more than {b} ok",
    "no way!! i was just thinking about {a} and {b}",
    "well i work near {a} so i see {b} every day lol",
    "i think {a} is better when {b} is around :)",
    "ค่ะ วันนี้ชอบ {a} กับ {b} มากเลย",
]
ASKS = ["what about {a} then?", "did you see {b} today", "tell me more of {a}", "ok and {b}?"]


def _write_history(file: Path, exchanges: int = 900) -> None:
    rng = random.Random(3)
    moment = datetime(2018, 5, 1, 8, tzinfo=UTC)
    with file.open("w", encoding="utf-8") as out:
        for number in range(exchanges):
            moment += timedelta(hours=9) if number % 6 == 0 else timedelta(minutes=3)
            words = {"a": rng.choice(THINGS), "b": rng.choice(THINGS)}
            for speaker, says in (("david", ASKS), ("angela", SAYS)):
                moment += timedelta(seconds=40)
                text = rng.choice(says).format(**words) + f" {rng.choice(THINGS)} {number % 97}"
                row = {
                    "conversation_id": f"c{number // 60}",
                    "speaker": speaker,
                    "text": text,
                    "sent_at": moment.isoformat(),
                }
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        out.write('{"conversation_id": "c0", "speaker": "david", "text": "cut off\n')


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def small_twin(
    twin_home: TwinSettings, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TwinSettings]:
    """Settings of a twin that trains in seconds."""
    for name, value in {
        "SUBJECT__SPEAKER": "angela",
        "TRAINING__BASE_MODEL": str(tiny_model),
        "TRAINING__MAX_STEPS": "12",
        "TRAINING__SAVE_STEPS": "6",
        "EVALUATION__REPLIES": "40",
        "EVALUATION__RANKED": "40",
        "EVALUATION__BOOTSTRAP": "100",
        "EVALUATION__MAX_NEW_TOKENS": "12",
    }.items():
        monkeypatch.setenv(f"TWIN_{name}", value)
    load_settings.cache_clear()
    yield load_settings()


def test_a_file_becomes_a_judged_release_and_status_tells_what_happened(
    small_twin: TwinSettings, tmp_path: Path
) -> None:
    history = tmp_path / "history.jsonl"
    _write_history(history)
    console = Console(quiet=True)
    assert import_all(
        small_twin, [history], source="", consent="", land_only=False, console=console
    )
    with open_instance(small_twin) as (instance, databases):
        outcome = runs.train(instance, console, "test")
        status = collect(small_twin, instance, databases)
        page = write_report(small_twin, instance, databases, None).read_text()
        runs_before = instance.get_runs_count()
        again = runs.train(instance, console, "test")
        with connect(databases.twin) as connection:
            adapters = connection.execute("select count(*) from adapters").fetchone()
            releases = connection.execute("select count(*) from releases").fetchone()

    assert status["subject"]["speaker"] == "angela"
    assert status["imports"]["rejected"] == 1
    assert status["messages"]["raw"] == 1800
    assert status["messages"]["embedded_fraction"] == 1.0
    assert status["instruct_pairs"]["total"] > 500
    assert status["dataset"]["test"] > 0
    assert status["metrics"]["reply_perplexity"]["twin"] > 1
    assert 0 <= status["metrics"]["personality_score"] <= 1
    assert 0 <= status["metrics"]["retrieval_evidence_recall_at_10"] <= 1
    assert status["metrics"]["memory_retrieval_ms"]["p95"] > 0
    assert status["memories"]["active"]["episodic"] > 0
    assert status["core_identity"]["version"] == 1
    assert status["gate"]["passed"] is not None and status["gate"]["words"]
    assert (status["champion"]["version"] is not None) == status["gate"]["passed"]
    assert outcome.success == status["gate"]["passed"]
    assert status["checks"]["passed"] > 15
    assert escape(status["gate"]["words"]) in page and "angela" in page
    assert again.success == outcome.success
    assert runs_before == 3
    assert adapters == (1,) and releases == (1,), "unchanged input must train nothing anew"


def test_a_day_materialised_twice_has_identical_rows(
    small_twin: TwinSettings, tmp_path: Path
) -> None:
    history = tmp_path / "history.jsonl"
    _write_history(history, exchanges=120)
    console = Console(quiet=True)
    assert import_all(
        small_twin, [history], source="", consent="", land_only=False, console=console
    )
    tables = (
        *("raw_messages", "cleaned_messages", "dropped_messages", "instruct_pairs"),
        *("memories", "preferences", "response_templates", "writing_style", "vocabulary"),
        *("traits", "core_identities", "core_candidates"),
    )

    def content() -> list[str]:
        with open_instance(small_twin) as (_, databases), connect(databases.twin) as connection:
            return [
                str(
                    connection.execute(
                        f"select md5(string_agg(t::text, '|' order by t::text)) from {table} t"
                    ).fetchone()
                )
                for table in (*tables, "message_embeddings")
            ]

    before = content()
    with open_instance(small_twin) as (instance, _):
        day = datetime(2018, 5, 3, tzinfo=UTC).date()
        runs.refresh(instance, day, day, console)
        runs.refresh(instance, day, day, console)
        events = instance.get_materialized_partitions(dg.AssetKey("cleaned_messages"))
    assert content() == before
    assert "2018-05-03" in events
