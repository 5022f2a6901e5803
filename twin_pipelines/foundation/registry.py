"""MLflow's model registry: whole versions, and the aliases that name what serves.

A version holds its own copy of the files (weights, tokenizer, template), in the artifact store of
the run that made them, so that it outlives the state folder's. It is registered last, in one
transaction with its tags: whoever dies before that leaves no version, and whoever comes again finds
what was copied. `manifest.json`, written after the files, tells a whole copy from a broken one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twin_pipelines.foundation.fingerprints import combined_hash, hash_file, read_json
from twin_pipelines.foundation.tracking import KEY_TAG
from twin_pipelines.settings import TwinError

if TYPE_CHECKING:
    from mlflow import MlflowClient

REGISTERED_MODEL = "twin"
DIGEST_TAG = "twin/sha256"
MANIFEST = "manifest.json"

Alias = Literal["champion", "challenger"]


def register_version(
    client: MlflowClient,
    *,
    key: str,
    run_id: str,
    source: Path,
    tags: Mapping[str, str],
    description: str = "",
) -> int:
    """Register the folder `source` as a version of the twin; a `key` keeps the version it has.

    The files are copied into the artifacts of the run. Raises TwinError when the run is gone.
    """
    from mlflow.exceptions import MlflowException

    known = client.search_model_versions(
        f"name = '{REGISTERED_MODEL}' and tags.`{KEY_TAG}` = '{key}'"
    )
    if known:
        return int(known[0].version)
    address, digest = _keep_files(client, run_id, source)
    try:
        client.create_registered_model(REGISTERED_MODEL)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        REGISTERED_MODEL,
        source=address,
        run_id=run_id,
        tags={**tags, DIGEST_TAG: digest, KEY_TAG: key},
        description=description,
    )
    return int(made.version)


def version_tags(client: MlflowClient, version: int) -> dict[str, str]:
    """The tags of a version."""
    return dict(client.get_model_version(REGISTERED_MODEL, str(version)).tags)


def version_fault(client: MlflowClient, version: int) -> str | None:
    """What a version's files lack, in words; None when they are the ones registered."""
    from mlflow.exceptions import MlflowException

    try:
        digest = version_tags(client, version).get(DIGEST_TAG)
        if digest is None:
            return f"version {version} was registered without a copy of its files"
        with tempfile.TemporaryDirectory() as scratch:
            found = _digest(_fetch(client, version, Path(scratch)))
    except MlflowException as error:
        return f"version {version} or its files are gone from the registry ({error.error_code})"
    except OSError as error:
        return f"the files of version {version} cannot be read ({error})"
    if found != digest:
        return f"the files of version {version} are not the ones that were registered"
    return None


def restore_files(client: MlflowClient, version: int, target: Path) -> None:
    """Bring a version's files back to the folder `target`, whole or not at all.

    Raises TwinError when the registry's copy is missing or damaged.
    """
    fault = version_fault(client, version)
    if fault:
        raise TwinError(f"{target} cannot be restored because {fault}; train again.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".restored.") as scratch:
        copy = Path(scratch) / "files"
        shutil.copytree(_fetch(client, version, Path(scratch)), copy)
        (copy / MANIFEST).unlink()
        if target.exists():
            shutil.rmtree(target)
        copy.rename(target)


def set_alias(client: MlflowClient, alias: Alias, version: int) -> None:
    """Point the alias at this version, wherever it pointed before."""
    client.set_registered_model_alias(REGISTERED_MODEL, alias, str(version))


def clear_alias(client: MlflowClient, alias: Alias) -> None:
    """Let the alias point nowhere."""
    if alias_version(client, alias) is not None:
        client.delete_registered_model_alias(REGISTERED_MODEL, alias)


def alias_version(client: MlflowClient, alias: Alias) -> int | None:
    """The version the alias points at, None when nothing has it."""
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(REGISTERED_MODEL, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _keep_files(client: MlflowClient, run_id: str, source: Path) -> tuple[str, str]:
    """Copy the files into the run's artifacts, the manifest last; address and hash of the copy.

    A whole copy of the same files is used again.
    """
    from mlflow.exceptions import MlflowException

    hashes = _hashes(source)
    digest = combined_hash(hashes)
    name = f"versions/{digest[:12]}"
    try:
        present = {file.path for file in client.list_artifacts(run_id, name)}
        address = f"{client.get_run(run_id).info.artifact_uri}/{name}"
    except MlflowException as error:
        raise TwinError(
            f"The MLflow run {run_id} that trained {source} is gone, so the adapter cannot be "
            "registered; restore the run in MLflow, or train again."
        ) from error
    if f"{name}/{MANIFEST}" not in present:
        client.log_artifacts(run_id, str(source), artifact_path=name)
        client.log_text(run_id, json.dumps(hashes, indent=1), f"{name}/{MANIFEST}")
    return address, digest


def _fetch(client: MlflowClient, version: int, scratch: Path) -> Path:
    """The folder of a version's files; copied to `scratch` where the store is not this machine."""
    from mlflow.artifacts import download_artifacts

    address = client.get_model_version_download_uri(REGISTERED_MODEL, str(version))
    local = address.startswith(("/", "file:"))
    given: dict[str, Any] = {} if local else {"dst_path": str(scratch)}
    return Path(download_artifacts(artifact_uri=address, **given))


def _digest(folder: Path) -> str:
    """Hash of a copy's files; empty where files of its manifest are missing."""
    hashes = _hashes(folder)
    hashes.pop(MANIFEST, None)
    return combined_hash(hashes) if hashes == read_json(folder / MANIFEST) else ""


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
