"""The export process: `python -m twin_pipelines.training.export.run --config FILE`.

The `exported_model` asset starts it through Dagster Pipes, so that models leave memory when it
ends; by hand it writes the same lines to standard error. Exit codes: 0 exported, 2 a failure the
user can mend, 3 abandoned by its parent.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from twin_pipelines.settings import TwinError
from twin_pipelines.training.export.artefacts import Say
from twin_pipelines.training.export.build import export
from twin_pipelines.training.export.config import ExportConfig

MENDABLE, ABANDONED = 2, 3


def main(arguments: list[str] | None = None) -> int:
    """Export what the configuration file says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Export an adapter.")
    parser.add_argument("--config", type=Path, required=True, help="written by ExportConfig")
    path = parser.parse_args(arguments).config
    _settle()
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        try:
            export(ExportConfig.load(path), _write_line)
        except TwinError as error:
            _write_line(str(error))
            return MENDABLE
        return 0
    with open_dagster_pipes() as pipes:
        try:
            export(ExportConfig.load(path), _while_wanted(pipes.log.info))
        except TwinError as error:
            pipes.report_custom_message({"error": str(error)})
    return 0


def _while_wanted(say: Say) -> Say:
    """Says it until the process that started this one is gone; then ends this one too."""
    parent = os.getppid()

    def told(line: str) -> None:
        if os.getppid() != parent:
            sys.exit(ABANDONED)
        say(line)

    return told


def _write_line(line: str) -> None:
    sys.stderr.write(line + "\n")


def _settle() -> None:
    """Nothing fetched from a model hub, threads that wait asleep, and only our own lines shown."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")


if __name__ == "__main__":
    sys.exit(main())
