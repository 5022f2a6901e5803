"""Processes that run models side by side, where a model is small and there is no GPU.

Two processes of one thread each do on two cores nearly twice what one does, while two threads of
one process wait for each other at every small matrix, and for longer than that when anything else
runs on the machine. A large model, or one on a GPU, is run here by all threads together.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, Self

from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.local import generate_replies, load_model, score_choices
from twin_pipelines.settings import TwinError

MOST_WORKERS = 4
LARGE_MODEL = 2_000_000_000  # bytes of weights
WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class Model:
    """Which model a job is for."""

    base: ResolvedModel
    adapter: Path | None
    dtype: str


@dataclass(frozen=True)
class Job:
    """A piece of work: arguments of `generate_replies` or `score_choices`.

    `written` gives each reply as [text, tokens, whether it ended by itself], `timed` as [seconds,
    tokens] of one reply at a time, `scores` each candidate as [log-probability, tokens].
    """

    kind: Literal["written", "timed", "scores"]
    model: Model
    arguments: dict[str, Any]


class Workers:
    """Does jobs here (`number` 1) or in as many processes, which are started with the first job."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        load_once.cache_clear()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, list[Any]]]:
        """The number of each job and its result, as they are done."""
        if self.number == 1:
            for place, job in enumerate(jobs):
                yield place, work(job)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.number,
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(os.getpid(), max(1, cores() // self.number)),
            )
        places = {self._pool.submit(work, job): place for place, job in enumerate(jobs)}
        for done in as_completed(places):
            try:
                yield places[done], done.result()
            except BrokenProcessPool as error:
                raise TwinError(
                    "A process that ran a model was ended from outside, perhaps for want of "
                    "memory; free some and materialise evaluated_model again: what was answered "
                    "is kept."
                ) from error


def workers_for(base: ResolvedModel, conversations: int, at_least: int) -> int:
    """How many processes to run the model in: one on a GPU, for a large model or little work."""
    import torch

    weights = sum(path.stat().st_size for path in base.path.glob("*.safetensors"))
    if torch.cuda.is_available() or weights > LARGE_MODEL or conversations < at_least:
        return 1
    return max(1, min(MOST_WORKERS, cores()))


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def work(job: Job) -> list[Any]:
    """Do one job with the model it names; the model stays loaded until another is asked for."""
    model, tokenizer = load_once(job.model)
    if job.kind == "written":
        return _written(model, tokenizer, job.arguments)
    if job.kind == "timed":
        return _timed(model, tokenizer, job.arguments)
    scored = score_choices(model, tokenizer, **job.arguments)
    return [[list(score) for score in group] for group in scored]


def _written(model: Any, tokenizer: Any, arguments: dict[str, Any]) -> list[list[Any]]:
    tokens = [0] * len(arguments["conversations"])

    def count(row: int, _: int) -> None:
        tokens[row] += 1

    replies = generate_replies(model, tokenizer, **arguments, on_token=count)
    most = arguments["max_new_tokens"]
    return [[text, n, n < most] for text, n in zip(replies, tokens, strict=True)]


def _timed(model: Any, tokenizer: Any, arguments: dict[str, Any]) -> list[list[Any]]:
    """One conversation after the other; the first is asked twice, because the first is slow."""
    conversations = arguments["conversations"]
    timings = []
    for conversation in [*conversations[:1], *conversations]:
        started = time.perf_counter()
        ((_, tokens, _),) = _written(
            model, tokenizer, {**arguments, "conversations": [conversation]}
        )
        timings.append([time.perf_counter() - started, tokens + 1])
    return timings[1:]


@lru_cache(maxsize=1)
def load_once(model: Model) -> tuple[Any, Any]:
    """Load a model and its tokenizer, or give the one that is loaded."""
    from twin_pipelines.generation.attention import register

    loaded, tokenizer = load_model(model.base, model.adapter, model.dtype)
    if loaded.device.type == "cpu":
        loaded.set_attn_implementation(register())
    return loaded, tokenizer


def _begin(parent: int, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
