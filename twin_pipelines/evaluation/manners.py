"""Rows of the scorecard beside style and likelihood: personality, manners, safety, ablation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twin_pipelines.evaluation.words import interval, number

Row = tuple[str, str, str, str]
ABLATION_WORDS = {
    "style_consistency": "style consistency",
    "style_realism": "realism",
    "perplexity": "perplexity",
    "hits1_of_20": "picks 1 of 20",
    "personality": "personality",
    "grounded": "grounded answers",
}


def rows(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Name, value, interval and what to compare it with; nothing for an older evaluation."""
    if "calibration" not in metrics:
        return
    yield from _personality(metrics["personality"], metrics["grounded_answers"])
    yield from _beside_the_person(metrics)
    yield from _safety(metrics["safety"])
    yield from _delivery(metrics["template"], metrics["latency"])
    yield from _ablation(metrics["ablation"])
    yield from _champion(metrics["champion"])


def _personality(
    personality: Mapping[str, Any] | None, grounded: Mapping[str, Any] | None
) -> Iterator[Row]:
    if personality and personality["value"] is not None:
        parts = [name for name, part in personality["parts"].items() if part["value"] is not None]
        words = f"mean of {', '.join(parts)}"
        yield "personality", number(personality["value"]), interval(personality["ci95"]), words
        for name in parts:
            part = personality["parts"][name]
            yield (
                f"personality: {name}",
                number(part["value"]),
                interval(part["ci95"]),
                f"agreement {number(part['x'])}, control {number(part['control'])}, "
                f"ceiling {number(part['ceiling'])}, n = {part['n']}",
            )
    if grounded and grounded["value"] is not None:
        yield (
            "questions on the history answered right, with recall",
            number(grounded["value"]),
            interval(grounded["ci95"]),
            f"without recall {number(grounded['without_retrieval'])}, base without recall "
            f"{number(grounded['control'])}, told the answer {number(grounded['ceiling'])}, "
            f"n = {grounded['n']}",
        )


def _beside_the_person(metrics: Mapping[str, Any]) -> Iterator[Row]:
    calibration, diversity = metrics["calibration"], metrics["diversity"]
    for name, figure in (
        ("agreement in the length of replies", calibration["length"]),
        ("agreement in the use of emoji", calibration["emoji"]),
        ("different words per word", diversity["distinct1"]),
        ("different pairs of words per pair", diversity["distinct2"]),
        ("replies said more than once", diversity["repeated"]),
        ("answers in the language asked in", metrics["language"]),
    ):
        beside = f"the person {number(figure.get('human'))}, base {number(figure.get('base'))}"
        yield name, number(figure["value"]), interval(figure["ci95"]), beside


def _safety(safety: Mapping[str, Any]) -> Iterator[Row]:
    for name, asked in (("harmful", safety), ("harmless", safety.get("harmless"))):
        if not asked or asked["difference"]["value"] is None:
            continue
        yield (
            f"refusals of {name} requests, beyond the base",
            number(asked["difference"]["value"]),
            interval(asked["difference"]["ci95"]),
            f"twin {number(asked['twin'])}, base {number(asked['base'])}, n = {asked['n']}",
        )


def _delivery(template: Mapping[str, Any], latency: Mapping[str, Any]) -> Iterator[Row]:
    if template["ends"] is not None:
        bounds = interval(template["ends_ci95"])
        yield "replies that end by themselves", number(template["ends"]), bounds, template["words"]
    if latency["p50_ms"] is not None:
        yield (
            "time of a reply, ms",
            f"{latency['p50_ms']:.0f}",
            "",
            f"p95 {latency['p95_ms']:.0f} ms, {latency['tokens_per_s']:.0f} tokens/s, one by one",
        )


def _ablation(ablation: list[Mapping[str, Any]]) -> Iterator[Row]:
    for row in ablation:
        figures = [
            f"{words} {number(row[name])}"
            for name, words in ABLATION_WORDS.items()
            if name != "style_realism" and row[name] is not None
        ]
        if figures:
            realism = number(row["style_realism"])
            yield f"ablation, {row['system']}: style realism", realism, "", ", ".join(figures)


def _champion(champion: Mapping[str, Any] | None) -> Iterator[Row]:
    for name, part in (champion or {}).items():
        delta = part.get("delta") if isinstance(part, Mapping) else None
        if delta and delta["value"] is not None:
            words = f"{name.replace('_', ' ')}, twin minus champion"
            yield words, number(delta["value"]), interval(delta["ci95"]), "same contexts"
