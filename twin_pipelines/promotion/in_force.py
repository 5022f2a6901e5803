"""What serves at this moment, read in one statement, so that no answer mixes two releases."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_UNSPOKEN = re.compile(r"[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u2000-\u206f]+")


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
    forgotten: bool = False  # whether the owner wants words of its prompt or identity forgotten

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
        if self.forgotten:
            content.append([self.system_prompt, self.identity])
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"v{self.model_version}-{digest[:8]}"


def without_sentences(text: str, forgotten: Sequence[str]) -> str:
    """The text without the sentences that say what is forgotten (words as `spoken_words` of the
    database gives them); lines that lose all they had go with them."""
    if not any(words in _spoken(text) for words in forgotten):
        return text
    kept = []
    for line in text.split("\n"):
        sentences = _SENTENCE.split(line)
        said = [one for one in sentences if not any(words in _spoken(one) for words in forgotten)]
        if said or not line:
            kept.append(" ".join(said) if len(said) < len(sentences) else line)
    return "\n".join(kept)


def _spoken(text: str) -> str:
    """As the database's `spoken_words`."""
    return _UNSPOKEN.sub(" ", text).lower().strip()
