"""The memory benchmark measures extraction and consolidation, of a history and of a day after."""

from __future__ import annotations

import pytest

from twin_pipelines.commands.bench_memory import memory
from twin_pipelines.settings import TwinSettings


@pytest.mark.slow
def test_a_history_and_one_more_day_are_timed(twin_home: TwinSettings) -> None:
    measured = memory(3_000)
    assert measured["messages"] == 3_000
    assert measured["statements"] > 30
    assert 0 < measured["increment_messages"] <= 400
    assert 0 < measured["increment_s"] < measured["full_s"] + 2
