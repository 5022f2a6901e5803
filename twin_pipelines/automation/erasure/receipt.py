"""The receipt of an erasure: what went, from where, what was found afterwards, signed.

It names nobody and quotes nothing: what was asked for stands there as a salted hash and a kind. It
is signed with the key of the state folder (HMAC-SHA256, RFC 2104, over the document as canonical
JSON), so that it proves to have been written here and not changed since.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from jinja2 import Environment, PackageLoader, StrictUndefined

from twin_pipelines.automation.erasure import receipt_store, removal_store
from twin_pipelines.automation.erasure.erasure_store import Erasure
from twin_pipelines.automation.erasure.files import Change, Journal
from twin_pipelines.automation.erasure.papers import OWN
from twin_pipelines.automation.erasure.verify import Verification
from twin_pipelines.promotion.signature import existing_key, signing_key
from twin_pipelines.settings import TwinError, TwinSettings

RECEIPT, PAGE = "receipt.json", "receipt.html"


@dataclass(frozen=True)
class Listed:
    """One receipt in a list."""

    erasure_id: str
    kind: str
    finished_at: str
    messages: int
    files: int
    models: int
    verified: bool
    signature: str  # good, or what is wrong with it


def write_receipt(
    settings: TwinSettings,
    connection: psycopg.Connection,
    erasure: Erasure,
    verification: Verification,
) -> Path:
    """Write and sign `home/erasures/<id>/receipt.json`, and a page of it beside; the page's path.

    May be written again, as when some of it was found and mended. Leaves a transaction open.
    """
    changes = Journal(settings, erasure.erasure_id).read()
    document = _document(connection, erasure, changes, verification)
    key = signing_key(settings.home)
    signature = _signature(key, document)
    signed = {"document": document, "signature": signature}
    folder = settings.home / OWN / erasure.erasure_id
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / RECEIPT, json.dumps(signed, indent=1, ensure_ascii=False))
    _put(folder / PAGE, _page(document, signature))
    return folder / PAGE


def receipts(home: Path) -> list[Listed]:
    """All receipts, the latest first."""
    found = [_listed(home, path) for path in sorted((home / OWN).glob(f"*/{RECEIPT}"))]
    return sorted(found, key=lambda one: one.finished_at, reverse=True)


def receipt_fault(home: Path, path: Path) -> str | None:
    """Why a receipt is not to be believed, in words; None when it is as it was signed."""
    try:
        signed = json.loads(path.read_text())
        document, signature = signed["document"], signed["signature"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{path} is no receipt"
    try:
        key = existing_key(home)
    except TwinError as error:
        return str(error)
    if not hmac.compare_digest(_signature(key, document), str(signature)):
        return f"{path} was changed after it was signed"
    return None


def _document(
    connection: psycopg.Connection,
    erasure: Erasure,
    changes: Sequence[Change],
    verification: Verification,
) -> dict[str, Any]:
    now = removal_store.counts(connection)
    return {
        "erasure_id": erasure.erasure_id,
        "asked": {
            "kind": erasure.kind,
            "request_hash": erasure.request_hash,
            "by": erasure.asked_by,
            "reason": erasure.reason,
            "at": erasure.asked_at.astimezone(UTC).isoformat(timespec="seconds"),
        },
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "tables": {
            name: {"before": erasure.before.get(name, 0), "removed": rows, "now": now.get(name)}
            for name, rows in sorted(erasure.counts.items())
        },
        "days_derived_anew": len(erasure.days),
        "files": [asdict(change) for change in changes],
        "datasets": receipt_store.datasets(connection, erasure.erasure_id),
        "models": receipt_store.models(connection, erasure.erasure_id),
        "retrievers": list(erasure.retrievers),
        "keep_serving": erasure.keep_serving,
        "verification": verification.to_dict(),
    }


def _page(document: dict[str, Any], signature: str) -> str:
    environment = Environment(
        loader=PackageLoader("twin_pipelines.automation", "erasure"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    actions = Counter(change["action"] for change in document["files"])
    template = environment.get_template("receipt.html.j2")
    return template.render(receipt=document, signature=signature, actions=actions)


def _listed(home: Path, path: Path) -> Listed:
    fault = receipt_fault(home, path)
    if fault and fault.endswith("is no receipt"):
        return Listed(path.parent.name, "", "", 0, 0, 0, False, fault)
    document = json.loads(path.read_text())["document"]
    return Listed(
        erasure_id=document["erasure_id"],
        kind=document["asked"]["kind"],
        finished_at=document["finished_at"],
        messages=document["tables"].get("raw_messages", {}).get("removed", 0),
        files=len({change["where"] for change in document["files"]}),
        models=len(document["models"]),
        verified=document["verification"]["passed"],
        signature=fault or "good",
    )


def _signature(key: bytes, document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


def _put(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
