"""Voices that are loaded only when the champion cannot answer: the previous release, and the base.

Which they are is learnt from the database while it answers (`Spares.learn`) and remembered when it
does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

import psycopg

from twin_pipelines.generation.prompt import system_prompt
from twin_pipelines.persona.identity.store import latest_identity
from twin_pipelines.promotion.in_force import ReleaseInForce
from twin_pipelines.promotion.store import champion, previous_champion, release_in_force
from twin_pipelines.serving.engine import NotReady
from twin_pipelines.serving.voice import Voice, load_base, load_voice
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.store import stored_subject

IDLE_SECONDS = 600.0  # a spare voice that nobody needed for so long leaves memory
NO_PREVIOUS = "No release served before the one in force."
NO_SUBJECT = "No subject is chosen yet; run `twin import` and `twin subject`."


class Spare:
    """One voice that is loaded when it is needed and forgotten when it is not."""

    def __init__(self, load: Callable[[ReleaseInForce], Voice], lacking: str) -> None:
        self._load = load
        self._lacking = lacking
        self._loading: asyncio.Task[Voice] | None = None
        self._loaded_for: ReleaseInForce | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.release: ReleaseInForce | None = None  # set by whoever learns of it, in any thread

    def problem(self) -> str:
        """Why there is nothing to load; empty when there is."""
        return "" if self.release else self._lacking

    async def voice(self) -> Voice:
        """The voice, loaded at the first call. Raises NotReady, and what the loading raised.

        Who stops waiting does not stop the loading; one that failed is begun anew.
        """
        release = self.release
        if release is None:
            raise NotReady(self._lacking)
        failed = self._loading and self._loading.done() and not _loaded(self._loading)
        if self._loading is None or failed or self._loaded_for != release:
            self._loaded_for = release
            self._loading = asyncio.create_task(asyncio.to_thread(self._load, release))
        self._stay()
        return await asyncio.shield(self._loading)

    def forget(self) -> None:
        """Give its memory back; requests that hold it finish with it."""
        if self._timer:
            self._timer.cancel()
        self._loading = self._loaded_for = self._timer = None

    def _stay(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.forget)


class Spares:
    """What may stand in for the champion."""

    def __init__(self, settings: TwinSettings) -> None:
        self._settings = settings
        self.in_force: ReleaseInForce | None = None
        self.previous = Spare(lambda release: load_voice(release, settings), NO_PREVIOUS)
        self.base = Spare(lambda release: load_base(release, settings), NO_SUBJECT)

    def learn(
        self,
        connection: psycopg.Connection,
        found: ReleaseInForce | None,
        blocked: Collection[str] = (),
    ) -> None:
        """Read which release served before `found`, and what the base is told of the subject.

        `blocked` are the adapters that may answer nobody, here or in another program.
        """
        self.in_force = None if found and found.adapter_id in blocked else found
        present = champion(connection)
        before = previous_champion(connection, present) if present else None
        self.previous.release = release_in_force(connection, before.release_id) if before else None
        self.base.release = (
            replace(found, release_id=0, model_version=0, adapter_id="")
            if found
            else self._untaught(connection)
        )

    def _untaught(self, connection: psycopg.Connection) -> ReleaseInForce | None:
        """What the base is told before the first release; None without a subject."""
        subject = stored_subject(connection)
        if subject is None:
            return None
        identity = latest_identity(connection, subject.speaker)
        return ReleaseInForce(
            release_id=0,
            model_version=0,
            adapter_id="",
            adapter=PurePosixPath(),
            base_reference=self._settings.training.base_model,
            base_sha256="",
            template_hash="",
            system_prompt=system_prompt(
                self._settings, subject.name, identity.short_form if identity else ""
            ),
            persona_version="",
            retrieval={},
            core_memories=(),
            forced=False,
            in_force_since=datetime.now(UTC),
            identity=identity.content if identity else "",
        )


def _loaded(loading: asyncio.Task[Voice]) -> bool:
    return not loading.cancelled() and loading.exception() is None
