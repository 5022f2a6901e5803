"""Runs started from the command line: days derived and remembered, and the release half."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from types import TracebackType

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from twin_pipelines.foundation.database import Databases, connect
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.instance import RunOutcome, open_instance, run_job
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.landing import open_history
from twin_pipelines.training.presets import plan_table, plan_training

DAILY_JOB = "daily_refresh"
MEMORY_JOB = "remember"
RELEASE_JOB = "train_and_promote"


class RunProgress:
    """Shows a run while it happens: a line for each finished step, a live one for the present."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("starting", console=console)
        self._started: dict[str, float] = {}
        self._materialised: set[str] = set()

    def __enter__(self) -> RunProgress:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()

    def __call__(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            self._log(entry)
        elif event.event_type == dg.DagsterEventType.STEP_START:
            self._started[event.step_key or ""] = time.monotonic()
            self._status.update(_readable(event.step_key))
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            self._materialised.add(event.step_key or "")
        elif (
            event.event_type == dg.DagsterEventType.STEP_SUCCESS
            and event.step_key in self._materialised
        ):
            seconds = time.monotonic() - self._started.get(event.step_key or "", time.monotonic())
            name = _readable(event.step_key)
            self._console.print(f"  [green]✓[/green] {name:<22} {seconds:6.1f} s")
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._check(event)
        elif event.is_step_failure:
            self._console.print(f"  [red]✗[/red] {_readable(event.step_key)}")

    def _log(self, entry: dg.EventLogEntry) -> None:
        level = int(entry.level)
        if level >= logging.WARNING and entry.step_key:
            self._console.print(f"    {entry.user_message}", style="yellow", markup=False)
        elif level >= logging.INFO and entry.step_key:
            first = entry.user_message.splitlines()[0][:100] if entry.user_message else ""
            self._status.update(f"{_readable(entry.step_key)}: {escape(first)}")

    def _check(self, event: dg.DagsterEvent) -> None:
        evaluation = event.asset_check_evaluation_data
        if evaluation.passed:
            return
        blocking = evaluation.severity == dg.AssetCheckSeverity.ERROR
        mark, colour = ("✗", "red") if blocking else ("!", "yellow")
        where = f"{evaluation.asset_key.to_user_string()}.{evaluation.check_name}"
        words = f": {evaluation.description}" if evaluation.description else ""
        self._console.print(f"    {mark} {where}{words}", style=colour, markup=False)


@contextmanager
def open_twin(settings: TwinSettings) -> Iterator[tuple[dg.DagsterInstance, Databases]]:
    """The instance and the databases, the graph's days spanning what the sources hold.

    The definitions read that span once, so nothing may import them before this.
    """
    with open_instance(settings) as (instance, databases):
        with connect(databases.twin) as connection:
            open_history(connection, settings)
        yield instance, databases


def refresh(instance: dg.DagsterInstance, first: date, last: date, console: Console) -> None:
    """Materialise the daily half for these days, as one run, then memories and persona.

    Raises TwinError with what failed.
    """
    derive(instance, [DayRange(first, last)], console)


def derive(instance: dg.DagsterInstance, stretches: Sequence[DayRange], console: Console) -> None:
    """Materialise the daily half for each stretch of days, as one run, then memories and persona.

    Raises TwinError with what failed.
    """
    for days in stretches:
        console.print(f"[bold]By day[/bold], {days.first} to {days.last} as one run")
        bounds = (days.first.isoformat(), days.last.isoformat())
        daily = _run(instance, DAILY_JOB, console, bounds)
        if not daily.success:
            raise TwinError(f"The daily half failed: {'; '.join(daily.failures)}.")
    console.print("[bold]Memory and persona[/bold]")
    remembered = _run(instance, MEMORY_JOB, console, None)
    if not remembered.success:
        raise TwinError(f"Remembering failed: {'; '.join(remembered.failures)}.")


def train(instance: dg.DagsterInstance, console: Console, reason: str) -> RunOutcome:
    """Dataset, adapter, evaluation, gate and, if it passes, promotion."""
    return _run(instance, RELEASE_JOB, console, None, {"twin/reason": reason})


def training_plan(settings: TwinSettings) -> Table:
    """What a training would do here: the preset, who chose each value, and the memory it needs."""
    base = resolve_model(settings.training.base_model, settings, purpose="causal")
    return plan_table(plan_training(settings.training, base.path))


def _run(
    instance: dg.DagsterInstance,
    job: str,
    console: Console,
    days: tuple[str, str] | None,
    tags: dict[str, str] | None = None,
) -> RunOutcome:
    from twin_pipelines.definitions import defs

    with RunProgress(console) as progress:
        return run_job(instance, defs.resolve_job_def(job), days=days, tags=tags, on_event=progress)


def _readable(step_key: str | None) -> str:
    return (step_key or "").replace("__", ".")
