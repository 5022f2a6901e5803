"""`twin status`: where the twin stands, as one dictionary, and as a scoreboard for a terminal.

A figure that was not measured is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg
import psycopg
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from twin_pipelines.commands.promote import standing, standing_lines
from twin_pipelines.embeddings import store as embeddings
from twin_pipelines.features import store as features
from twin_pipelines.foundation.database import Databases, connect
from twin_pipelines.instruct import store as instruct
from twin_pipelines.instruct.outlook import pairs_outlook
from twin_pipelines.memory import store as memory
from twin_pipelines.persona.identity import store as identities
from twin_pipelines.promotion import store as promotion
from twin_pipelines.retrieval.figures_store import latest_figures
from twin_pipelines.serving.blind import blind_report
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources import store as sources
from twin_pipelines.sources.capture import capture_store as capture

Status = dict[str, Any]

_SHOWN_LETTERS = 5  # rows set aside that a terminal shows


def collect(settings: TwinSettings, instance: dg.DagsterInstance, databases: Databases) -> Status:
    """Everything `twin status --json` prints; the keys are promised to other tools."""
    with connect(databases.twin) as connection:
        return {
            **_data(connection, settings),
            **_remembered(connection),
            **_release(connection),
            **standing(connection, settings),
            "blind": blind_report(connection, settings.evaluation),
            "checks": checks(instance),
        }


def _data(connection: psycopg.Connection, settings: TwinSettings) -> Status:
    subject = sources.stored_subject(connection)
    raw = sources.counts(connection)
    cleaned = features.cleaning_counts(connection)
    outlook = pairs_outlook(connection, settings)
    dataset = instruct.latest_dataset(connection)
    return {
        "subject": {
            "speaker": subject.speaker if subject else None,
            "name": subject.name if subject else None,
            "chosen_by": subject.chosen_by if subject else None,
        },
        "sources": sources.source_rows(connection),
        "imports": sources.import_summary(connection),
        "feeds": capture.feed_summary(connection).to_dicts(),
        "set_aside": capture.waiting_letters(connection).to_dicts(),
        "messages": {
            "raw": raw.messages,
            "first_day": raw.first_day,
            "last_day": raw.last_day,
            "cleaned": cleaned.turns,
            "sessions": cleaned.sessions,
            "conversations": cleaned.conversations,
            "one_speaker_conversations": cleaned.one_speaker_conversations,
            "languages": cleaned.languages,
            "dropped": cleaned.dropped,
            "embedded_fraction": embeddings.embedded_fraction(connection),
        },
        "instruct_pairs": {
            "total": outlook.total,
            "target": outlook.target,
            "missing": outlook.missing,
            "per_month": outlook.per_month,
            "months_left": outlook.months_left,
            "shared_account": outlook.shared_account,
            "words": outlook.words,
            "advice": list(outlook.advice),
        },
        "dataset": {
            "version": dataset.version if dataset else None,
            "train": dataset.train if dataset else None,
            "validation": dataset.validation if dataset else None,
            "test": dataset.test if dataset else None,
        },
    }


def _remembered(connection: psycopg.Connection) -> Status:
    found: dict[str, dict[str, int]] = {}
    for row in memory.memory_counts(connection).iter_rows(named=True):
        found.setdefault(row["status"], {})[row["type"]] = row["memories"]
    subject = sources.stored_subject(connection)
    page = identities.latest_identity(connection, subject.speaker) if subject else None
    return {
        "memories": found,
        "core_identity": {
            "version": page.version if page else None,
            "tokens": page.tokens if page else None,
            "edited": page.edited if page else None,
        },
    }


def _release(connection: psycopg.Connection) -> Status:
    champion = promotion.champion(connection)
    judged = promotion.latest_release(connection)
    figures = promotion.latest_metrics(connection) or {}
    return {
        "core_memories": promotion.core_memory_count(connection),
        "champion": {
            "version": champion.model_version if champion else None,
            "base_model": champion.base_model if champion else None,
            "promoted_at": champion.promoted_at if champion else None,
        },
        "gate": {
            "passed": judged.verdict["passed"] if judged else None,
            "words": judged.verdict["words"] if judged else None,
            "conditions": judged.verdict["conditions"] if judged else [],
        },
        "metrics": {
            "style_consistency": _dig(figures, "style_consistency", "value"),
            "style_consistency_ci95": _dig(figures, "style_consistency", "ci95"),
            "style_consistency_base": _dig(figures, "style_consistency", "base", "value"),
            "style_consistency_prompted": _dig(figures, "style_consistency", "prompted", "value"),
            "style_realism": _dig(figures, "style_realism", "value"),
            "style_realism_ci95": _dig(figures, "style_realism", "ci95"),
            "judge_auc_per_reply": _dig(
                figures, "style_realism", "indistinguishability", "auc_per_reply", "twin"
            ),
            "person_specific_gain": _dig(figures, "person_specific_gain", "value"),
            "person_specific_gain_ci95": _dig(figures, "person_specific_gain", "ci95"),
            "personality_score": _dig(figures, "personality", "value"),
            "personality_score_ci95": _dig(figures, "personality", "ci95"),
            "personality_parts": {
                part: _dig(figures, "personality", "parts", part, "value")
                for part in ("traits", "preferences", "facts", "manner")
            },
            "reply_perplexity": {
                "base": _dig(figures, "reply_perplexity", "base"),
                "twin": _dig(figures, "reply_perplexity", "twin"),
                "ratio": _dig(figures, "reply_perplexity", "ratio"),
                "ratio_ci95": _dig(figures, "reply_perplexity", "ratio_ci95"),
            },
            "pick_real_reply_hits1_of_20": {
                "base": _dig(figures, "pick_real_reply", "base", "hits1_of_20", "value"),
                "twin": _dig(figures, "pick_real_reply", "twin", "hits1_of_20", "value"),
            },
            "memorisation_rate": _dig(figures, "memorisation", "beyond_human", "value"),
            **_searched(connection),
        },
    }


def _searched(connection: psycopg.Connection) -> Status:
    """How well and how fast the history is searched, as it was measured last."""
    found = latest_figures(connection)
    asked = bool(found and found.questions)
    return {
        "retrieval_evidence_recall_at_10": found.recall_at_10 if found else None,
        "retrieval_evidence_recall_at_10_ci95": [found.ci_low, found.ci_high]
        if found and asked
        else None,
        "retrieval_evidence_in_context": found.evidence if found else None,
        "retrieval_questions": found.questions if found else None,
        "memory_retrieval_ms": {
            "p50": found.p50_ms if found else None,
            "p95": found.p95_ms if found else None,
        },
    }


def checks(instance: dg.DagsterInstance) -> Status:
    """The latest evaluation of every asset check: counts, and what the failing ones say."""
    from twin_pipelines.definitions import defs

    keys = list(defs.resolve_asset_graph().asset_check_keys)
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    passed, failing = 0, {}
    for key, record in records.items():
        event = record.event.dagster_event if record.event else None
        if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        evaluation = event.asset_check_evaluation_data
        if evaluation.passed:
            passed += 1
        else:
            failing[f"{key.asset_key.to_user_string()}.{key.name}"] = evaluation.description
    return {"passed": passed, "failed": len(failing), "failing": failing}


def scoreboard(status: Status) -> RenderableType:
    """The status for people."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in _lines(status):
        table.add_row(name, value)
    gate = status["gate"]
    parts: list[RenderableType] = [table]
    if gate["passed"] is not None:
        colour = "green" if gate["passed"] else "red"
        parts.append(Text(f"Gate: {gate['words']}", style=colour))
    parts += [Text(line, style="yellow") for line in standing_lines(status)]
    parts += [
        Text(f"Check {name} failed: {words or 'see the web UI'}", style="yellow")
        for name, words in status["checks"]["failing"].items()
    ]
    return Group(*parts)


def _lines(status: Status) -> Iterable[tuple[str, str]]:
    messages, metrics = status["messages"], status["metrics"]
    subject, dataset = status["subject"], status["dataset"]
    yield "subject", f"{subject['name'] or '–'} ({subject['chosen_by'] or 'nobody chosen yet'})"
    yield (
        "messages",
        f"{messages['raw']:,} raw, {messages['cleaned']:,} turns in {messages['sessions']:,} "
        f"sessions, {_percent(messages['embedded_fraction'])} embedded",
    )
    if messages["dropped"]:
        dropped = ", ".join(f"{rows:,} {why}" for why, rows in messages["dropped"].items())
        yield "dropped", dropped
    if messages["one_speaker_conversations"]:
        count = messages["one_speaker_conversations"]
        yield "monologues", f"{count:,} conversations have one speaker and give no pairs"
    for feed in status["feeds"]:
        state = feed["problem"] or f"{feed['touched_days']} days wait to be derived"
        yield "followed", f"{feed['location']}: {feed['lag_bytes']:,} bytes behind; {state}"
    for letter in status["set_aside"][:_SHOWN_LETTERS]:
        yield "", f"set aside: {letter['source']} {letter['key'][:8]}: {letter['reason']}"
    imports = status["imports"]
    if imports["rejected"] or imports["repaired"]:
        yield "import", f"{imports['rejected']:,} rows rejected, {imports['repaired']:,} repaired"
        for problem in imports["problems"]:
            yield "", f"{problem['rows']:,} {problem['action']}: {problem['reason']}"
    yield "pairs", status["instruct_pairs"]["words"]
    if dataset["version"]:
        yield (
            "dataset",
            f"{dataset['version']}: {dataset['train']:,} train, {dataset['validation']:,} "
            f"validation, {dataset['test']:,} test",
        )
    yield from _figure_lines(metrics)
    if status["blind"]:
        picked = status["blind"]["picked"]
        shares = ", ".join(f"{who} {_figure(share['value'])}" for who, share in picked.items())
        yield "blind test", f"picked as real of {status['blind']['n']}: {shares}"
    champion = status["champion"]
    if champion["version"]:
        yield "champion", f"version {champion['version']} on {champion['base_model']}"
    if status["memories"]:
        recalled = status["memories"].get("active", {})
        kinds = ", ".join(f"{count:,} {kind.replace('_', '-')}" for kind, count in recalled.items())
        others = {one: sum(n.values()) for one, n in status["memories"].items() if one != "active"}
        aside = "".join(f"; {count:,} {state}" for state, count in others.items())
        yield "memories", f"{kinds or 'none active'}{aside}"
    yield "core memories", str(status["core_memories"])
    page = status["core_identity"]
    if page["version"]:
        edited = ", edited by you" if page["edited"] else ""
        yield "persona page", f"version {page['version']}, {page['tokens']} tokens{edited}"
    yield "checks", f"{status['checks']['passed']} passed, {status['checks']['failed']} failed"


def _figure_lines(metrics: Status) -> Iterable[tuple[str, str]]:
    perplexity = metrics["reply_perplexity"]
    if perplexity["ratio"] is not None:
        yield (
            "perplexity",
            f"{perplexity['base']:.1f} base → {perplexity['twin']:.1f} twin, ratio "
            f"{perplexity['ratio']:.2f} {_interval(perplexity['ratio_ci95'])} on unseen replies",
        )
    if metrics["style_consistency"] is not None:
        yield (
            "style consistency",
            f"{metrics['style_consistency']:.2f} {_interval(metrics['style_consistency_ci95'])}; "
            f"base {_figure(metrics['style_consistency_base'])}, "
            f"prompted base {_figure(metrics['style_consistency_prompted'])}",
        )
    if metrics["style_realism"] is not None:
        yield (
            "style realism",
            f"{metrics['style_realism']:.2f} {_interval(metrics['style_realism_ci95'])}; a judge "
            f"tells single replies apart with AUC {_figure(metrics['judge_auc_per_reply'])}",
        )
    if metrics["person_specific_gain"] is not None:
        yield (
            "person-specific gain",
            f"{metrics['person_specific_gain']:.2f} nats a token "
            f"{_interval(metrics['person_specific_gain_ci95'])} over another person's twin",
        )
    if metrics["personality_score"] is not None:
        parts = ", ".join(
            f"{part} {_figure(value)}" for part, value in metrics["personality_parts"].items()
        )
        yield (
            "personality",
            f"{metrics['personality_score']:.2f} {_interval(metrics['personality_score_ci95'])}: "
            f"{parts}",
        )
    if metrics["retrieval_evidence_recall_at_10"] is not None:
        took = metrics["memory_retrieval_ms"]
        yield (
            "recall",
            f"{_percent(metrics['retrieval_evidence_recall_at_10'])} of "
            f"{metrics['retrieval_questions']} turns asked about among the first 10 "
            f"{_interval(metrics['retrieval_evidence_recall_at_10_ci95'])}, "
            f"{_percent(metrics['retrieval_evidence_in_context'])} in 2,000 tokens; "
            f"{took['p50']:.0f} ms, p95 {took['p95']:.0f} ms",
        )
    pick = metrics["pick_real_reply_hits1_of_20"]
    if pick["twin"] is not None:
        yield "picks the real reply", f"{pick['twin']:.2f} of 20; base {_figure(pick['base'])}"
    if metrics["memorisation_rate"] is not None:
        rate = _percent(metrics["memorisation_rate"])
        yield "memorisation", f"{rate} of the replies share 8 tokens, beyond the human rate"


def _dig(tree: Status, *keys: str) -> Any:
    for key in keys:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)  # type: ignore[assignment]
    return tree


def _interval(bounds: list[float] | None) -> str:
    return f"[{bounds[0]:.2f}–{bounds[1]:.2f}]" if bounds else ""


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
