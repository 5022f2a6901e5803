"""What serves at this moment, read in one statement, so that no answer mixes two releases."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import psycopg

CHANNEL = "twin_release"  # PostgreSQL NOTIFY: the number of the release that came into force


@dataclass(frozen=True)
class CoreMemory:
    """A statement of the subject that is always remembered."""

    title: str
    content: str
    importance: float


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


def release_in_force(connection: psycopg.Connection) -> ReleaseInForce | None:
    """The release that serves, as one consistent snapshot; None while nothing was promoted.

    A promotion, a rollback and a change of the core memories notify CHANNEL in their transaction:
    `listen twin_release`, and call this again on each notification.
    """
    row = connection.execute(
        """
        select release_id, model_version, releases.adapter_id, adapters.path, base_reference,
               base_sha256, template_hash, persona ->> 'system_prompt', persona ->> 'version',
               persona ->> 'identity', (persona ->> 'identity_version')::int,
               retrieval, forced, coalesce(in_force_since, promoted_at),
               coalesce((
                   select jsonb_agg(jsonb_build_object(
                              'title', title, 'content', content, 'importance', importance)
                          order by importance desc, memory_id)
                   from core_memories where core_memories.release_id = releases.release_id
               ), '[]')
        from releases join adapters using (adapter_id) where status = 'champion'
        """
    ).fetchone()
    if row is None:
        return None
    number, version, adapter, path, base, sha256, template, prompt, persona, *rest = row
    identity, identity_version, retrieval, forced, since, memories = rest
    return ReleaseInForce(
        release_id=number,
        model_version=version,
        adapter_id=adapter,
        adapter=PurePosixPath(path) / "adapter",
        base_reference=base,
        base_sha256=sha256,
        template_hash=template,
        system_prompt=prompt or "",
        persona_version=persona or "",
        retrieval=retrieval,
        core_memories=tuple(CoreMemory(**memory) for memory in memories),
        forced=forced,
        in_force_since=since,
        identity=identity or "",
        identity_version=identity_version,
    )
