"""Signed notes: who let a refused challenger serve, when and why, so that nobody edits it later.

The key lies in the state folder, readable by its owner alone. A signature proves that the note was
written on this machine and not changed since; it proves nothing against someone who holds the key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from twin_pipelines.settings import TwinError

KEY_FILE = "signing.key"


@dataclass(frozen=True)
class Note:
    """A forced promotion as it was signed; see `promotion_notes`."""

    release_id: int
    signed_by: str
    reason: str
    signed_at: datetime
    document: str
    signature: str

    def verdict(self) -> dict[str, Any]:
        """What the gate had said."""
        return json.loads(self.document)["verdict"]


def signing_key(home: Path) -> bytes:
    """The key of the state folder, made at the first use."""
    path = home / KEY_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return existing_key(home)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    return existing_key(home)


def existing_key(home: Path) -> bytes:
    """The key of the state folder. Raises TwinError when it is missing or no key."""
    path = home / KEY_FILE
    try:
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise TwinError(f"The signing key {path} cannot be read; restore it.") from error
    if len(key) < 16:
        raise TwinError(f"The signing key {path} is too short; restore it.")
    return key


def signed_note(
    key: bytes,
    *,
    release_id: int,
    replaced: int | None,
    adapter_id: str,
    evaluation_id: str,
    signed_by: str,
    reason: str,
    signed_at: datetime,
    verdict: dict[str, Any],
) -> Note:
    """Sign a forced promotion (HMAC-SHA256, RFC 2104, over the note as canonical JSON)."""
    document = json.dumps(
        {
            "release_id": release_id,
            "replaced": replaced,
            "adapter_id": adapter_id,
            "evaluation_id": evaluation_id,
            "signed_by": signed_by,
            "reason": reason,
            "signed_at": signed_at.isoformat(),
            "verdict": verdict,
        },
        sort_keys=True,
        ensure_ascii=False,
    )
    return Note(release_id, signed_by, reason, signed_at, document, _signature(key, document))


def note_faults(home: Path, notes: Sequence[Note]) -> list[str | None]:
    """Why each note is not to be believed, None where it is; a lost key proves nothing."""
    if not notes:
        return []
    try:
        key = existing_key(home)
    except TwinError as error:
        return [f"the note under release {note.release_id}: {error}" for note in notes]
    return [note_fault(key, note) for note in notes]


def note_fault(key: bytes, note: Note) -> str | None:
    """Why a note is not to be believed, in words; None when it is as it was signed."""
    if not hmac.compare_digest(_signature(key, note.document), note.signature):
        return f"the note under release {note.release_id} was changed after it was signed"
    said = json.loads(note.document)
    stored = {
        "release_id": note.release_id,
        "signed_by": note.signed_by,
        "reason": note.reason,
        "signed_at": note.signed_at.isoformat(),
    }
    changed = [name for name, value in stored.items() if said[name] != value]
    if changed:
        names = ", ".join(changed)
        return f"the note under release {note.release_id} differs from what was signed: {names}"
    return None


def _signature(key: bytes, document: str) -> str:
    return hmac.new(key, document.encode(), hashlib.sha256).hexdigest()
