"""One export from start to end: what is asked for and not there yet is made, compared, and put in.

Everything is made in a scratch folder beside the export's, which takes its place when it is whole;
a process killed at any moment leaves the old folder, or none. Files of an earlier export by the
same recipe are linked into the new folder instead of being made again.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from twin_pipelines.foundation.fingerprints import read_json, write_json
from twin_pipelines.settings import TwinError
from twin_pipelines.training.export.artefacts import Say, make_artefacts
from twin_pipelines.training.export.config import BITS, KINDS, MANIFEST, ExportConfig
from twin_pipelines.training.export.manifest import compose, kept_artefacts

_SPARE_BYTES = 64 * 1024**2


def export(config: ExportConfig, say: Say) -> dict[str, Any]:
    """Make the export that `config` asks for, or find it made, and return its manifest.

    A file that cannot be made here is told of in the manifest's `missing`, by kind. Raises
    TwinError when the disk is full or the adapter does not load.
    """
    folder = Path(config.output)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{config.adapter_id}.lock"):
        kept = kept_artefacts(config)
        wanted = [kind for kind in KINDS if kind in config.formats and kind not in kept]
        if not wanted:
            say(f"the export of {config.adapter_id} is whole; it is used again")
            return read_json(folder / MANIFEST)
        with _disk_watched(config, wanted), _scratch(folder) as (whole, work):
            for artefact in kept.values():
                _link(folder, whole, artefact["files"])
            made, missing = make_artefacts(config, wanted, whole, work, say)
            manifest = compose(config, {**kept, **made}, missing)
            write_json(whole / MANIFEST, manifest)
            _put_in_place(whole, folder, work)
    return manifest


@contextmanager
def _scratch(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Two folders beside the export's: what becomes it, and what is thrown away."""
    prefix = f".{folder.name}-"
    _remove_scratch(folder.parent, prefix)
    try:
        whole, work = (Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent)) for _ in range(2))
        whole.chmod(0o755)
        yield whole, work
    finally:
        _remove_scratch(folder.parent, prefix)


def _remove_scratch(parent: Path, prefix: str) -> None:
    for left_over in parent.glob(f"{prefix}*"):
        shutil.rmtree(left_over)


def _put_in_place(whole: Path, folder: Path, work: Path) -> None:
    if folder.exists():
        folder.rename(work / "old")
    whole.rename(folder)


def _link(source: Path, target: Path, files: dict[str, str]) -> None:
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copy2(source / name, target / name)


@contextmanager
def _disk_watched(config: ExportConfig, wanted: list[str]) -> Iterator[None]:
    """What a full disk means, as one sentence: before the work where it can be foreseen."""
    weights = sum(path.stat().st_size for path in Path(config.base).glob("*.safetensors"))
    needed = int(weights / 2 * sum(BITS[kind] for kind in wanted) / 8) + _SPARE_BYTES
    if set(wanted) - {KINDS[0]}:
        needed += 4 * weights  # the merged model in float32, and the base as GGUF, while at work
    parent = Path(config.output).parent
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise TwinError(
            f"The disk of {parent} has {free / 1e9:.1f} GB left and the export needs about "
            f"{needed / 1e9:.1f}; make room, or ask for fewer formats in export.formats."
        )
    try:
        yield
    except Exception as error:
        if not _is_full_disk(error):
            raise
        raise TwinError(
            f"The disk of {parent} is full; make room (nothing half made was left) and run the "
            "export again."
        ) from error


def _is_full_disk(error: Exception) -> bool:
    """Whoever says it: the system, or a library that writes by itself."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error)
