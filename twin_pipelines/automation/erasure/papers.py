"""Reads one file of the state folder whatever its form, and writes it without what was erased."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl

from twin_pipelines.automation.erasure.markings import marked
from twin_pipelines.automation.erasure.traces import Traces, inflated

WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".onnx", ".npz", ".npy", ".model")
PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".ico")
DATABASE = "postgres"  # folder of a server: its log is read, its tables are asked for
OWN = "erasures"
LARGE, OVERLAP = 64 * 1024**2, 64 * 1024  # bytes of a file that is read in parts
_TEXT = (".md", ".txt", ".log", ".out", ".err", ".yaml", ".toml", ".jinja", ".csv", "")
_ROWS = (".jsonl", ".parquet")
_OPEN = (".log", ".out", ".err")  # somebody may be writing: these are rewritten where they are
_THEIRS = ("twin.toml", "signing.key", "token", "history.json")  # the owner's, and keys
_CACHES = (".answers",)  # a marked answer would be taken for a real one
_PAIR = "pair_id"

Rows = list[dict[str, Any]]
BeforeWriting = Callable[[Literal["rewritten", "removed"], int, bytes | None], None]


def papers(home: Path, *, own: bool = False) -> Iterator[Path]:
    """Every file of a state folder that can hold words, in order; weights and pictures cannot.

    The journals and receipts of erasures are among them only when `own`.
    """
    for folder, names, files in os.walk(home):
        here = Path(folder)
        server = DATABASE in here.relative_to(home).parts
        passed_over = ("data",) if server else (OWN,) if here == home and not own else ()
        names[:] = sorted(name for name in names if name not in passed_over)
        for name in sorted(files):
            if server and not name.endswith(".log"):
                continue
            path = here / name
            passed = path.suffix in (*WEIGHTS, *PICTURES, ".lock") or name in _THEIRS
            if not passed and path.is_file() and not path.is_symlink():
                yield path


def form(path: Path) -> str:
    """What is counted in a file: rows, lines, or the file as one."""
    if path.suffix in _ROWS:
        return "rows"
    return "lines" if path.suffix in _TEXT else "file"


def hits(path: Path, traces: Traces, pairs: Collection[str] = ()) -> int:
    """Rows or lines of a file that hold a phrase or are of one of the pairs; 0: none.

    Of a file that is neither rows nor lines, 1 where it holds one.
    """
    if path.suffix in _ROWS:
        return sum(_hits(_texts(path), _pair_ids(path), traces, pairs))
    if path.stat().st_size > LARGE:
        return int(any(traces.within(part) for part in _parts(path)))
    text = inflated(path.read_bytes())
    if not traces.within(text):
        return 0
    return max(1, sum(traces.found(text.split("\n")))) if path.suffix in _TEXT else 1


def _parts(path: Path) -> Iterator[str]:
    """A large file in parts that overlap, so that nothing is cut in two."""
    with path.open("rb") as stream:
        kept = b""
        while content := stream.read(LARGE // 4):
            yield (kept + content).decode("utf-8", "replace")
            kept = content[-OVERLAP:]


def cleansed(
    path: Path,
    traces: Traces,
    pairs: Collection[str],
    before_writing: BeforeWriting,
) -> bool:
    """Take out of a file what `hits` counts; False where there was nothing.

    Rows go, values of JSON and lines of text are marked, and what can be neither is removed: caches
    and reports are made anew. `before_writing` is told what will happen, how many rows it concerns
    and what the file will hold (None: it goes).
    """
    number = hits(path, traces, pairs)
    if not number:
        return False
    content = _without(path, traces, pairs)
    before_writing("removed" if content is None else "rewritten", number, content)
    if content is None:
        path.unlink()
    else:
        replace(path, content)
    return True


def replace(path: Path, content: bytes) -> None:
    """Put content in a file's place, whole or not at all; a log that is being written keeps its
    place, cut and written anew."""
    if path.suffix in _OPEN:
        path.write_bytes(content)
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(content)
    scratch.chmod(path.stat().st_mode & 0o777)
    scratch.replace(path)


def lines_of(rows: Rows) -> bytes:
    """Rows as JSON lines."""
    import orjson

    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def rows_of(path: Path) -> Rows:
    """The rows of a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def _without(path: Path, traces: Traces, pairs: Collection[str]) -> bytes | None:
    if path.suffix in _ROWS:
        gone = _hits(_texts(path), _pair_ids(path), traces, pairs)
        if path.suffix == ".jsonl":
            lines = path.read_bytes().split(b"\n")
            kept = [line for line, hit in zip(lines, gone, strict=True) if not hit]
            return b"\n".join(kept)
        buffer = io.BytesIO()
        pl.read_parquet(path).filter(~pl.Series(gone, dtype=pl.Boolean)).write_parquet(buffer)
        return buffer.getvalue()
    if path.suffix in (*_TEXT, ".json") and path.parent.name not in _CACHES:
        content = path.read_bytes()
        if b"\0" not in content:
            return marked(content.decode("utf-8", "replace"), traces).encode()
    return None


def _texts(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return [line for line in pl.read_parquet(path).write_ndjson().split("\n") if line]
    return path.read_bytes().decode("utf-8", "replace").split("\n")


def _pair_ids(path: Path) -> list[str | None]:
    """Of which pair each row is, where the file says so."""
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        return frame[_PAIR].to_list() if _PAIR in frame.columns else [None] * frame.height
    return [_pair_of(line) for line in path.read_bytes().split(b"\n")]


def _pair_of(line: bytes) -> str | None:
    if _PAIR.encode() not in line:
        return None
    try:
        return str(json.loads(line).get(_PAIR))
    except (json.JSONDecodeError, AttributeError):
        return None


def _hits(
    texts: list[str], of: list[str | None], traces: Traces, pairs: Collection[str]
) -> list[bool]:
    found = traces.found(texts)
    return [hit or pair in pairs for hit, pair in zip(found, of, strict=True)]
