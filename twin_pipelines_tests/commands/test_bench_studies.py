"""The two studies of `twin bench`: which sessions a short history has, and how seeds are summed."""

from __future__ import annotations

import json

import pytest

from twin_pipelines.commands.bench_cli import _ranks
from twin_pipelines.commands.bench_curve import _latest_sessions
from twin_pipelines.commands.bench_subjects import FIGURES, Trial, _figures
from twin_pipelines.settings import TwinError


def test_a_shorter_history_is_its_latest_sessions_whole() -> None:
    rows = [
        {"session_id": session, "replied_at": f"2020-01-0{day}T00:00:00+00:00"}
        for session, day in (("a", 1), ("a", 1), ("c", 4), ("b", 2), ("b", 3), ("c", 5))
    ]
    lines = [json.dumps(row).encode() for row in rows]
    assert _latest_sessions(lines, 0.3) == [lines[2], lines[5]]
    assert _latest_sessions(lines, 0.5) == [lines[2], lines[3], lines[4], lines[5]]
    assert _latest_sessions(lines, 1.0) == lines


def test_seeds_are_averaged_and_an_interval_spans_all_of_theirs() -> None:
    trials = [
        Trial(3, 7, {"personality": {"value": 0.5, "ci95": [0.4, 0.6]}}),
        Trial(3, 8, {"personality": {"value": 0.7, "ci95": [0.5, 0.9]}}),
    ]
    found = dict(_figures(trials))
    assert found["personality"]["mean"] == pytest.approx(0.6)
    assert found["personality"]["ci95"] == [0.4, 0.9]
    assert found["traits"] == {"mean": None, "by_seed": [None, None], "ci95": None}
    assert found.keys() == {*FIGURES, "judge AUC per reply"}


@pytest.mark.parametrize(("typed", "ranks"), [("2-5", [2, 3, 4, 5]), ("2,5", [2, 5]), ("10", [10])])
def test_ranks_are_a_list_or_a_span(typed: str, ranks: list[int]) -> None:
    assert _ranks(typed) == ranks


@pytest.mark.parametrize("typed", ["", "two", "0", "2-11", "5-2"])
def test_what_is_no_rank_is_refused_in_words(typed: str) -> None:
    with pytest.raises(TwinError, match="--ranks"):
        _ranks(typed)
