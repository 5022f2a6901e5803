"""`twin status`: where the twin stands, as one dictionary.

A figure that was not measured is None, never a guess.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import psycopg

from twin_pipelines.automation.alerts_store import undelivered
from twin_pipelines.automation.drop_store import set_aside
from twin_pipelines.automation.erasure.erasure_store import summary
from twin_pipelines.commands.promote import standing
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
from twin_pipelines.sources.capture.letters_store import waiting_letters
from twin_pipelines.sources.sync import store as syncs
from twin_pipelines.training.staleness import stale_adapter
from twin_pipelines.training.staleness_store import changes_since

Status = dict[str, Any]


def collect(settings: TwinSettings, instance: dg.DagsterInstance, databases: Databases) -> Status:
    """Everything `twin status --json` prints; the keys are promised to other tools."""
    with connect(databases.twin) as connection:
        return {
            **_data(connection, settings),
            **_remembered(connection),
            **_release(connection),
            **standing(connection, settings),
            "untold": [
                {"channel": name, "problem": problem, "waiting": waiting}
                for name, problem, waiting in undelivered(connection)
            ],
            "drop_folder": {"set_aside": set_aside(connection)},
            "erasures": summary(connection),
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
        "set_aside": waiting_letters(connection).to_dicts(),
        "syncs": syncs.summary(connection),
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
            "stale": changes_since(connection, dataset.version).words or None if dataset else None,
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
            "stale": _stale(connection, champion) if champion else None,
            "blocked": champion.blocked or None if champion else None,
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


def _stale(connection: psycopg.Connection, champion: promotion.Release) -> str | None:
    return stale_adapter(changes_since(connection, champion.dataset_version)) or None


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
        "retrieval_confirmed": found.confirmed if found else None,
        "retrieval_confirmed_recall_at_10": found.confirmed_recall if found else None,
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


def _dig(tree: Status, *keys: str) -> Any:
    for key in keys:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)  # type: ignore[assignment]
    return tree
