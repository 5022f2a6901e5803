"""What a model of another process is asked with: the same context, cut by the same tokenizer.

Nothing but a tokenizer is loaded for it, and that of the release in force is there already where
the engine has it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.serving.backends.spares import NO_SUBJECT, Spares
from twin_pipelines.serving.engine import NO_RELEASE, Engine, NotReady
from twin_pipelines.serving.voice import IDENTITY_SHARE, Voice, what_stands, with_page
from twin_pipelines.settings import TwinError, TwinSettings


class Prompting:
    """Voices without weights: they know what to ask with. Used from one event loop only."""

    def __init__(self, settings: TwinSettings, engine: Engine, spares: Spares) -> None:
        self._settings = settings
        self._engine = engine
        self._spares = spares
        self._tokenizers: dict[Path, Any] = {}
        self._loading = asyncio.Lock()

    def untold(self) -> str:
        """Why the champion cannot be spoken for, in a sentence; empty when it can."""
        known = self._engine.voice or self._spares.in_force
        return "" if known else self._engine.problem or NO_RELEASE

    async def taught(self) -> Voice:
        """For the champion's own weights elsewhere: what the champion is asked with.

        Raises NotReady while no release is in force, and TwinError without its tokenizer.
        """
        if self._engine.voice:
            return self._engine.voice
        release = self._spares.in_force
        if release is None:
            raise NotReady(self._engine.problem or NO_RELEASE)
        tokenizer = await self._tokenizer(self._settings.home / release.adapter)
        serving = self._settings.serving
        stands = what_stands(tokenizer, release, serving)
        return Voice(release, None, tokenizer, stands, serving.context_tokens)

    async def untaught(self) -> Voice:
        """For any other model: the release's system prompt with the persona page.

        The tokenizer of the release's base measures well enough for any model. Raises NotReady
        while nothing is known of the subject, and TwinError without the tokenizer.
        """
        release = self._spares.base.release
        if release is None:
            raise NotReady(NO_SUBJECT)
        base = await asyncio.to_thread(
            resolve_model, release.base_reference, self._settings, purpose="causal"
        )
        tokenizer = await self._tokenizer(base.path)
        serving = self._settings.serving
        room = serving.context_tokens
        stands = with_page(tokenizer, release, serving, int(room * IDENTITY_SHARE))
        return Voice(release, None, tokenizer, stands, room, "untaught")

    async def _tokenizer(self, folder: Path) -> Any:
        async with self._loading:
            if folder not in self._tokenizers:
                self._tokenizers[folder] = await asyncio.to_thread(_load, folder)
            return self._tokenizers[folder]


def _load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise TwinError(f"No usable tokenizer in {folder}; restore the folder.") from error
