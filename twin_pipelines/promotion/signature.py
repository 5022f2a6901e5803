"""Signed notes: who let a refused challenger serve, or an adapter that learnt what was erased, when
and why, so that nobody edits it later.

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
from twin_pipelines.training.blocks_store import Allowance

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
    document = _canonical(
        {
            "release_id": release_id,
            "replaced": replaced,
            "adapter_id": adapter_id,
            "evaluation_id": evaluation_id,
            "signed_by": signed_by,
            "reason": reason,
            "signed_at": signed_at.isoformat(),
            "verdict": verdict,
        }
    )
    return Note(release_id, signed_by, reason, signed_at, document, _signature(key, document))


def signed_allowance(
    key: bytes,
    *,
    adapter_id: str,
    erasure_id: str,
    allowed_by: str,
    allowed_because: str,
    allowed_at: datetime,
) -> Allowance:
    """Sign, as a note is signed, that an adapter may answer although it learnt what was erased."""
    document = _canonical(
        {
            "adapter_id": adapter_id,
            "erasure_id": erasure_id,
            "allowed_by": allowed_by,
            "allowed_because": allowed_because,
            "allowed_at": allowed_at.isoformat(),
        }
    )
    return Allowance(
        adapter_id,
        erasure_id,
        allowed_by,
        allowed_because,
        allowed_at,
        document,
        _signature(key, document),
    )


def note_faults(home: Path, notes: Sequence[Note]) -> list[str | None]:
    """Why each note is not to be believed, None where it is; a lost key proves nothing."""
    if not notes:
        return []
    try:
        key = existing_key(home)
    except TwinError as error:
        return [f"the note under release {note.release_id}: {error}" for note in notes]
    return [note_fault(key, note) for note in notes]


def allowance_faults(home: Path, allowances: Sequence[Allowance]) -> list[str | None]:
    """Why each allowance is not to be believed, None where it is; a lost key proves nothing."""
    if not allowances:
        return []
    try:
        key = existing_key(home)
    except TwinError as error:
        return [f"the allowance of adapter {one.adapter_id}: {error}" for one in allowances]
    return [allowance_fault(key, one) for one in allowances]


def note_fault(key: bytes, note: Note) -> str | None:
    """Why a note is not to be believed, in words; None when it is as it was signed."""
    stored = {
        "release_id": note.release_id,
        "signed_by": note.signed_by,
        "reason": note.reason,
        "signed_at": note.signed_at.isoformat(),
    }
    name = f"the note under release {note.release_id}"
    return _fault(key, name, note.document, note.signature, stored)


def allowance_fault(key: bytes, allowance: Allowance) -> str | None:
    """Why an allowance is not to be believed, in words; None when it is as it was signed."""
    stored = {
        "adapter_id": allowance.adapter_id,
        "erasure_id": allowance.erasure_id,
        "allowed_by": allowance.allowed_by,
        "allowed_because": allowance.allowed_because,
        "allowed_at": allowance.allowed_at.isoformat(),
    }
    name = f"the allowance of adapter {allowance.adapter_id}"
    return _fault(key, name, allowance.document, allowance.signature, stored)


def _fault(
    key: bytes, name: str, document: str, signature: str, stored: dict[str, Any]
) -> str | None:
    if not hmac.compare_digest(_signature(key, document), signature):
        return f"{name} was changed after it was signed"
    said = json.loads(document)
    changed = [field for field, value in stored.items() if said[field] != value]
    if changed:
        return f"{name} differs from what was signed: {', '.join(changed)}"
    return None


def _canonical(said: dict[str, Any]) -> str:
    return json.dumps(said, sort_keys=True, ensure_ascii=False)


def _signature(key: bytes, document: str) -> str:
    return hmac.new(key, document.encode(), hashlib.sha256).hexdigest()
