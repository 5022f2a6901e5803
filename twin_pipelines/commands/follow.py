"""`twin follow`: source databases followed live, until told to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from types import FrameType
from typing import TYPE_CHECKING

import dagster as dg
from rich.console import Console
from sqlalchemy.exc import DBAPIError

from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.foundation.instance import open_instance
from twin_pipelines.settings import TwinError, TwinSettings, read_settings
from twin_pipelines.sources.capture.drain import reading
from twin_pipelines.sources.capture.feeds import feeds
from twin_pipelines.sources.capture.looking import skewed
from twin_pipelines.sources.capture.replay import Replayed, replay
from twin_pipelines.sources.capture.retiring import asked_for, retire

if TYPE_CHECKING:
    from twin_pipelines.automation.live import Derived, Deriving, Due, Landing
    from twin_pipelines.sources.capture.looking import Look

PAUSE_SECONDS = 0.2  # between two looks
REREAD_SECONDS = 5.0  # between two readings of twin.toml
RETRY_SECONDS = 1.0  # while the twin's own database is away
REPORT_SECONDS = 30.0  # between two reports to Dagster: one for each asset and day
ASSETS = ("raw_conversations", "cleaned_messages", "message_embeddings")


@dataclass
class Unreported:
    """Turns by day that were derived since the last report to Dagster."""

    turns: dict[date, int] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def tell(self, instance: dg.DagsterInstance, *, now: bool = False) -> None:
        """Report the days as materialised, when it is time; without its database, later."""
        if not now and time.monotonic() - self.since < REPORT_SECONDS:
            return
        self.since = time.monotonic()
        try:
            for day, turns in sorted(self.turns.items()):
                metadata = {"dagster/partition_row_count": turns, "followed live": True}
                for asset in ASSETS:
                    event = dg.AssetMaterialization(
                        asset, partition=day.isoformat(), metadata=metadata
                    )
                    instance.report_runless_asset_event(event)
                del self.turns[day]
        except DBAPIError:
            return


class Ended:
    """Tells two threads that it is over, and which of them failed."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.failure: Exception | None = None

    @contextmanager
    def both(self) -> Iterator[None]:
        """What fails inside is kept for `follow` to raise, and ends the other thread."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or error
        finally:
            self.stop.set()


class Said:
    """Prints what was not said just now. Two threads speak."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""
        self._guard = threading.Lock()

    def __call__(self, words: str) -> None:
        with self._guard:
            if words != self._last:
                self._console.print(words, soft_wrap=True, markup=False)
            self._last = words


def follow(settings: TwinSettings, console: Console) -> None:
    """Follow every source with `capture` until Ctrl-C or SIGTERM; changes of twin.toml count.

    A source that is down, and the twin's own database, are waited for. Raises TwinError when no
    source is to be followed.
    """
    if not feeds(settings):
        raise TwinError(
            "No source is followed; write capture = true under a source of kind table in "
            "twin.toml, and see docs/following.md."
        )
    ended = Ended()
    with open_instance(settings) as (instance, databases), _stopping(ended.stop):
        from twin_pipelines.automation.live import Deriving, Due, Landing
        from twin_pipelines.embeddings.encoder import load_encoder

        due, say = Due(), Said(console)
        landing = Landing(settings, databases.twin, due)
        deriving = Deriving(settings, databases.twin, load_encoder(settings))
        lander = threading.Thread(target=_land, args=(landing, settings, say, ended), daemon=True)
        lander.start()
        console.print("Following; Ctrl-C stops it.")
        with ended.both():
            _derive(deriving, due, instance, say, ended.stop)
        lander.join()
        landing.close()
        deriving.close()
    if ended.failure:
        raise ended.failure
    console.print("Stopped.")


def _land(landing: Landing, settings: TwinSettings, say: Said, ended: Ended) -> None:
    """Look at the sources until it is over."""
    followed, read_at = feeds(settings), time.monotonic()
    with ended.both():
        while not ended.stop.is_set():
            try:
                if time.monotonic() - read_at > REREAD_SECONDS:
                    read_at = time.monotonic()
                    now = read_settings()
                    if feeds(now) != followed:
                        followed = feeds(now)
                        landing.go_by(now)
                looks = landing.look()
            except TwinError as error:
                say(f"Waiting: {error}")
                ended.stop.wait(RETRY_SECONDS)
                continue
            for words in _landed(looks):
                say(words)
            ended.stop.wait(PAUSE_SECONDS)


def _derive(
    deriving: Deriving, due: Due, instance: dg.DagsterInstance, say: Said, stop: threading.Event
) -> None:
    """Derive what is due until it is over; what is due then stays queued in the database."""
    unreported, left = Unreported(), False
    while not stop.is_set():
        days = due.take(0.0 if left else PAUSE_SECONDS)
        try:
            if days or left:
                made = deriving.derive(days)
                left = made.left
                unreported.turns |= made.turns
                say(_derived(made))
            if deriving.owes or not (days or left):
                deriving.catch_up()
        except TwinError as error:
            due.add(days)
            say(f"Waiting: {error}")
            stop.wait(RETRY_SECONDS)
            continue
        if deriving.caught_up:
            unreported.tell(instance)
    deriving.catch_up()
    unreported.tell(instance, now=True)


def _landed(looks: Sequence[Look]) -> Iterator[str]:
    for one in looks:
        if one.problem:
            yield one.problem
        elif one.drained and (one.drained.transactions or one.drained.taken_over):
            done = one.drained
            rows = sum(kinds.total() for kinds in done.rows.values())
            taken = "taken over whole; " if done.taken_over else ""
            aside = f", {done.letters:,} set aside" if done.letters else ""
            skew = f"; {skewed(done.clock_ahead)}" if skewed(done.clock_ahead) else ""
            yield (
                f"Landed: {taken}{rows:,} rows in {done.transactions:,} transactions{aside}{skew}."
            )


def _derived(made: Derived) -> str:
    days = ", ".join(f"{day:%-d %b %Y}" for day in sorted(made.turns)[:3])
    more = f" and {len(made.turns) - 3} days more" if len(made.turns) > 3 else ""
    of_days = f" of {days}{more}" if days else ""
    return f"Findable: {made.indexed:,} entries{of_days}, after {made.seconds:.2f} s."


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Set the event once SIGINT or SIGTERM came."""

    def heard(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_following(settings: TwinSettings, name: str, url: str, console: Console) -> None:
    """Remove the slot and publication of a feed that twin.toml follows no longer.

    `name` is the feed's, or that of a source on its database; `url` its address, where twin.toml
    names none. Raises TwinError when that cannot be done.
    """
    with open_databases(settings) as databases, connect(databases.twin) as own:
        words = retire(own, asked_for(own, settings, name, url))
    console.print(words, soft_wrap=True, markup=False)


def replay_letters(settings: TwinSettings, name: str | None) -> list[Replayed]:
    """Try the rows that were set aside again, of one source or of all that are followed.

    One account for each source that had any. Raises TwinError when no such source is followed, and
    when a source cannot be read.
    """
    followed = feeds(settings)
    sources = [source.name for feed in followed for source in feed.sources]
    if name is not None and name not in sources:
        raise TwinError(
            f"No source {name} is followed (followed: {', '.join(sources) or 'none'}); see "
            "docs/following.md."
        )
    with open_databases(settings) as databases, connect(databases.twin) as own:
        accounts = []
        for feed in followed:
            if name is None or name in [source.name for source in feed.sources]:
                with reading(feed, own) as reader:
                    accounts += replay(own, reader, settings, feed, name)
    return accounts


def in_words(account: Replayed) -> str:
    """What became of a source's rows, in one sentence."""
    parts = [f"{account.taken:,} taken over", f"{account.gone:,} gone from the source"]
    parts += [f"{account.waiting:,} still set aside"]
    reasons = "; ".join(account.reasons)
    return f"{account.source}: {', '.join(parts)}{f' ({reasons})' if reasons else ''}."
