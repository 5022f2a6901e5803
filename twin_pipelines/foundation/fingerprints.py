"""Hashes of large files, remembered by size and time so that they are read once.

A file whose content changed while its size and modification time (nanoseconds) stayed the same is
not noticed: this guards against damage and replacement, not against someone who forges times.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def hash_file(path: Path) -> str:
    """The file's sha256, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def combined_hash(hashes: Mapping[str, str]) -> str:
    """One sha256 for all: the file's own when there is one, else of the sorted listing."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    listing = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256(listing.encode()).hexdigest()


def fingerprint(folder: Path, names: Iterable[str], record: Path) -> dict[str, str]:
    """sha256 by file name; a file is read only where its size or time differ from the record."""
    known = read_json(record)
    entries: dict[str, dict[str, Any]] = {}
    hashes: dict[str, str] = {}
    for name in names:
        path = folder / name
        key = os.path.relpath(path, record.parent)
        stat = path.stat()
        entry = known.get(key, {})
        if entry.get("size") != stat.st_size or entry.get("mtime_ns") != stat.st_mtime_ns:
            entry = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": hash_file(path)}
        entries[key] = entry
        hashes[name] = entry["sha256"]
    if entries != known:
        write_json(record, entries)
    return hashes


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty when there is no file or it holds no JSON object."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write the object so that readers see the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as scratch:
        json.dump(content, scratch, indent=1)
    Path(scratch.name).replace(path)
