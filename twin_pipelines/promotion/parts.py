"""What a release consists of besides adapter and core memories: persona, retrieval, template, base.

Recorded when a challenger is registered, so that what serves is what was judged, and so that a
rollback restores all of it whatever the settings have become.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_pipelines.embeddings.encoder import model_id
from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.persona.identity.compose import Identity
from twin_pipelines.settings import TwinSettings

_RETRIEVAL: dict[str, Any] = {"embedding": {"model"}, "memory": True, "retrieval": True}


@dataclass(frozen=True)
class ReleaseParts:
    """The parts of a release that are recorded with it, see sql/0004_releases.sql."""

    persona: dict[str, Any]  # system_prompt, version; identity, identity_version where one exists
    retrieval: dict[str, Any]  # settings, index_version
    template_hash: str
    base_reference: str
    base_sha256: str


def release_parts(
    settings: TwinSettings,
    *,
    system_prompt: str,
    identity: Identity | None,
    adapter: Path,
    base: tuple[str, str],
) -> ReleaseParts:
    """The parts of a release whose weights lie in the folder `adapter`; raises TwinError without
    the embedding model.

    `identity` is the persona page in use, `base` the base's reference and hash. The index version
    is that of the vectors searched now.
    """
    reference, sha256 = base
    page = {"identity": identity.content, "identity_version": identity.version} if identity else {}
    return ReleaseParts(
        persona={"system_prompt": system_prompt, "version": short_hash(system_prompt), **page},
        retrieval={
            "settings": settings.model_dump(mode="json", include=_RETRIEVAL),
            "index_version": model_id(settings),
        },
        template_hash=template_hash(adapter),
        base_reference=reference,
        base_sha256=sha256,
    )


def template_hash(folder: Path) -> str:
    """Hash of a tokenizer folder's chat template; empty where it has none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return short_hash(file.read_text(encoding="utf-8"))
    template = read_json(folder / "tokenizer_config.json").get("chat_template")
    return short_hash(str(template)) if template else ""


def short_hash(text: str) -> str:
    """First 12 hexadecimal digits of the text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
