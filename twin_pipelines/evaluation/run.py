"""`python -m twin_pipelines.evaluation.run --config task.json`: one evaluation in its own process.

Started by the `evaluated_model` asset through Dagster Pipes, so that models leave memory when it
ends; without Pipes it prints. What the user can mend is told as one sentence.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from twin_pipelines.evaluation.measure import evaluate
from twin_pipelines.evaluation.systems import Report
from twin_pipelines.evaluation.task import read_task
from twin_pipelines.settings import TwinError


def main(arguments: list[str] | None = None) -> int:
    """Run the task of the given file. Exit code 1 and a sentence when it cannot be measured."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not starve others
    parser = argparse.ArgumentParser(description="Evaluate a twin on unseen sessions.")
    parser.add_argument("--config", type=Path, required=True)
    task = read_task(parser.parse_args(arguments).config)
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        try:
            evaluate(task, lambda text: print(text, flush=True))  # noqa: T201
        except TwinError as error:
            print(error, file=sys.stderr)  # noqa: T201
            return 1
        return 0
    with open_dagster_pipes() as pipes:
        try:
            evaluate(task, while_wanted(pipes.log.info))
        except TwinError as error:
            pipes.report_custom_message({"error": str(error)})
    return 0


def while_wanted(report: Report) -> Report:
    """Reports until the process that started this one is gone; then ends this one too."""
    parent = os.getppid()

    def told(text: str) -> None:
        if os.getppid() != parent:
            sys.exit("the run that asked for this evaluation is gone; what was answered is kept")
        report(text)

    return told


if __name__ == "__main__":
    sys.exit(main())
