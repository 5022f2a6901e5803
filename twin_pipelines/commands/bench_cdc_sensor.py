"""`twin bench cdc --sensor`: how long a message takes when only Dagster's daemon runs.

A message is said now and then; the sensor brings it over and asks for a run of its day. It counts
as retrievable once `twin recall`, which indexes what is queued before it answers, would find it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twin_pipelines.commands.bench_cdc import Scene, Tell, compared, opened_scene
from twin_pipelines.commands.bench_cdc_writer import Watcher, Writer
from twin_pipelines.commands.up import stop_trees
from twin_pipelines.embeddings.encoder import Encoder, load_encoder
from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.instance import exports, open_instance
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.settings import TwinError

SAID_SECONDS = 20.0  # between two messages
START_SECONDS = 300.0
SETTLE_SECONDS = 300.0


def by_sensor(minutes: float, tell: Tell) -> dict[str, Any]:
    """Say a message every 20 seconds for so long, with Dagster's daemon alone.

    Lags are seconds from the commit. Raises TwinError when a message does not arrive.
    """
    with opened_scene() as scene, _daemon(scene), _searching(scene):
        with Writer(scene.source_url) as writer, Watcher(scene.twin_url, writer) as watcher:
            writer.begin()
            _say(scene, writer, watcher, START_SECONDS)
            watcher.start_anew()
            tell(f"the daemon runs; a message every {SAID_SECONDS:g} s for {minutes:g} minutes")
            end = time.monotonic() + minutes * 60
            while time.monotonic() < end:
                writer.say_one()
                time.sleep(SAID_SECONDS)
            _say(scene, writer, watcher, SETTLE_SECONDS)
            figures = watcher.figures()
            figures["retrievable_worst_s"] = watcher.worst()
        return figures | compared(scene) | {"minutes": minutes}


def _say(scene: Scene, writer: Writer, watcher: Watcher, seconds: float) -> None:
    """Say one message and wait until everything that was said can be retrieved."""
    writer.say_one()
    end = time.monotonic() + seconds
    while watcher.missing():
        if time.monotonic() > end:
            raise TwinError(
                f"The sensor did not bring a message over within {seconds:g} seconds; its daemon "
                f"said last: {_last_words(scene)}"
            )
        time.sleep(0.2)


def _last_words(scene: Scene) -> str:
    lines = (scene.settings.home / "daemon.log").read_text().strip().splitlines()
    return lines[-1] if lines else "nothing"


@contextmanager
def _daemon(scene: Scene) -> Iterator[None]:
    """Dagster's daemon over the scene's twin."""
    known = dict(os.environ)
    os.environ |= {
        "TWIN_HOME": str(scene.settings.home),
        "TWIN_CONFIG": str(scene.settings.home / "twin.toml"),
    }
    try:
        with (
            open_instance(scene.settings) as (_, databases),
            (scene.settings.home / "daemon.log").open("wb") as log,
        ):
            script = Path(sys.executable).with_name("dagster-daemon")
            process = subprocess.Popen(
                [str(script), "run", "-m", "twin_pipelines.definitions"],
                env=os.environ | exports(scene.settings, databases),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield
            finally:
                stop_trees([process])
    finally:
        os.environ.clear()
        os.environ.update(known)


@contextmanager
def _searching(scene: Scene) -> Iterator[None]:
    """Index what is queued each second, as the twin server does and `twin recall` before it
    answers."""
    over = threading.Event()
    encoder = load_encoder(scene.settings)
    thread = threading.Thread(target=_index, args=(scene, encoder, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def _index(scene: Scene, encoder: Encoder, over: threading.Event) -> None:
    with connect(scene.twin_url) as own:
        while not over.wait(1.0):
            index_queued(own, encoder)
            own.commit()
