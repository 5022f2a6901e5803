"""`twin bench cdc`: a source database followed while it is written to, and while things are killed.

Two embedded servers stand for the source and for the twin; `twin follow` runs as a process of its
own. A writer inserts, edits and deletes in transactions of 1 to 1,000 rows; a watcher sees when a
message landed and when its entry stands in the search index. At the end both sides are compared row
by row.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from twin_pipelines.commands.bench_cdc_writer import Watcher, Writer, create_table
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.foundation.postmaster import find_postmaster
from twin_pipelines.foundation.server import EmbeddedServer, open_server
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.capture.drain import drain, reading
from twin_pipelines.sources.capture.feeds import feeds
from twin_pipelines.sources.capture.letters_store import waiting_letters

BURST = 20_000  # rows written at once, for the throughput
SETTLE_SECONDS = 120.0
START_SECONDS = 120.0
VICTIMS = ("follower", "source", "twin")

Tell = Callable[[str], None]


@dataclass
class Scene:
    """Both servers, the settings of the twin, and its follower."""

    source: EmbeddedServer
    twin: EmbeddedServer
    settings: TwinSettings
    source_url: str
    twin_url: str
    follower: subprocess.Popen[bytes] | None = None

    def follow(self) -> None:
        """Start `twin follow`."""
        log = (self.settings.home / "follow.log").open("ab")
        command = [sys.executable, "-m", "twin_pipelines.cli", "follow"]
        environment = os.environ | {
            "TWIN_HOME": str(self.settings.home),
            "TWIN_CONFIG": str(self.settings.home / "twin.toml"),
        }
        with log:
            self.follower = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill(self, victim: str) -> None:
        """Kill one of the three with SIGKILL, and start it again."""
        if victim == "follower":
            assert self.follower is not None
            self.follower.kill()
            self.follower.wait()
            self.follow()
            return
        server = self.source if victim == "source" else self.twin
        postmaster = find_postmaster(server.placement.data)
        if postmaster:
            os.kill(postmaster.pid, signal.SIGKILL)
            time.sleep(0.5)
        server.start()

    def stop(self) -> None:
        """End the follower as Ctrl-C does."""
        if self.follower and self.follower.poll() is None:
            self.follower.send_signal(signal.SIGTERM)
            try:
                self.follower.wait(30)
            except subprocess.TimeoutExpired:
                self.follower.kill()
                self.follower.wait()


def cdc(minutes: float, kills: int, tell: Tell) -> dict[str, Any]:
    """Follow a source for so long, killing something at random moments so often.

    Lags are seconds from the commit until the row is in `raw_messages` (landed), and until its
    entry is in the search index (retrievable), of rows committed while nothing was being killed.
    `rows_per_s` is how fast a burst lands; the baseline reads the whole table anew. Raises
    TwinError when the follower does not come up.
    """
    dice = random.Random(7)
    with opened_scene() as scene:
        figures = _throughput(scene, tell)
        scene.follow()
        with Writer(scene.source_url) as writer, Watcher(scene.twin_url, writer) as watcher:
            _wait(scene, watcher, writer, START_SECONDS)
            resting = _memory(scene)
            tell(f"following; writing for {minutes:g} minutes, {kills} kills")
            end = time.monotonic() + minutes * 60
            moments = sorted(dice.uniform(0.05, 0.9) * minutes * 60 for _ in range(kills))
            begun, peak = time.monotonic(), resting
            writer.resume()
            while time.monotonic() < end:
                if moments and time.monotonic() - begun >= moments[0]:
                    moments.pop(0)
                    victim = dice.choice(VICTIMS)
                    tell(f"{victim} killed")
                    watcher.disturb()
                    scene.kill(victim)
                peak = max(peak, _memory(scene))
                time.sleep(0.2)
            writer.pause()
            _wait(scene, watcher, writer, SETTLE_SECONDS)
            figures |= writer.figures() | watcher.figures()
        scene.stop()
        figures |= compared(scene)
    figures["minutes"] = minutes
    figures["kills"] = kills
    figures["follower_mb_beside_its_model"] = round((peak - resting) / 1e6)
    figures["follower_mb"] = round(peak / 1e6)
    return figures


@contextmanager
def opened_scene() -> Iterator[Scene]:
    """Both servers, an empty table on one and an empty twin on the other."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twin-cdc-")))
        folder.chmod(0o755)
        there = folder / "source"
        there.mkdir()
        source = stack.enter_context(open_server(TwinSettings(home=there)))
        with psycopg.connect(source.url("postgres"), autocommit=True) as administrator:
            administrator.execute("create database companion")
        source_url = source.url("companion")
        create_table(source_url)
        home = folder / "twin"
        home.mkdir()
        today = datetime.now(UTC).date().isoformat()
        (home / "history.json").write_text(json.dumps({"first": today, "last": today}))
        (home / "twin.toml").write_text(
            f'sources = [{{ name = "companion", kind = "table", consent = "a benchmark", '
            f'url = "{source_url}", capture = true }}]\n[subject]\nspeaker = "angela"\n'
        )
        settings = _settings_of(home)
        twin = stack.enter_context(open_server(settings))
        databases = stack.enter_context(open_databases(settings))
        scene = Scene(source, twin, settings, source_url, databases.twin)
        stack.callback(scene.stop)
        yield scene


def _settings_of(home: Path) -> TwinSettings:
    kept = {name: os.environ.get(name) for name in ("TWIN_HOME", "TWIN_CONFIG")}
    os.environ |= {"TWIN_HOME": str(home), "TWIN_CONFIG": str(home / "twin.toml")}
    try:
        return TwinSettings()
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _throughput(scene: Scene, tell: Tell) -> dict[str, Any]:
    """How many rows a second land of a burst, beside reading the table anew."""
    (feed,) = feeds(scene.settings)
    with connect(scene.twin_url) as own, reading(feed, own) as reader:
        drain(own, reader, scene.settings, feed)
        writer = Writer(scene.source_url)
        writer.burst(BURST)
        begun = time.monotonic()
        drain(own, reader, scene.settings, feed)
        seconds = time.monotonic() - begun
        own.execute("update feeds set mapping = 'read anew'")
        own.commit()
        begun = time.monotonic()
        drain(own, reader, scene.settings, feed)
        anew = time.monotonic() - begun
        writer.empty()
        drain(own, reader, scene.settings, feed)
        writer.close()
    tell(f"{BURST:,} rows landed in {seconds:.1f} s")
    return {
        "rows_per_s": round(BURST / seconds),
        "baseline_read_anew_rows_per_s": round(BURST / anew),
    }


def _wait(scene: Scene, watcher: Watcher, writer: Writer, seconds: float) -> None:
    """Write one message and wait until it, and all before it, can be retrieved.

    Raises TwinError when nothing more arrived for so long.
    """
    writer.say_one()
    missing = watcher.missing()
    end = time.monotonic() + seconds
    while missing and time.monotonic() < end:
        time.sleep(0.1)
        left = watcher.missing()
        if len(left) < len(missing):
            end = time.monotonic() + seconds
        missing = left
    if not missing:
        return
    said = (scene.settings.home / "follow.log").read_text().strip().splitlines()[-1:]
    raise TwinError(
        f"`twin follow` brought nothing more over for {seconds:g} seconds: of {len(missing):,} "
        f"messages that cannot be retrieved {sum(missing.values()):,} landed; it said last: "
        f"{said[0] if said else 'nothing'}"
    )


def _memory(scene: Scene) -> int:
    if scene.follower is None:
        return 0
    try:
        return int(psutil.Process(scene.follower.pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def compared(scene: Scene) -> dict[str, Any]:
    """Rows that are on one side alone, or differ."""
    with connect(scene.twin_url) as own, psycopg.connect(scene.source_url) as source:
        there: dict[str, str] = dict(
            source.execute(
                "select conversation_id::text, message_text from conversations"
            ).fetchall()
        )
        here = own.execute(
            "select source_message_id, text from raw_messages where source = 'companion'"
        ).fetchall()
        waiting = waiting_letters(own).height
    arrived: dict[str, str] = dict(here)
    lost = sum(arrived.get(key) != text for key, text in there.items())
    more = len(here) - len(arrived) + sum(key not in there for key in arrived)
    return {"rows": len(there), "lost": lost, "duplicated": more, "set_aside": waiting}
