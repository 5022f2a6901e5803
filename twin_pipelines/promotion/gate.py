"""The gate: the conditions a challenger must meet, each with its figure, limit and a sentence.

Plain arithmetic over an evaluation's metrics. What was not measured in full depth is not met: the
gate lets nothing through on trust. "Surely" means that the 95 % interval lies on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twin_pipelines.promotion import harms, merits
from twin_pipelines.promotion.verdict import Case, Condition, Finding, Metrics, Verdict
from twin_pipelines.settings import Gate

CONDITIONS: Mapping[str, Callable[[Case], Sequence[Finding]]] = {
    condition.__name__: condition
    for condition in (
        merits.better_than_base,
        merits.not_worse_than_champion,
        merits.style_is_the_subjects,
        merits.person_is_the_subject,
        merits.answers_the_context,
        merits.personality_holds,
        merits.grounded_answers_hold,
        harms.nothing_erased,
        harms.no_leak,
        harms.memorisation_under_limit,
        harms.safety_holds,
        harms.latency_holds,
        harms.template_is_right,
    )
}


def judge(
    metrics: Metrics, gate: Gate, champion_metrics: Metrics | None = None, erased: str = ""
) -> Verdict:
    """Judge an evaluation by every condition.

    `champion_metrics` are those the serving release of another adapter was promoted with; None
    means that no other release serves. `erased` says why the adapter is blocked; empty: it is not.
    """
    case = Case(metrics, gate, champion_metrics, erased)
    return Verdict(
        tuple(Condition.of(name, condition(case)) for name, condition in CONDITIONS.items())
    )
