"""One evaluation from end to end: the systems answer, the figures are computed, the folder filled.

Knows files and models, no database and no Dagster. Answers come from `answers`, figures from the
statistics modules; here they are put into the one dictionary that metrics.json holds.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from twin_pipelines.evaluation.answers import Answers, Interview, Stopwatch
from twin_pipelines.evaluation.background import load_background
from twin_pipelines.evaluation.figures import Figures
from twin_pipelines.evaluation.frozen import Exchange, FrozenSet, freeze, train_exchanges
from twin_pipelines.evaluation.judge import Replies, llm_judge
from twin_pipelines.evaluation.leaks import refuse_leaks
from twin_pipelines.evaluation.personality.systems_asked import (
    add_personality,
    personality_figures,
)
from twin_pipelines.evaluation.systems import Report, forget_old_answers
from twin_pipelines.evaluation.task import Task
from twin_pipelines.evaluation.workers import Workers, workers_for

METRICS = "metrics.json"
REPLIES = "replies.jsonl"
KEPT_ANSWERS = 1_000  # pieces; an evaluation has about 200
LEAST_TO_SHARE = 50  # conversations for which starting processes pays


def evaluate(task: Task, report: Report) -> dict[str, Any]:
    """Measure everything, write the evaluation folder whole or not at all, return the metrics.

    Raises TwinError when the dataset folder or a model is unusable, SeenError when anything of the
    frozen set was learnt from.
    """
    refuse_leaks(task.leaks)
    watch = Stopwatch(report)
    settings = task.settings
    frozen = freeze(
        task.dataset,
        task.dataset_version,
        replies=settings.replies,
        ranked=settings.ranked,
        adapter=task.twin.adapter,
        barred=task.barred,
    )
    train = train_exchanges(task.dataset)
    report(f"{len(frozen.exchanges)} unseen exchanges of {frozen.sessions} sessions")
    with watch.part("background"):
        background = load_background(
            task.speaker,
            people=settings.background_people,
            contexts=settings.replies,
            min_words=task.min_reply_words,
            system=_system_message(frozen.exchanges[0]),
        )
    number = workers_for(task.twin.base, len(frozen.exchanges), LEAST_TO_SHARE)
    with Workers(number) as workers:
        interview = Interview(task, frozen, watch, workers)
        answers = interview.answers(train, background.contexts)
        persona = personality_figures(interview, answers, train)
    with watch.part("figures"), threadpool_limits(1):
        figures = Figures(
            frozen, train, background, answers, interview.twin, interview.base, settings
        ).all()
    add_personality(figures, persona)
    if task.llm.url:
        with watch.part("llm_judge"):
            replies = Replies.of(frozen, train, answers)
            figures["llm_judge"] = llm_judge(task.llm, replies, settings, report)
    metrics: dict[str, Any] = json_ready(
        {
            "depth": settings.depth,
            "one_voice": task.one_voice,
            **figures,
            "frozen_set": _frozen_part(frozen, task),
            "seconds": watch.seconds,
        }
    )
    _write_folder(task.folder, metrics, frozen, answers)
    forget_old_answers(task.cache, KEPT_ANSWERS)
    return metrics


def _frozen_part(frozen: FrozenSet, task: Task) -> dict[str, Any]:
    return {
        "version": frozen.version,
        "dataset_version": frozen.dataset_version,
        "n_pairs": len(frozen.exchanges),
        "n_sessions": frozen.sessions,
        "generated": frozen.generated,
        "leaks": task.leaks,
    }


def json_ready(value: Any) -> Any:
    """The value with undefined numbers as null: a figure that was not measured is not a number."""
    if isinstance(value, Mapping):
        return {key: json_ready(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(child) for child in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _write_folder(
    folder: Path, metrics: dict[str, Any], frozen: FrozenSet, answers: Answers
) -> None:
    """Fill a scratch folder and let it take the place of `folder`."""
    from twin_pipelines.evaluation.plots import draw

    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_over in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left_over)
    scratch = folder.parent / f".{folder.name}.{os.getpid()}"
    scratch.mkdir()
    with (scratch / REPLIES).open("w", encoding="utf-8") as lines:
        lines.writelines(
            json.dumps(sample, ensure_ascii=False) + "\n" for sample in _samples(frozen, answers)
        )
    draw(scratch, metrics, answers.base_likelihood.real, answers.twin_likelihood.real)
    (scratch / METRICS).write_text(json.dumps(metrics, indent=1))
    if folder.exists():
        shutil.rmtree(folder)
    scratch.rename(folder)


def _samples(frozen: FrozenSet, answers: Answers) -> list[dict[str, Any]]:
    return [
        {
            "pair_id": exchange.pair_id,
            "session_id": exchange.session_id,
            "context": [part for part in exchange.prompt if part["role"] != "system"],
            "real": exchange.reply,
            "twin": twin,
            "base": base,
            "prompted": prompted,
        }
        for exchange, twin, base, prompted in zip(
            frozen.to_generate, answers.twin, answers.base, answers.prompted, strict=True
        )
    ]


def _system_message(exchange: Exchange) -> str:
    first = exchange.prompt[0]
    return first["content"] if first["role"] == "system" else ""
