"""The Dagster door of the room: registered, judged, and, when it passes, serving."""

from typing import Any

import dagster as dg
import psycopg

from twin_pipelines.evaluation import scorecard
from twin_pipelines.evaluation.store import evaluation, latest_evaluation
from twin_pipelines.foundation.markdown import markdown_table
from twin_pipelines.foundation.registry import register_version
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking
from twin_pipelines.instruct.store import dataset
from twin_pipelines.memory.store import load_candidates
from twin_pipelines.persona.identity.store import latest_identity
from twin_pipelines.promotion import store
from twin_pipelines.promotion.gate import judge
from twin_pipelines.promotion.parts import ReleaseParts, release_parts
from twin_pipelines.promotion.release import (
    admitted,
    promote,
    refresh_core_memories,
    sync_aliases,
    watch_refusals,
)
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training import blocks_store
from twin_pipelines.training import store as training
from twin_pipelines.training.staleness import stale_adapter
from twin_pipelines.training.staleness_store import changes_since


@dg.asset(
    deps=["evaluated_model", "core_identity"],
    group_name="promotion",
    kinds={"python", "mlflow", "postgres"},
    owners=["team:twin"],
    code_version="3",
)
def registered_model(
    context: dg.AssetExecutionContext, twin: TwinResource, tracking: MlflowTracking
) -> dg.MaterializeResult:
    """The evaluated adapter as a version in the model registry, with the gate's verdict in words.

    The version holds its own copy of weights, tokenizer and template; it is registered last, so
    that a killed run leaves none, or one that the next run finds. A challenger that is refused
    stays registered with the reason; the champion stays in force.
    """
    settings = twin.settings
    with twin.connect() as connection, tracking.client() as client:
        measured = latest_evaluation(connection)
        adapter = training.adapter(connection, measured.adapter_id) if measured else None
        if measured is None or adapter is None:
            raise TwinError("Nothing was evaluated yet; materialise evaluated_model first.")
        present = store.champion(connection)
        other = present if present and present.adapter_id != adapter.adapter_id else None
        rival = evaluation(connection, other.evaluation_id) if other and not other.blocked else None
        blocked = blocks_store.blocked_adapters(connection).get(adapter.adapter_id, "")
        verdict = judge(measured.metrics, settings.gate, rival.metrics if rival else None, blocked)
        figures = scorecard.headline(measured.metrics)
        parts = _parts(connection, settings, adapter)
        if present and other is None:
            version = present.model_version
        else:
            version = register_version(
                client,
                key=measured.evaluation_id,
                run_id=adapter.mlflow_run_id,
                source=settings.home / adapter.path / "adapter",
                tags=_tags(adapter, parts, figures),
                description=verdict.words,
            )
        release = store.save_release(
            connection,
            adapter_id=adapter.adapter_id,
            evaluation_id=measured.evaluation_id,
            model_version=version,
            verdict=verdict.as_dict(),
            parts=parts,
        )
        alarm = watch_refusals(connection, settings.automation.refusals_before_alert)
        connection.commit()
        sync_aliases(connection, client)
    if alarm:
        context.log.warning(alarm)
    log = context.log.info if verdict.passed else context.log.warning
    log(_told(release, verdict.words))
    return dg.MaterializeResult(
        metadata={
            "release": release.release_id,
            "model_version": release.model_version,
            "status": release.status,
            "persona_version": parts.persona["version"],
            "identity_version": parts.persona.get("identity_version", 0),
            "index_version": parts.retrieval["index_version"],
            "template_hash": parts.template_hash,
            "verdict": dg.MetadataValue.md(_conditions(verdict.as_dict())),
            **figures,
        }
    )


@dg.asset(
    deps=["registered_model", "core_candidates"],
    group_name="promotion",
    kinds={"python", "mlflow", "postgres"},
    owners=["team:twin"],
    code_version="1",
)
def promoted_model(
    context: dg.AssetExecutionContext, twin: TwinResource, tracking: MlflowTracking
) -> dg.MaterializeResult:
    """The release that serves: adapter and core memories, in force together.

    Runs only where the gate let the challenger pass. The champion before it is retired in the same
    transaction, and a rollback brings it back whole.
    """
    with twin.connect() as connection:
        judged = store.latest_release(connection)
        if judged is None:
            raise TwinError("Nothing was registered yet; materialise registered_model first.")
        memories = admitted(load_candidates(connection), twin.settings.memory)
        if judged.status == "retired":
            context.log.warning(
                f"Release {judged.release_id} was retired, so it is not promoted again by itself; "
                "new data or settings make a new challenger."
            )
            promoted = store.champion(connection)
        else:
            promoted = promote(connection, judged.release_id, memories)
        connection.commit()
        with tracking.client() as client:
            sync_aliases(connection, client)
        count = store.core_memory_count(connection)
        stale = promoted and stale_adapter(changes_since(connection, promoted.dataset_version))
    if promoted is None:
        raise TwinError("No release serves; materialise lora_adapter to make a new challenger.")
    changed = promoted.release_id == judged.release_id and judged.status == "challenger"
    context.log.info(
        f"Version {promoted.model_version} {'now serves' if changed else 'serves as before'}, "
        f"with {count} core memories"
    )
    return dg.MaterializeResult(
        metadata={
            "release": promoted.release_id,
            "model_version": promoted.model_version,
            "adapter_id": promoted.adapter_id,
            "base_model": promoted.base_model,
            "promoted": changed,
            "promoted_at": str(promoted.promoted_at),
            "stale": stale or "no",
            "may not answer": promoted.blocked or "it may",
            "core_memories": count,
            "verdict": dg.MetadataValue.md(_conditions(promoted.verdict)),
        }
    )


@dg.asset(
    deps=["promoted_model", "core_candidates"],
    group_name="promotion",
    kinds={"python", "postgres"},
    owners=["team:twin"],
    code_version="1",
)
def core_memories(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """What the serving release remembers first: important statements, with their messages.

    They came into force with the release. When only the candidates changed, the champion's are
    brought up to date, all or nothing.
    """
    settings = twin.settings
    with twin.connect() as connection:
        candidates = load_candidates(connection)
        refreshed = refresh_core_memories(connection, admitted(candidates, settings.memory))
        connection.commit()
        memories = store.core_memories(connection)
        present = store.champion(connection)
    context.log.info(
        f"{memories.height} core memories of {candidates.height} candidates are in force"
        + (", brought up to date" if refreshed else "")
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": memories.height,
            "candidates": candidates.height,
            "refreshed": refreshed,
            "release": present.release_id if present else "none",
            "threshold": settings.memory.core_threshold,
            "memories": dg.MetadataValue.md(_listed(memories.to_dicts())),
        }
    )


def _parts(
    connection: psycopg.Connection, settings: TwinSettings, adapter: training.Adapter
) -> ReleaseParts:
    """The parts of the adapter's release: the system prompt is the one it was taught with, the
    persona page the one in use."""
    taught = dataset(connection, adapter.dataset_version)
    return release_parts(
        settings,
        system_prompt=str((taught.settings if taught else {}).get("system_prompt", "")),
        identity=latest_identity(connection, taught.subject) if taught else None,
        adapter=settings.home / adapter.path / "adapter",
        base=(adapter.base_model, adapter.base_hash),
    )


def _tags(
    adapter: training.Adapter, parts: ReleaseParts, figures: dict[str, float]
) -> dict[str, str]:
    return {
        "adapter_id": adapter.adapter_id,
        "base_model": adapter.base_model,
        "base_sha256": adapter.base_hash,
        "dataset_version": adapter.dataset_version,
        "template_hash": parts.template_hash,
        "persona_version": parts.persona["version"],
        "index_version": parts.retrieval["index_version"],
        **{name: f"{value:.4f}" for name, value in figures.items()},
    }


def _told(release: store.Release, words: str) -> str:
    if release.status == "champion":
        return f"Version {release.model_version} is the champion already. {words}"
    return f"Version {release.model_version} is registered as {release.status}. {words}"


def _conditions(verdict: dict[str, Any]) -> str:
    rows = [(one["name"], _outcome(one), one["words"]) for one in verdict["conditions"]]
    return f"**{verdict['words']}**\n\n{markdown_table(rows, ('condition', 'passed', 'why'))}"


def _outcome(condition: dict[str, Any]) -> str:
    if not condition["passed"]:
        return "**no**"
    return "yes" if condition.get("judged", True) else "not judged"


def _listed(memories: list[dict[str, Any]]) -> str:
    rows = [
        (one["content"], one["title"], f"{one['importance']:.2f}", one["sessions"])
        for one in memories
    ]
    return markdown_table(rows, ("memory", "kind", "importance", "sessions"))
