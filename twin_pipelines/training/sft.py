"""The training process: `python -m twin_pipelines.training.sft --config FILE`.

The `lora_adapter` asset starts it through Dagster Pipes and sees its progress in the log; by hand
it writes the same lines to standard error. It needs no database, and of Dagster `dagster-pipes`.
Exit codes: 0 trained, 2 a failure the user can mend, 3 abandoned by its parent, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twin_pipelines.foundation.fingerprints import write_json
from twin_pipelines.settings import TwinError
from twin_pipelines.training.config import FAILURE, TrainConfig
from twin_pipelines.training.conversations import read_rows
from twin_pipelines.training.limits import is_out_of_memory

MENDABLE, ABANDONED, INTERRUPTED = 2, 3, 130


def main(arguments: list[str] | None = None) -> int:
    """Train what the configuration file says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Train a LoRA adapter.")
    parser.add_argument("--config", type=Path, required=True, help="JSON written by TrainConfig")
    chosen = parser.parse_args(arguments)
    with _reporting() as (say, parent):
        try:
            config = TrainConfig.load(chosen.config)
            Path(config.output, FAILURE).unlink(missing_ok=True)
            return _train(config, say, parent)
        except TwinError as error:
            say(str(error))
            write_json(chosen.config.with_name(FAILURE), {"sentence": str(error)})
            return MENDABLE
        except KeyboardInterrupt:
            say("training was interrupted; run it again to resume from its last checkpoint")
            return INTERRUPTED


def _train(config: TrainConfig, say: Callable[[str], None], parent: int | None) -> int:
    for split in ("train", "validation"):
        read_rows(Path(config.dataset) / f"{split}.jsonl")  # before anything heavy is loaded
    _settle()
    from twin_pipelines.training import backends

    backends.prepare(config)  # before TRL is imported
    from twin_pipelines.training.fine_tune import fine_tune
    from twin_pipelines.training.trainer import AbandonedError

    try:
        fine_tune(config, say, parent)
        if config.dpo_steps:
            from twin_pipelines.training.preferences import prefer

            prefer(config, say, parent)
    except AbandonedError:
        return ABANDONED
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TwinError(
            "Training ran out of memory even with one sequence at a time of training.max_tokens "
            f"{config.max_tokens}; lower that, or take a smaller training.base_model."
        ) from error
    return 0


@contextmanager
def _reporting() -> Iterator[tuple[Callable[[str], None], int | None]]:
    """Where progress goes, and the process to stop with: Dagster's when it started this one."""
    if "DAGSTER_PIPES_CONTEXT" not in os.environ:
        yield _write_line, None
        return
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:
        yield pipes.log.info, os.getppid()


def _write_line(line: str) -> None:
    sys.stderr.write(line + "\n")


def _settle() -> None:
    """One GPU at most, nothing fetched or sent, and only this program's own lines are shown.

    Threads that wait for each other sleep: where another program wants the processor too, spinning
    makes a step four times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")


if __name__ == "__main__":
    sys.exit(main())
