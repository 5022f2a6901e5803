"""The manifest of an export: what lies in its folder, by hash, and how each file compares."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.fingerprints import combined_hash, hash_file, read_json
from twin_pipelines.training.export.config import KINDS, MANIFEST, PATHS, ExportConfig
from twin_pipelines.training.export.llama_tools import VERSION, runtime_version
from twin_pipelines.training.export.parity import NOT_VERIFIED


def describe(
    whole: Path, kind: str, dtype: str, parity: dict[str, Any], modelfile: dict[str, str] | None
) -> dict[str, Any]:
    """An artefact's entry: where it lies, what it weighs, how it compares.

    `sha256` is that of the model (of its listing, when it is a folder); `files` has every file's,
    the Modelfile's included.
    """
    path = whole / PATHS[kind]
    paths = sorted(path.iterdir()) if path.is_dir() else [path]
    files = {str(one.relative_to(whole)): hash_file(one) for one in paths}
    sha256 = combined_hash(files)
    if modelfile and modelfile["path"]:
        files[modelfile["path"]] = hash_file(whole / modelfile["path"])
    return {
        "path": PATHS[kind],
        "dtype": dtype,
        "bytes": sum(one.stat().st_size for one in paths),
        "sha256": sha256,
        "files": files,
        "modelfile": modelfile,
        "parity": parity,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def compose(
    config: ExportConfig, artefacts: dict[str, Any], missing: dict[str, str]
) -> dict[str, Any]:
    """The manifest of a whole folder."""
    return {
        "adapter_id": config.adapter_id,
        "recipe": config.recipe,
        "base_model": config.base_reference,
        "base_sha256": config.base_sha256,
        "system_prompt": config.system,
        "converters": config.llama_cpp or f"llama.cpp as packaged in llama-cpp-python {VERSION}",
        "llama_cpp": runtime_version(),
        "artefacts": {kind: artefacts[kind] for kind in KINDS if kind in artefacts},
        "missing": missing,
    }


def kept_artefacts(config: ExportConfig) -> dict[str, Any]:
    """Artefacts of the present folder, by kind, that need not be made again.

    They were made by the same recipe, their files are unchanged, and they were compared, unless
    nothing here can compare them.
    """
    folder = Path(config.output)
    manifest = read_json(folder / MANIFEST)
    if manifest.get("recipe") != config.recipe:
        return {}
    blind = runtime_version() is None
    return {
        kind: artefact
        for kind, artefact in manifest["artefacts"].items()
        if blind or artefact["parity"]["verdict"] != NOT_VERIFIED
        if not changed_files(folder, artefact["files"])
    }


def changed_files(folder: Path, files: dict[str, str]) -> list[str]:
    """Names of files that are missing, or whose sha256 is not the recorded one."""
    return [
        name
        for name, sha256 in files.items()
        if not (folder / name).is_file() or hash_file(folder / name) != sha256
    ]


COLUMNS = ("file", "MB", "verdict", "same ids", "same text", "mean Δ log p", "same likeliest")


def rows(manifest: dict[str, Any]) -> list[tuple[str, ...]]:
    """The artefacts as people read them, in `COLUMNS`; what is missing comes last."""
    shown: list[tuple[str, ...]] = []
    for artefact in manifest["artefacts"].values():
        found = artefact["parity"]
        figures = ("", "", "", "")
        if "conversations" in found:
            of = found["conversations"]
            figures = (
                f"{found['same_ids']}/{of}",
                f"{found['same_text']}/{of}",
                f"{found['difference']:.4f}",
                f"{found['agreement']:.1%}",
            )
        size = f"{artefact['bytes'] / 1e6:,.1f}"
        shown.append((artefact["path"], size, found["verdict"], *figures))
    shown += [(PATHS[kind], "", "not made", "", "", "", "") for kind in manifest["missing"]]
    return shown
