"""One evaluation from end to end: the systems answer, the figures are computed, the folder filled.

Knows files and models, no database and no Dagster. Answers come from `answers`, figures from the
statistics modules; here they are put into the one dictionary that metrics.json holds.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twin_pipelines.evaluation.answers import Answers, Interview, Stopwatch
from twin_pipelines.evaluation.background import Background, load_background
from twin_pipelines.evaluation.bootstrap import resamples
from twin_pipelines.evaluation.frozen import Exchange, FrozenSet, freeze, train_exchanges
from twin_pipelines.evaluation.memorisation import TrainReplies, copying, identifier_figures
from twin_pipelines.evaluation.perplexity import perplexity_figures
from twin_pipelines.evaluation.pick import pick_figures, pmi
from twin_pipelines.evaluation.style import StyleTexts, style_consistency
from twin_pipelines.evaluation.systems import Report, System, forget_old_answers
from twin_pipelines.evaluation.task import Task
from twin_pipelines.evaluation.workers import Workers, workers_for
from twin_pipelines.settings import Evaluation

METRICS = "metrics.json"
REPLIES = "replies.jsonl"
KEPT_ANSWERS = 1_000  # pieces; an evaluation has about 100
LEAST_TO_SHARE = 50  # conversations for which starting processes pays


def evaluate(task: Task, report: Report) -> dict[str, Any]:
    """Measure everything, write the evaluation folder whole or not at all, return the metrics.

    Raises TwinError when the dataset folder or a model is unusable.
    """
    watch = Stopwatch(report)
    settings = task.settings
    frozen = freeze(
        task.dataset, task.dataset_version, replies=settings.replies, ranked=settings.ranked
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
    with watch.part("style_consistency"):
        style = _style(_texts(frozen, train, background, answers), settings)
    with watch.part("memorisation"):
        copied = _memorisation(frozen, train, answers, interview.twin, settings)
    metrics: dict[str, Any] = json_ready(
        {
            "one_voice": task.one_voice,
            "style_consistency": style,
            **_likelihood(frozen, answers, settings),
            "memorisation": copied,
            "frozen_set": {
                "version": frozen.version,
                "dataset_version": frozen.dataset_version,
                "n_pairs": len(frozen.exchanges),
                "n_sessions": frozen.sessions,
                "generated": frozen.generated,
                "leaks": task.leaks,
            },
            "seconds": watch.seconds,
        }
    )
    _write_folder(task.folder, metrics, frozen, answers)
    forget_old_answers(task.cache, KEPT_ANSWERS)
    return metrics


def json_ready(value: Any) -> Any:
    """The value with undefined numbers as null: a figure that was not measured is not a number."""
    if isinstance(value, Mapping):
        return {key: json_ready(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(child) for child in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _texts(
    frozen: FrozenSet, train: Sequence[Exchange], background: Background, answers: Answers
) -> StyleTexts:
    return StyleTexts(
        subject=[exchange.reply for exchange in train],
        people=background.people,
        ai=answers.ai,
        unseen=background.unseen,
        human=[exchange.reply for exchange in frozen.to_generate],
        twin=answers.twin,
        base=answers.base,
        prompted=answers.prompted,
    )


def _style(texts: StyleTexts, settings: Evaluation) -> dict[str, Any]:
    """Style consistency; without a value, and with the reason, where there is too little text."""
    try:
        return style_consistency(
            texts,
            window_words=settings.window_words,
            times=settings.bootstrap,
            seed=settings.seed,
        )
    except ValueError as error:
        return {"value": None, "ci95": None, "n": len(texts.human), "note": str(error)}


def _likelihood(
    frozen: FrozenSet, answers: Answers, settings: Evaluation
) -> dict[str, dict[str, Any]]:
    sessions = [exchange.session_id for exchange in frozen.exchanges]
    counts = resamples(len(sessions), settings.bootstrap, settings.seed, groups=sessions)
    base, twin = answers.base_likelihood, answers.twin_likelihood
    pick = {
        name: pick_figures(pmi(answers.candidates, system.given, system.alone), counts)
        for name, system in (("twin", twin), ("base", base))
    }
    return {
        "reply_perplexity": perplexity_figures(base.real, twin.real, counts, answers.champion),
        "pick_real_reply": {**pick, "n": len(sessions)},
    }


def _memorisation(
    frozen: FrozenSet,
    train: Sequence[Exchange],
    answers: Answers,
    twin: System,
    settings: Evaluation,
) -> dict[str, Any]:
    learnt = [exchange.reply for exchange in train]

    def spoken(replies: Sequence[str]) -> list[tuple[int, ...]]:
        return [reply[:-1] for reply in twin.tokens(replies)]  # without the end of turn

    figures = copying(
        TrainReplies(spoken(learnt), [exchange.input for exchange in train]),
        spoken(answers.twin),
        spoken([exchange.reply for exchange in frozen.to_generate]),
        [exchange.input for exchange in frozen.to_generate],
        resamples(frozen.generated, settings.bootstrap, settings.seed),
    )
    exposure = answers.twin_canaries
    if exposure and answers.base_canaries:
        exposure = {**exposure, "base_mean": answers.base_canaries["mean"]}
    return {
        **figures,
        "n": frozen.generated,
        "canary_exposure": exposure,
        "pii": identifier_figures(answers.twin, learnt),
    }


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
