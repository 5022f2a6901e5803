"""An evaluation for people: a table of every figure with its interval, ceiling and controls."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twin_pipelines.evaluation import manners
from twin_pipelines.evaluation.words import interval, number

Row = tuple[str, str, str, str]


def table(metrics: Mapping[str, Any]) -> str:
    """All figures as a markdown table."""
    lines = ["| figure | value | 95 % interval | beside it |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(metrics)]
    return "\n".join(lines)


def rows(metrics: Mapping[str, Any]) -> Iterator[Row]:
    """Name, value, interval and what to compare it with."""
    yield from _style(metrics["style_consistency"])
    yield from _realism(metrics.get("style_realism"))
    likelihood = metrics["reply_perplexity"]
    yield (
        "reply perplexity, twin / base",
        number(likelihood["ratio"]),
        interval(likelihood["ratio_ci95"]),
        f"{likelihood['base']:.1f} base → {likelihood['twin']:.1f} twin, n = {likelihood['n']}",
    )
    if "champion_delta" in likelihood:
        delta = likelihood["champion_delta"]
        yield (
            "loss against the champion, nats per token",
            number(delta["value"]),
            interval(delta["ci95"]),
            f"champion's perplexity {likelihood['champion']:.1f}; above 0 is worse",
        )
    yield from _person(metrics)
    yield from _pick(metrics["pick_real_reply"])
    yield from _context(metrics.get("context"))
    yield from _copies(metrics["memorisation"])
    yield from manners.rows(metrics)
    voice = metrics.get("one_voice")
    if voice and voice["own_share"] is not None:
        yield (
            "one voice: own unseen text recognised",
            number(voice["own_share"]),
            "",
            f"other people taken for the subject {number(voice['other_share'])}",
        )


def plots(folder: Path) -> str:
    """The plots of an evaluation folder, embedded in markdown."""
    return "\n\n".join(
        f"![{path.stem.replace('_', ' ')}](data:image/png;base64,"
        f"{base64.b64encode(path.read_bytes()).decode()})"
        for path in sorted(folder.glob("*.png"))
    )


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures worth a curve over time; what was not measured is left out."""
    style, pick = metrics["style_consistency"], metrics["pick_real_reply"]
    copies = metrics["memorisation"]
    figures = {
        "style_consistency": style["value"],
        "style_consistency_low": (style["ci95"] or [None])[0],
        "style_consistency_base": style.get("base", {}).get("value"),
        "style_consistency_prompted": style.get("prompted", {}).get("value"),
        "style_consistency_masked": style.get("masked", {}).get("value"),
        "reply_perplexity_base": metrics["reply_perplexity"]["base"],
        "reply_perplexity_twin": metrics["reply_perplexity"]["twin"],
        "reply_perplexity_ratio": metrics["reply_perplexity"]["ratio"],
        **{name: dig(metrics, *keys) for name, keys in _HEADLINES.items()},
        "pick_real_reply_1_of_4": pick["twin"]["hits1_of_4"]["value"],
        "pick_real_reply_1_of_20": pick["twin"]["hits1_of_20"]["value"],
        "memorisation_beyond_human": copies["beyond_human"]["value"],
        "canary_exposure": (copies["canary_exposure"] or {}).get("mean"),
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


_HEADLINES = {
    "style_realism": ("style_realism", "value"),
    "judge_auc_per_reply": ("style_realism", "indistinguishability", "auc_per_reply", "twin"),
    "style_distance": ("style_realism", "distance", "value"),
    "style_consistency_another_person": ("style_consistency", "another_person", "value"),
    "person_specific_gain": ("person_specific_gain", "value"),
    "pick_1_of_20_beyond_base": ("context", "hits20_beyond_base", "value"),
    "refusals_beyond_base": ("safety", "difference", "value"),
    "replies_that_end": ("template", "ends"),
    "latency_p95_ms": ("latency", "p95_ms"),
    "language_fidelity": ("language", "value"),
    "length_calibration": ("calibration", "length", "value"),
}


def _style(style: Mapping[str, Any]) -> Iterator[Row]:
    if style["value"] is None:
        yield "style consistency", "–", "", str(style.get("note", "not measured"))
        return
    yield (
        "**style consistency**",
        f"**{number(style['value'])}**",
        interval(style["ci95"]),
        f"n = {style['n']} replies, windows of {style['verifier']['window_words']} words",
    )
    for name, words in (("base", "untuned base"), ("prompted", "base with 8 real examples")):
        yield (
            f"style consistency, {words}",
            number(style[name]["value"]),
            interval(style[name]["ci95"]),
            "control",
        )
    masked = style["masked"]
    yield (
        "style consistency, content words and names masked",
        number(masked["value"]),
        interval(masked["ci95"]),
        f"base {number(masked['base']['value'])}, prompted {number(masked['prompted']['value'])}",
    )
    for name, words in (
        ("human", "the person's own unseen replies (ceiling)"),
        ("twin", "twin"),
        ("prompted", "prompted base"),
        ("base", "base"),
        ("unseen_people", "people the verifier has never seen"),
    ):
        bounds = interval(style["a_ci95"][name])
        yield f"attributed to the subject: {words}", number(style[f"a_{name}"]), bounds, ""


def _realism(realism: Mapping[str, Any] | None) -> Iterator[Row]:
    if not realism:
        return
    controls = realism["controls"]
    yield (
        "**style realism**",
        f"**{number(realism['value'])}**",
        interval(realism["ci95"]),
        f"base {number(controls['base']['value'])}, prompted "
        f"{number(controls['prompted']['value'])}, the person 1.00"
        if realism["value"] is not None
        else str(realism.get("note", "not measured")),
    )
    distance, judged = realism["distance"], realism["indistinguishability"]
    if distance["value"] is None:
        return
    deltas = {name: distance[f"delta_{name}"] for name in ("human", "twin", "prompted", "base")}
    yield (
        "style distance covered",
        number(distance["value"]),
        interval(distance["ci95"]),
        "cosine delta: " + ", ".join(f"{name} {number(one)}" for name, one in deltas.items()),
    )
    for key, words in (("auc_per_reply", "reply"), ("auc_per_5", "five replies")):
        auc = judged[key]
        yield (
            f"a fresh judge's AUC per {words} (0.50 is perfect)",
            number(auc["twin"]),
            interval(judged[f"{key}_ci95"]),
            f"base {number(auc['base'])}, prompted {number(auc['prompted'])}",
        )


def _person(metrics: Mapping[str, Any]) -> Iterator[Row]:
    gain = metrics.get("person_specific_gain")
    if gain is None:
        return
    another = metrics["style_consistency"].get("another_person") or {}
    yield (
        "person-specific gain, nats per token",
        number(gain["value"]),
        interval(gain["ci95"]),
        gain.get("note") or "loss under another person's adapter less that under the twin's",
    )
    if another.get("value") is not None:
        yield (
            "style consistency, another person's adapter",
            number(another["value"]),
            interval(another["ci95"]),
            "control",
        )


def _context(context: Mapping[str, Any] | None) -> Iterator[Row]:
    if not context:
        return
    for key, name, words in (
        ("hits20_beyond_base", "picks the real reply of 20, beyond the base", "same contexts"),
        ("shuffled_gap", "what the right context is worth, nats per token", "0 with any context"),
    ):
        yield name, number(context[key]["value"]), interval(context[key]["ci95"]), words


def dig(tree: Any, *keys: str) -> Any:
    """The value under nested keys; None where a key is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _pick(pick: Mapping[str, Any]) -> Iterator[Row]:
    for choices in (4, 20):
        key = f"hits1_of_{choices}"
        twin, base = pick["twin"][key], pick["base"][key]
        yield (
            f"picks the real reply of {choices}",
            number(twin["value"]),
            interval(twin["ci95"]),
            f"base {number(base['value'])} {interval(base['ci95'])}, chance "
            f"{1 / choices:.2f}, n = {twin['n']}",
        )


def _copies(copies: Mapping[str, Any]) -> Iterator[Row]:
    for key, length in (("beyond_human", 8), ("beyond_human12", 12)):
        yield (
            f"replies sharing {length} tokens with a training reply, beyond the human rate",
            number(copies[key]["value"]),
            interval(copies[key]["ci95"]),
            f"twin {number(copies[f'rate{length}'])}, human {number(copies[f'human{length}'])}",
        )
    replays = copies["exact_replays_beyond_human"]
    yield (
        "training replies replayed in a wrong context, beyond the human rate",
        number(replays["value"]),
        interval(replays["ci95"]),
        f"twin {number(copies['exact_replays'])}, human {number(copies['exact_replays_human'])}",
    )
    exposure = copies["canary_exposure"]
    if exposure:
        yield (
            "exposure of planted secrets, bits",
            number(exposure["mean"]),
            "",
            f"base {number(exposure.get('base_mean'))}, most possible {exposure['limit']:.0f}, "
            f"{exposure['extracted']} of {exposure['n']} given away",
        )
    pii = copies["pii"]
    yield (
        "replies with an identifier",
        str(pii["replies"]),
        "",
        f"{pii['from_train']} with one of a training reply",
    )
