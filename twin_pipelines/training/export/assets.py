"""Dagster's door to the export: an adapter becomes files, in a process of its own."""

import sys
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import psycopg
from pydantic import Field

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.foundation.markdown import markdown_table
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct.store import dataset
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training import store as training
from twin_pipelines.training.blocks_store import blocked_adapters
from twin_pipelines.training.config import ADAPTER
from twin_pipelines.training.export import store
from twin_pipelines.training.export.config import CODE_VERSION, KINDS, MANIFEST, ExportConfig
from twin_pipelines.training.export.manifest import COLUMNS, rows
from twin_pipelines.training.export.parity import NOT_VERIFIED, PASSED

TASKS = ".tasks"


class Wanted(dg.Config):
    """What one run exports. Empty: the adapter in force, the formats of the settings."""

    adapter_id: str = ""
    formats: list[str] = Field(default_factory=list)


@dg.asset(
    deps=["lora_adapter"],
    group_name="training",
    kinds={"python", "pytorch", "huggingface"},
    owners=["team:twin"],
    code_version=CODE_VERSION,
    pool="training",
)
def exported_model(
    context: dg.AssetExecutionContext,
    config: Wanted,
    twin: TwinResource,
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult:
    """The twin as files for other programs: merged safetensors, GGUF, Ollama Modelfiles.

    Each file is compared with the trained model in the same conversations: token ids, greedy text,
    log-probabilities. What is there already is used again; what cannot be made here is told in the
    manifest and in a warning. Only files that passed may be promoted or served.
    """
    with twin.connect() as connection:
        task = prepare(connection, twin.settings, config)
    folder = Path(task.output)
    _export(context, pipes, task, twin.settings.exports_dir / TASKS / f"{folder.name}.json")
    manifest = read_json(folder / MANIFEST)
    for kind, why in manifest["missing"].items():
        context.log.warning(f"{kind} was not made: {why}")
    if not manifest["artefacts"]:
        raise dg.Failure("; ".join(manifest["missing"].values()), allow_retries=False)
    exports = [
        _row(task.adapter_id, kind, artefact, folder.relative_to(twin.settings.home))
        for kind, artefact in manifest["artefacts"].items()
    ]
    with twin.connect() as connection:
        store.save_exports(connection, task.adapter_id, exports)
        connection.commit()
    return dg.MaterializeResult(metadata=_metadata(folder, manifest))


def prepare(connection: psycopg.Connection, settings: TwinSettings, wanted: Wanted) -> ExportConfig:
    """The export of the adapter asked for.

    Raises TwinError when it, or a format, is unknown, or it learnt what was erased since.
    """
    adapter = (
        training.adapter(connection, wanted.adapter_id)
        if wanted.adapter_id
        else training.latest_adapter(connection)
    )
    if adapter is None:
        name = f"adapter {wanted.adapter_id}" if wanted.adapter_id else "adapter"
        raise TwinError(f"There is no {name} to export; materialise lora_adapter first.")
    if erased := blocked_adapters(connection).get(adapter.adapter_id):
        raise TwinError(
            f"Adapter {adapter.adapter_id} is not exported: {erased}; `twin train` makes one "
            "without it."
        )
    formats = tuple(wanted.formats) or settings.export.formats
    unknown = [name for name in formats if name not in KINDS]
    if unknown:
        raise TwinError(f"{unknown[0]} is no format of an export; use {', '.join(KINDS)}.")
    base = resolve_model(adapter.base_model, settings, purpose="causal")
    if base.sha256 != adapter.base_hash:
        raise TwinError(
            f"The base {adapter.base_model} is not the one adapter {adapter.adapter_id} was "
            "trained on; restore it, or train again."
        )
    return ExportConfig(
        adapter_id=adapter.adapter_id,
        adapter=str(settings.home / adapter.path / ADAPTER),
        base_reference=base.reference,
        base_sha256=base.sha256,
        base=str(base.path),
        output=str(settings.exports_dir / adapter.adapter_id),
        formats=formats,
        dtype=settings.export.dtype,
        llama_cpp=str(settings.export.llama_cpp or ""),
        tools=str(settings.models_dir),
        system=_taught(connection, adapter.dataset_version),
        temperature=settings.evaluation.temperature,
        top_p=settings.evaluation.top_p,
    )


def _taught(connection: psycopg.Connection, version: str) -> str:
    """The system prompt the adapter was trained with."""
    made_from = dataset(connection, version)
    if made_from is None:
        raise TwinError(f"The dataset {version} of the adapter is not recorded; train again.")
    return str(made_from.settings.get("system_prompt", ""))


def _export(
    context: dg.AssetExecutionContext,
    pipes: dg.PipesSubprocessClient,
    task: ExportConfig,
    path: Path,
) -> None:
    module = "twin_pipelines.training.export.run"
    command = [sys.executable, "-m", module, "--config", str(task.save(path))]
    invocation = pipes.run(context=context, command=command)
    for message in invocation.get_custom_messages():
        raise dg.Failure(message["error"], allow_retries=False)


def _row(adapter_id: str, kind: str, artefact: dict[str, Any], folder: Path) -> store.Export:
    verdict = artefact["parity"]["verdict"]
    return store.Export(
        adapter_id=adapter_id,
        kind=kind,
        path=PurePosixPath(folder / artefact["path"]),
        sha256=artefact["sha256"],
        bytes=artefact["bytes"],
        parity=artefact["parity"],
        passed=None if verdict == NOT_VERIFIED else verdict == PASSED,
        created_at=datetime.fromisoformat(artefact["created_at"]),
    )


def _metadata(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    artefacts = manifest["artefacts"]
    return {
        "adapter_id": manifest["adapter_id"],
        "base_model": manifest["base_model"],
        "dagster/row_count": len(artefacts),
        "bytes": sum(artefact["bytes"] for artefact in artefacts.values()),
        "passed": sum(one["parity"]["verdict"] == PASSED for one in artefacts.values()),
        "parity": dg.MetadataValue.md(markdown_table(list(rows(manifest)), COLUMNS)),
        "folder": dg.MetadataValue.path(folder),
    }
