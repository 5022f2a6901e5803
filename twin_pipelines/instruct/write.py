"""Writes a dataset's folder: whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from filelock import FileLock

from twin_pipelines.foundation.fingerprints import hash_file, read_json
from twin_pipelines.instruct.canaries import Canary

MANIFEST = "manifest.json"
_MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
_ROW_SCHEMA: dict[str, Any] = {
    "pair_id": pl.String,
    "prompt": _MESSAGES,
    "completion": _MESSAGES,
    "partner": pl.String,
    "session_id": pl.String,
    "replied_at": pl.String,
    "quality": pl.Float64,
}


def write_dataset(
    folder: Path,
    rows: Mapping[str, Sequence[dict[str, Any]]],
    planted: Sequence[Canary],
    beside: Sequence[dict[str, Any]],
    papers: Mapping[str, bytes],
) -> bool:
    """Write a dataset into `folder`; False when it is there, unharmed.

    The files are made in a folder beside it, which then takes its place. `<split>.jsonl` is what
    trainers read: the pairs of `rows` and, in train, the marked rows of `beside` (canaries,
    rehearsal); `<split>.parquet` holds the pairs alone; `canaries.json` what an exposure test
    needs; `papers` are further files by name, the card among them; `manifest.json` the sha256 of
    every file.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if is_intact(folder):
            return False
        scratch = folder.parent / f".{folder.name}.{os.getpid()}"
        for left_over in folder.parent.glob(f".{folder.name}.[0-9]*"):
            shutil.rmtree(left_over)
        scratch.mkdir()
        for split, content in rows.items():
            marked = [{**row, "canary": False, "rehearsal": False} for row in content]
            extra = beside if split == "train" else ()
            (scratch / f"{split}.jsonl").write_bytes(_lines([*marked, *extra]))
            frame = pl.DataFrame(list(content), schema=_ROW_SCHEMA)
            frame.write_parquet(scratch / f"{split}.parquet")
        (scratch / "canaries.json").write_text(
            json.dumps([vars(canary) for canary in planted], indent=1, ensure_ascii=False)
        )
        for name, paper in papers.items():
            (scratch / name).write_bytes(paper)
        _write_manifest(scratch)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
    return True


def is_intact(folder: Path) -> bool:
    """Whether the folder holds the files of its manifest, unchanged."""
    manifest = read_json(folder / MANIFEST)
    return bool(manifest) and all(
        (folder / name).is_file() and hash_file(folder / name) == digest
        for name, digest in manifest.items()
    )


def _write_manifest(folder: Path) -> None:
    hashes = {path.name: hash_file(path) for path in sorted(folder.iterdir())}
    (folder / MANIFEST).write_text(json.dumps(hashes, indent=1))


def _lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)
