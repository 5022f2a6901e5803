"""What must be true of an export: whole files, and each behaves as the trained model."""

from pathlib import Path
from typing import Any

import dagster as dg

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinError
from twin_pipelines.training.export import store
from twin_pipelines.training.export.config import (
    ADAPTER_GGUF,
    F16,
    MANIFEST,
    Q4,
    Q4_K_M,
    Q8,
    SAFETENSORS,
)
from twin_pipelines.training.export.manifest import changed_files
from twin_pipelines.training.export.parity import FAILED, PASSED


@dg.asset_check(asset="exported_model", blocking=True)
def export_is_whole(twin: TwinResource) -> dg.AssetCheckResult:
    """Every file of the export has the hash its manifest records, and so has its row."""
    folder, manifest, rows = _export(twin)
    artefacts = manifest["artefacts"]
    changed = [
        name for artefact in artefacts.values() for name in changed_files(folder, artefact["files"])
    ]
    recorded = {kind: row.sha256 for kind, row in rows.items()}
    agreed = recorded == {kind: artefact["sha256"] for kind, artefact in artefacts.items()}
    return dg.AssetCheckResult(
        passed=not changed and agreed,
        description=f"changed or missing: {', '.join(changed) or 'nothing'}; "
        f"the database agrees with the manifest: {agreed}",
        metadata={"changed": ", ".join(changed), "files": len(artefacts)},
    )


def _parity_check(kind: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="exported_model",
        name=f"{kind}_behaves_as_trained",
        blocking=True,
        description="Same token ids, same ending, and the same greedy text or log-probabilities "
        f"within the tolerance of {kind}. A file that nothing here can run only warns; it is not "
        "promoted either.",
    )
    def behaves_as_trained(twin: TwinResource) -> dg.AssetCheckResult:
        _, manifest, _ = _export(twin)
        artefact = manifest["artefacts"].get(kind)
        why = manifest["missing"].get(kind, "")
        if artefact is None:
            return _result(not why, f"not made: {why}" if why else "not asked for", {})
        found = artefact["parity"]
        figures = {
            name: value for name, value in found.items() if isinstance(value, int | float | str)
        }
        blocking = found["verdict"] == FAILED
        return _result(found["verdict"] == PASSED, found["why"], figures, blocking=blocking)

    return behaves_as_trained


safetensors_behaves_as_trained = _parity_check(SAFETENSORS)
gguf_adapter_behaves_as_trained = _parity_check(ADAPTER_GGUF)
gguf_f16_behaves_as_trained = _parity_check(F16)
gguf_q8_0_behaves_as_trained = _parity_check(Q8)
gguf_q4_k_m_behaves_as_trained = _parity_check(Q4_K_M)
gguf_q4_0_behaves_as_trained = _parity_check(Q4)


def _export(twin: TwinResource) -> tuple[Path, dict[str, Any], dict[str, store.Export]]:
    with twin.connect() as connection:
        adapter_id = store.latest_exported(connection)
        rows = store.exports_of(connection, adapter_id) if adapter_id else {}
    if adapter_id is None:
        raise TwinError("Nothing was exported yet; run twin export.")
    folder = twin.settings.exports_dir / adapter_id
    manifest = read_json(folder / MANIFEST)
    if not manifest:
        raise TwinError(f"The export in {folder} is gone; run twin export to make it again.")
    return folder, manifest, rows


def _result(
    passed: bool, words: str, metadata: dict[str, Any], *, blocking: bool = False
) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        passed=passed, severity=severity, description=words or None, metadata=metadata
    )
