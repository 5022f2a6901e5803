"""`twin follow`: source databases followed live, until told to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from types import FrameType
from typing import TYPE_CHECKING

import dagster as dg
from rich.console import Console

from twin_pipelines.commands.runs import open_twin
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.capture.feeds import feeds

if TYPE_CHECKING:
    from twin_pipelines.automation.live import Step

PAUSE_SECONDS = 0.3  # between two looks while nothing happens
REPORT_SECONDS = 30.0  # between two reports to Dagster: one for each asset and day


@dataclass
class Unreported:
    """What was derived since the last report to Dagster."""

    turns: dict[date, int] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def add(self, step: Step) -> None:
        """Remember what a step derived."""
        self.turns |= step.derived.turns

    def tell(self, instance: dg.DagsterInstance, *, now: bool = False) -> None:
        """Report days as materialised, when it is time or at the end."""
        due = now or time.monotonic() - self.since >= REPORT_SECONDS
        if not due:
            return
        for day, turns in sorted(self.turns.items()):
            for asset in ("raw_conversations", "cleaned_messages", "message_embeddings"):
                event = dg.AssetMaterialization(
                    asset,
                    partition=day.isoformat(),
                    metadata={"dagster/partition_row_count": turns, "followed live": True},
                )
                instance.report_runless_asset_event(event)
        self.turns.clear()
        self.since = time.monotonic()


def follow(settings: TwinSettings, console: Console) -> None:
    """Follow every source with `capture` until Ctrl-C or SIGTERM.

    Raises TwinError when no source is to be followed. A source that is down, and the twin's own
    database, are waited for.
    """
    if not feeds(settings):
        raise TwinError(
            "No source is followed; write capture = true under a source of kind table in "
            "twin.toml, and see docs/following.md."
        )
    with open_twin(settings) as (instance, databases), _stopping() as stop:
        from twin_pipelines.automation.live import Live
        from twin_pipelines.embeddings.encoder import load_encoder

        live = Live(settings, databases.twin, load_encoder(settings))
        unreported = Unreported()
        console.print("Following; Ctrl-C stops it.")
        told = ""
        while not stop:
            try:
                step = live.step()
            except TwinError as error:
                told = _once(console, f"Waiting: {error}", told)
                time.sleep(1.0)
                continue
            unreported.add(step)
            unreported.tell(instance)
            for words in _words(step):
                told = _once(console, words, told)
            if not step.derived.turns:
                time.sleep(PAUSE_SECONDS)
        unreported.tell(instance, now=True)
        live.close()
    console.print("Stopped.")


def _words(step: Step) -> Iterator[str]:
    for one in step.looks:
        if one.problem:
            yield one.problem
        elif one.drained and one.drained.transactions:
            done = one.drained
            rows = sum(kinds.total() for kinds in done.rows.values())
            aside = f", {done.letters:,} set aside" if done.letters else ""
            yield (
                f"{rows:,} rows in {done.transactions:,} transactions{aside}; "
                f"{step.derived.indexed:,} entries findable after {step.seconds:.2f} s"
            )


def _once(console: Console, words: str, told: str) -> str:
    """Print what was not said just now; returns what was said last."""
    if words != told:
        console.print(words, soft_wrap=True)
    return words


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list that is not empty once SIGINT or SIGTERM came."""
    stop: list[int] = []

    def heard(number: int, _: FrameType | None) -> None:
        stop.append(number)

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
