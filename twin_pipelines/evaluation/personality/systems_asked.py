"""Puts the personality test to every system of an evaluation and files the figures.

Base, twin and champion are asked alone and, where something was recalled, with it. The rows of the
ablation come from the same answers; in full depth the base is also asked after examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twin_pipelines.evaluation.answers import ALL, CHAMPION, RETRIEVAL, Answers, Interview
from twin_pipelines.evaluation.frozen import Exchange, exchange, read_split
from twin_pipelines.evaluation.personality.answered import ALONE, RECALLED
from twin_pipelines.evaluation.personality.asking import Asked
from twin_pipelines.evaluation.personality.others import exchanges_of_others
from twin_pipelines.evaluation.personality.persona import PersonaTest
from twin_pipelines.evaluation.systems import examples

UNSEEN_SPLITS = ("validation", "test")


def personality_figures(
    interview: Interview, answers: Answers, train: Sequence[Exchange]
) -> dict[str, Any]:
    """`personality`, `grounded_answers`, `champion` and `ablation` of `PersonaTest.figures`."""
    task, watch = interview.task, interview.watch
    later = [exchange(row) for split in UNSEEN_SPLITS for row in read_split(task.dataset, split)]
    with watch.part("personality_questions"):
        others = exchanges_of_others(task.speaker, task.min_reply_words)
        test = PersonaTest.prepare(train, later, interview.frozen, others)
    with watch.part("personality_answers"):
        asked = _ask(test, interview, answers, train)
    with watch.part("personality_figures"):
        return test.figures(asked, times=task.settings.bootstrap, seed=task.settings.seed)


def add_personality(metrics: dict[str, Any], found: dict[str, Any]) -> None:
    """Put the figures of `personality_figures` in their places in the metrics."""
    metrics["personality"] = found["personality"]
    metrics["grounded_answers"] = found["grounded_answers"]
    if found["champion"]:
        metrics["champion"] = {**(metrics.get("champion") or {}), **found["champion"]}
    for row in metrics["ablation"]:
        row.update(found["ablation"].get(row["system"], {}))


def _ask(
    test: PersonaTest, interview: Interview, answers: Answers, train: Sequence[Exchange]
) -> dict[str, Asked]:
    recalled, more = interview.task.recalled, answers.beside.more
    asked: dict[str, Asked] = {}
    if interview.champion:
        asked[CHAMPION] = test.ask(interview.champion, more[CHAMPION], recalled)
    twin = test.ask(interview.twin, answers.twin, recalled)  # the last to be loaded, often
    base = test.ask(interview.base, answers.base, recalled, base=True)
    if interview.task.settings.depth == "full":
        shown = examples(train)
        asked["prompt"] = test.ask(interview.base, answers.prompted, shown=shown)
    asked["twin"] = twin
    asked["adapter"] = replace(twin, facts={ALONE: twin.facts[ALONE]})
    asked["base"] = replace(base, facts={k: v for k, v in base.facts.items() if k != RECALLED})
    for name, system in ((RETRIEVAL, base), (ALL, twin)):
        if name in more and RECALLED in system.facts:
            facts = {RECALLED: system.facts[RECALLED]}
            asked[name] = replace(system, replies=tuple(more[name]), facts=facts)
    return asked
