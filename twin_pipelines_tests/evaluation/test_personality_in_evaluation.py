"""The personality test takes its place in an evaluation: a real, tiny model is asked everything."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from twin_pipelines.evaluation.answers import ALL, CHAMPION, RETRIEVAL, Beside, Interview, Stopwatch
from twin_pipelines.evaluation.frame import frame
from twin_pipelines.evaluation.frozen import freeze, train_exchanges
from twin_pipelines.evaluation.measure import json_ready
from twin_pipelines.evaluation.personality.persona import fact_questions
from twin_pipelines.evaluation.personality.systems_asked import (
    add_personality,
    personality_figures,
)
from twin_pipelines.evaluation.task import Task
from twin_pipelines.evaluation.workers import Workers
from twin_pipelines.settings import TwinError

TOLD = (
    *(f"I love {topic}" for topic in ("hiking", "owls", "sushi", "jazz", "tea", "old trains")),
    *(f"I hate {topic}" for topic in ("traffic", "geese", "waiting", "onions", "loud bars")),
    "I live in Provo", "I am from Nevada", "I served in Norway", "I play tennis", "I am 20",
    "I am studying biology", "I work for a bank", "I have an older sister",
)  # fmt: skip


def tell(task: Task) -> Task:
    """Let the train split say something about the person."""
    path = task.dataset / "train.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row, told in zip(rows, TOLD, strict=False):
        row["completion"] = [{"role": "assistant", "content": told}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return task


def measured(task: Task) -> dict[str, Any]:
    frozen = freeze(task.dataset, "d1", replies=12, ranked=24)
    said = ["haha ok"] * frozen.generated
    more = dict.fromkeys((RETRIEVAL, ALL, CHAMPION), said)
    answers: Any = SimpleNamespace(
        base=said, twin=said, prompted=said, beside=Beside(more=more if task.recalled else {})
    )
    with Workers(1) as workers:
        interview = Interview(task, frozen, Stopwatch(lambda _: None), workers)
        found = personality_figures(interview, answers, train_exchanges(task.dataset))
    metrics = frame()
    add_personality(metrics, found)
    return json_ready(metrics)


def test_full_depth_fills_every_row_and_compares_the_champion(task: Task) -> None:
    told = tell(task)
    questions = fact_questions(train_exchanges(told.dataset), [])
    recalled = {one.question_id: [one.statement] for one in questions}
    full = replace(
        told,
        settings=told.settings.model_copy(update={"depth": "full"}),
        champion=told.twin,
        recalled=recalled,
    )
    metrics = measured(full)
    parts = metrics["personality"]["parts"]
    assert parts["facts"]["n"] >= 6 and parts["preferences"]["n"] == 11
    for part in ("facts", "preferences"):
        assert None not in (parts[part]["x"], parts[part]["control"], parts[part]["ceiling"])
    assert parts["traits"]["value"] is None and "needed" in parts["traits"]["note"]
    grounded = metrics["grounded_answers"]
    assert grounded["value"] is not None and grounded["without_retrieval"] is not None
    assert {row["system"] for row in metrics["ablation"] if row["grounded"] is not None} == {
        "base", "prompt", "retrieval", "adapter", "all"
    }  # fmt: skip
    same = metrics["champion"]["grounded_answers"]["delta"]
    assert same["value"] in (0.0, None), "the champion is the twin itself"
    assert json.dumps(metrics, allow_nan=False)


def test_a_history_that_tells_nothing_is_no_figure(task: Task) -> None:
    metrics = measured(task)
    assert metrics["personality"]["value"] is None
    assert metrics["grounded_answers"]["value"] is None
    assert metrics["champion"] is None
    assert all(row["personality"] is None for row in metrics["ablation"])


def test_a_session_of_train_among_the_later_ones_stops_the_evaluation(task: Task) -> None:
    told = tell(task)
    later = told.dataset / "validation.jsonl"
    later.write_text(later.read_text().replace("validation-0", "train-0"))
    with pytest.raises(TwinError, match="personality questions"):
        measured(told)
