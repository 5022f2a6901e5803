"""The blind comparison: which of three replies is the person's own?

Real, twin and base answered the same unseen context. They are shown in an order drawn for each
context, which the page never learns; the mapping stays here. What is picked becomes a figure.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from twin_pipelines.evaluation.bootstrap import Floats, mean, ratio, resamples
from twin_pipelines.evaluation.store import latest_evaluation
from twin_pipelines.generation.prompt import Message
from twin_pipelines.serving import store
from twin_pipelines.serving.store import BlindChoice, Source
from twin_pipelines.settings import Evaluation, TwinError

SOURCES: tuple[Source, ...] = ("real", "twin", "base")
REPLIES = "replies.jsonl"


@dataclass(frozen=True)
class Item:
    """One context and its three replies; `shown` is the order on the page."""

    pair_id: str
    context: tuple[Message, ...]
    texts: dict[Source, str]
    shown: tuple[Source, ...]


def read_items(folder: Path, evaluation_id: str) -> list[Item]:
    """The contexts of an evaluation's folder, in an order drawn by its identity.

    A context to which two of the three said the same is left out: there is nothing to tell apart.
    Raises TwinError when the folder holds no replies.
    """
    file = folder / REPLIES
    if not file.is_file():
        raise TwinError(f"There are no replies in {file}; run `twin train` to measure anew.")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    items = [_item(row, evaluation_id) for row in rows]
    kept = [item for item in items if len({_bare(text) for text in item.texts.values()}) == 3]
    return sorted(kept, key=lambda item: _drawn(evaluation_id, item.pair_id))


def blind_figures(choices: Sequence[BlindChoice], *, times: int, seed: int) -> dict[str, Any]:
    """What the choices say, with 95 % bootstrap intervals over contexts.

    `picked`: the share of decided choices that took each source for the real one (chance 1/3).
    `fooling`: how often the twin was picked where twin or real was, doubled: 1 when the twin is
    taken for the person as often as the person is, 0 when never. Undecided choices are counted in
    `unsure`. A figure without a choice to stand on is null.
    """
    decided = [choice.chosen for choice in choices if choice.chosen != "unsure"]
    nothing = {"value": None, "ci95": None, "n": 0}
    figures: dict[str, Any] = {
        "n": len(choices),
        "unsure": len(choices) - len(decided),
        "chance": 1 / len(SOURCES),
        "picked": dict.fromkeys(SOURCES, nothing),
        "fooling": nothing,
        "seconds": median(choice.seconds for choice in choices) if choices else None,
    }
    if not decided:
        return figures
    counts = resamples(len(decided), times, seed)
    hits = {source: [float(chosen == source) for chosen in decided] for source in SOURCES}
    figures["picked"] = {source: mean(hits[source], counts).as_dict() for source in SOURCES}
    if any(hits["twin"]) or any(hits["real"]):
        figures["fooling"] = _fooling(hits["twin"], hits["real"], counts)
    return figures


def blind_report(connection: psycopg.Connection, settings: Evaluation) -> dict[str, Any] | None:
    """The figures of the current evaluation's choices; None while nothing was chosen."""
    measured = latest_evaluation(connection)
    made = store.choices(connection, measured.evaluation_id) if measured else []
    if not made:
        return None
    return blind_figures(made, times=settings.bootstrap, seed=settings.seed)


def _fooling(twin: Sequence[float], real: Sequence[float], counts: Floats) -> dict[str, Any]:
    either = [a + b for a, b in zip(twin, real, strict=True)]
    estimate = ratio([2 * picked for picked in twin], either, counts)
    return {**estimate.as_dict(), "n": int(sum(either))}


def _item(row: dict[str, Any], evaluation_id: str) -> Item:
    order = list(SOURCES)
    random.Random(_drawn(evaluation_id, f"order of {row['pair_id']}")).shuffle(order)
    return Item(
        pair_id=row["pair_id"],
        context=tuple(row["context"]),
        texts={source: row[source] for source in SOURCES},
        shown=tuple(order),
    )


def _bare(text: str) -> str:
    return " ".join(text.split()).casefold()


def _drawn(evaluation_id: str, name: str) -> str:
    return hashlib.sha256(f"{evaluation_id}/{name}".encode()).hexdigest()
