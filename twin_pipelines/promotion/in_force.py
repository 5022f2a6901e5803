"""What serves at this moment, read in one statement, so that no answer mixes two releases."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any


@dataclass(frozen=True)
class CoreMemory:
    """A statement of the subject that is always remembered."""

    title: str
    content: str
    importance: float
    memory_id: str = field(default="", compare=False)
    message_ids: tuple[str, ...] = field(default=(), compare=False)  # of raw_messages


@dataclass(frozen=True)
class ReleaseInForce:
    """One release whole: everything a server needs to answer as it.

    `adapter` is the folder of weights and tokenizer, relative to the state folder. `retrieval` is
    `{"settings": {section: {...}}, "index_version": "model@hash"}`; empty for a release from before
    it was recorded. `version` changes whenever anything here does.
    """

    release_id: int
    model_version: int
    adapter_id: str
    adapter: PurePosixPath
    base_reference: str
    base_sha256: str
    template_hash: str
    system_prompt: str
    persona_version: str
    retrieval: dict[str, Any]
    core_memories: tuple[CoreMemory, ...]  # the most important first
    forced: bool
    in_force_since: datetime
    identity: str = ""  # the persona page it was registered with
    identity_version: int | None = None

    @property
    def version(self) -> str:
        """Name of exactly this state, such as `v3-1f09ab2c`: model version and hash of the rest."""
        content: list[Any] = [
            self.adapter_id,
            self.persona_version,
            self.retrieval,
            [(memory.title, memory.content) for memory in self.core_memories],
        ]
        if self.identity_version is not None:
            content.append(self.identity_version)
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"v{self.model_version}-{digest[:8]}"
