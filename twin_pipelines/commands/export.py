"""`twin export`: the twin as files for other programs, each compared with the trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from twin_pipelines.commands.runs import RunProgress, open_twin
from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.foundation.instance import run_job
from twin_pipelines.promotion.store import champion
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training.export.config import KINDS, MANIFEST
from twin_pipelines.training.export.manifest import COLUMNS, rows
from twin_pipelines.training.export.store import latest_exported

EXPORT_JOB = "export_model"


def export(settings: TwinSettings, levels: Sequence[str], console: Console) -> Path:
    """Export the serving adapter (before the first promotion: the one in force) and show it.

    `levels` are GGUF kinds without their prefix (`f16`, `adapter` …), made besides the formats of
    the settings. Returns the folder. Raises TwinError when a level is unknown or the run fails.
    """
    known = [kind.removeprefix("gguf_") for kind in KINDS if kind.startswith("gguf_")]
    unknown = [level for level in levels if level not in known]
    if unknown:
        raise TwinError(f"--gguf {unknown[0]} is no level; use {', '.join(known)}.")
    formats = [*settings.export.formats, *(f"gguf_{level}" for level in levels)]
    with open_twin(settings) as (instance, databases):
        from twin_pipelines.definitions import defs

        with connect(databases.twin) as connection:
            serving = champion(connection)
            wanted = {"adapter_id": serving.adapter_id if serving else "", "formats": formats}
        with RunProgress(console) as progress:
            job = defs.resolve_job_def(EXPORT_JOB)
            outcome = run_job(instance, job, ops={"exported_model": wanted}, on_event=progress)
        with connect(databases.twin) as connection:
            folder = settings.exports_dir / (latest_exported(connection) or "")
    if not outcome.success:
        raise TwinError(f"The export failed: {'; '.join(outcome.failures)}.")
    console.print(_shown(folder))
    console.print(f"Wrote {folder}", soft_wrap=True)
    return folder


def _shown(folder: Path) -> Table:
    shown = Table(*COLUMNS)
    for row in rows(read_json(folder / MANIFEST)):
        shown.add_row(*row)
    return shown
