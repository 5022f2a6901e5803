"""The load on the API is measured as it is told, and a client that fails is counted."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from twin_pipelines.cli import app
from twin_pipelines.commands.bench_serve import Client, cache_counts, memory_of, told_of
from twin_pipelines.settings import TwinError, TwinSettings


def test_fairness_and_errors_are_told() -> None:
    quick, slow = Client([0.1] * 4, [0.2] * 4, tokens=8), Client([0.3], [0.5], tokens=2)
    slow.errors.append("ReadTimeout: ")
    told = told_of([quick, slow], [(0.0, 100.0), (1.0, 100.0)], took=2.0)
    assert (told["answers"], told["answers_per_s"], told["tokens_per_s"]) == (5, 2.5, 5)
    assert (told["errors"], told["first_error"]) == (1, "ReadTimeout: ")
    assert told["fairness"] == {"jain": round(25 / (2 * 17), 4), "fewest": 1, "most": 4}
    assert told["first_words_ms"]["p50"] == 100.0
    with pytest.raises(TwinError, match="No client got an answer"):
        told_of([Client(errors=["refused"])], [(0.0, 1.0)], took=1.0)


def test_memory_that_grows_is_seen_once_it_has_settled() -> None:
    flat = [(float(second), 100.0 + (20 if second < 10 else 30)) for second in range(100)]
    assert memory_of(flat)["growth_per_minute"] == 0.0
    growing = [(float(second), 100.0 + second / 60) for second in range(100)]
    assert memory_of(growing)["growth_per_minute"] == 1.0


def test_counters_of_caches_are_read_from_the_metrics() -> None:
    text = '# TYPE x\ntwin_cache_total{cache="finds",outcome="hit"} 3\ntwin_queue_length 0\n'
    assert cache_counts(text) == {"finds hit": 3.0}


@pytest.mark.slow
def test_the_whole_measurement_runs_on_the_real_server(twin_home: TwinSettings) -> None:
    options = ["bench", "serve", "--minutes", "0.05", "--clients", "4", "--json"]
    outcome = CliRunner().invoke(app, options, catch_exceptions=False)
    told = json.loads(outcome.stdout)
    assert (told["errors"], told["clients"]) == (0, 4)
    assert told["fairness"]["fewest"] >= 1
    assert told["overhead_ms"]["p50"] < told["overhead_ms"]["engine_p50"] + 100
    assert told["cached_retrieval_ms"]["p95"] > 0 and told["memory_mb"]["end"] > 100
