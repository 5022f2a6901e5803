"""Keeps the engine on the release in force: told by the database, and looking now and then."""

from __future__ import annotations

import logging
import threading
import time

import psycopg

from twin_pipelines.foundation.database import connect
from twin_pipelines.promotion.store import listen_for_releases, release_in_force
from twin_pipelines.serving.backends.spares import Spares
from twin_pipelines.serving.engine import Engine
from twin_pipelines.serving.voice import load_voice
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training.blocks_store import blocked_adapters

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0  # a notification may be lost with its connection
RETRY_SECONDS = 30.0  # until a release that could not be loaded is tried again
MAY_NOT_ANSWER = "Adapter {} may not answer: {}; `twin train` makes one without it."


class Follower(threading.Thread):
    """Loads what came into force beside what serves, and then lets the engine switch."""

    def __init__(
        self, engine: Engine, url: str, settings: TwinSettings, spares: Spares | None = None
    ) -> None:
        super().__init__(name="follower", daemon=True)
        self._spares = spares
        self._looking = threading.Lock()
        self._engine = engine
        self._url = url
        self._settings = settings
        self._stopping = threading.Event()
        self._failed = ("", 0.0)  # a release that could not be loaded, and when to try again

    def stop(self) -> None:
        """Look no more; what is being loaded is dropped."""
        self._stopping.set()

    def run(self) -> None:
        """Follow until stopped; without the database the voice in force goes on answering."""
        self._engine.loading = self._engine.voice is None
        while not self._stopping.is_set():
            try:
                with connect(self._url) as connection:
                    connection.autocommit = True
                    listen_for_releases(connection)
                    while not self._stopping.is_set():
                        self.look(connection)
                        for _ in connection.notifies(timeout=LOOK_SECONDS, stop_after=1):
                            pass
            except (TwinError, psycopg.Error) as error:
                self._engine.loading = False
                self._engine.report_problem(f"The database cannot be asked which serves: {error}")
                logger.warning("Which release is in force is not known: %s", error)
                self._stopping.wait(LOOK_SECONDS)

    def look_now(self) -> None:
        """Look on a connection of its own, for whoever changed something and waits for it.

        Raises TwinError without the database.
        """
        with connect(self._url) as connection:
            connection.autocommit = True
            self.look(connection)

    def look(self, connection: psycopg.Connection) -> None:
        """Bring the engine to the release in force; what cannot be loaded is tried again later."""
        with self._looking:
            self._look(connection)
            self._engine.loading = False

    def _look(self, connection: psycopg.Connection) -> None:
        found = release_in_force(connection)
        blocked = {
            adapter: MAY_NOT_ANSWER.format(adapter, reason)
            for adapter, reason in blocked_adapters(connection).items()
        }
        self._engine.withdraw(blocked, found.adapter_id if found else "")
        if self._spares:
            self._spares.learn(connection, found, blocked)
        present = self._engine.voice
        if self._engine.withheld:
            if self._engine.withheld != self._engine.problem:
                logger.warning("%s", self._engine.withheld)
            self._engine.report_problem(self._engine.withheld)
            return
        if found is None:
            self._engine.report_problem("")
            if present:
                logger.warning("No release is in force any more; nothing answers.")
                self._engine.switch(None)
            return
        if present and present.release.version == found.version:
            self._engine.report_problem("")
            return
        if self._failed[0] == found.version and time.monotonic() < self._failed[1]:
            return
        try:
            voice = load_voice(found, self._settings, present)
        except Exception as error:  # whatever is wrong with it, the other one must go on serving
            self._failed = (found.version, time.monotonic() + RETRY_SECONDS)
            words = str(error) if isinstance(error, TwinError) else repr(error)
            if words != self._engine.problem:
                logger.error("Release %s cannot serve: %s", found.version, words)
            self._engine.report_problem(words)
            return
        if not self._stopping.is_set():
            self._engine.switch(voice)
            logger.info("Release %s answers now.", voice.name)
