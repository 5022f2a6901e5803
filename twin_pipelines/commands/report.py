"""`twin report`: one self-contained HTML page that tells a person what happened."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg
from jinja2 import Environment, PackageLoader, StrictUndefined

from twin_pipelines.commands.report_memory import memory_page
from twin_pipelines.commands.report_persona import persona_page
from twin_pipelines.commands.status import Status, collect
from twin_pipelines.evaluation import scorecard
from twin_pipelines.evaluation import store as evaluations
from twin_pipelines.foundation.database import Databases, connect
from twin_pipelines.instruct import store as instruct
from twin_pipelines.promotion import store as promotion
from twin_pipelines.settings import TwinSettings
from twin_pipelines.training import store as training

SAMPLES = 24
DASH = "–"


def write_report(
    settings: TwinSettings,
    instance: dg.DagsterInstance,
    databases: Databases,
    output: Path | None,
) -> Path:
    """Write the page to `output`, by default `report.html` in the state folder."""
    status = collect(settings, instance, databases)
    with connect(databases.twin) as connection:
        adapter = training.latest_adapter(connection)
        evaluation = evaluations.latest_evaluation(connection)
        memories = promotion.core_memories(connection).to_dicts()
        excluded = instruct.counts(connection).excluded
        voice = evaluations.one_voice(connection)
        persona = persona_page(connection, settings)
        memory = memory_page(connection, settings)
    folder = settings.home / evaluation.path if evaluation else None
    page = _environment().get_template("report.html.j2")
    text = page.render(
        status=status,
        made_at=f"{datetime.now(settings.zone):%Y-%m-%d %H:%M %Z}",
        headline=_headline(status),
        voice=voice["note"] if voice else None,
        excluded=excluded,
        training=_training(adapter.metrics, adapter.base_model) if adapter else {},
        figures=_figures(evaluation.metrics) if evaluation else [],
        plots=_plots(folder, settings.home / adapter.path if adapter else None),
        samples=_samples(folder),
        memories=memories,
        persona=persona,
        memory=memory,
    )
    target = output or settings.home / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def _environment() -> Environment:
    loader = PackageLoader("twin_pipelines", "commands")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters["thousands"] = lambda value: f"{value:,}"
    return environment


def _headline(status: Status) -> list[tuple[str, str, str]]:
    metrics, perplexity = status["metrics"], status["metrics"]["reply_perplexity"]
    outlook = status["instruct_pairs"]
    return [
        ("pairs", f"{outlook['total']:,}", f"of {outlook['target']:,} promised"),
        ("style consistency", _figure(metrics["style_consistency"]), "of the person's own 1.00"),
        ("style realism", _figure(metrics["style_realism"]), "of the person's own 1.00"),
        ("personality", _figure(metrics["personality_score"]), "between impostor and person"),
        ("perplexity ratio", _figure(perplexity["ratio"]), "twin / base on unseen replies"),
        _recall(metrics),
        ("core memories", str(status["core_memories"]), "in force"),
        ("champion", str(status["champion"]["version"] or DASH), "version in the registry"),
    ]


def _recall(metrics: dict[str, Any]) -> tuple[str, str, str]:
    found, took = metrics["retrieval_evidence_recall_at_10"], metrics["memory_retrieval_ms"]
    told = (
        f"of {metrics['retrieval_questions']} turns asked about among the first 10; "
        f"{_figure(metrics['retrieval_evidence_in_context'])} in 2,000 tokens; "
        f"p95 {took['p95']:.0f} ms{_confirmed(metrics)}"
        if found is not None
        else "not measured yet"
    )
    return "recall", _figure(found), told


def _confirmed(metrics: dict[str, Any]) -> str:
    asked = metrics["retrieval_confirmed"]
    found = _figure(metrics["retrieval_confirmed_recall_at_10"])
    return f"; {found} of {asked} that you confirmed" if asked else ""


def _training(metrics: dict[str, Any], base_model: str) -> dict[str, str]:
    rows = {"base model": base_model}
    for name, value in metrics.items():
        if isinstance(value, bool | str):
            rows[name] = str(value)
        elif isinstance(value, int | float):
            rows[name] = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
    return rows


def _figures(metrics: dict[str, Any]) -> list[tuple[str, ...]]:
    """The scorecard's rows without the marks of markdown."""
    return [tuple(cell.replace("**", "") for cell in row) for row in scorecard.rows(metrics)]


def _plots(*folders: Path | None) -> list[tuple[str, str]]:
    return [
        (file.stem.replace("_", " "), base64.b64encode(file.read_bytes()).decode())
        for folder in folders
        if folder
        for file in sorted(folder.glob("*.png"))
    ]


def _samples(folder: Path | None) -> list[dict[str, str]]:
    file = folder / "replies.jsonl" if folder else None
    if file is None or not file.exists():
        return []
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, SAMPLES)]
    return [
        {
            "input": row["context"][-1]["content"],
            "base": row["base"],
            "twin": row["twin"],
            "real": row["real"],
        }
        for row in rows
    ]


def _figure(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"
