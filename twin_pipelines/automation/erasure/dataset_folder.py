"""Takes what was erased out of one frozen dataset.

The folder keeps its name, so that what was trained on it can still be told from what was not, and
stops being vouched for by it: the card says that rows went, and how many. What is trained next
freezes a version of its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from twin_pipelines.automation.erasure.papers import Rows, lines_of, replace, rows_of
from twin_pipelines.automation.erasure.traces import APART, Traces
from twin_pipelines.foundation.fingerprints import hash_file, read_json
from twin_pipelines.instruct.dataset import SPLITS
from twin_pipelines.instruct.left_out import FILE as LEFT_OUT
from twin_pipelines.instruct.left_out import REPORT
from twin_pipelines.instruct.preferences import BASE_REPLIES
from twin_pipelines.instruct.preferences import FILE as PREFERENCES
from twin_pipelines.instruct.thresholds import FILE as THRESHOLDS
from twin_pipelines.instruct.thresholds import ROWS_FILE, rows_hash
from twin_pipelines.instruct.write import MANIFEST

CARD = "README.md"
CANARIES = "canaries.json"
LISTS = (LEFT_OUT, ROWS_FILE)  # of identities without words: only those of erased messages go
_BEHIND = ("pair_id", "session_id", "replied_at", "quality")  # a threshold

BeforeWriting = Callable[[Path, int, bytes], None]


class DatasetFolder:
    """One version's files. `pairs` are those that stay, `preferred` the preference pairs that do
    (kind, id); None of either: all but what holds a phrase. `prompt` stands before every chat."""

    def __init__(
        self,
        folder: Path,
        traces: Traces,
        pairs: set[str] | None,
        preferred: set[tuple[str, str]] | None,
        prompt: str | None,
    ) -> None:
        self.folder = folder
        self.lost: set[str] = set()  # pairs whose rows went because of a phrase
        self.preferences: Rows | None = None  # what is left, where some of them went
        self._traces = traces
        self._pairs = pairs
        self._preferred = preferred
        self._prompt = prompt

    def cleanse(self, before_writing: BeforeWriting, today: date) -> int:
        """Rewrite what holds something; returns how many rows of the splits and preferences went.

        `before_writing` is told each file, the rows that go from it, and its new content.
        """
        gone = {split: self._split(split, before_writing) for split in SPLITS}
        preferences = self._preferences(before_writing)
        self._base_replies(before_writing)
        self._canaries(before_writing)
        listed = self._lists(before_writing)
        if any(gone.values()) or preferences or listed:
            self._report(before_writing)
            self._note(gone, preferences, before_writing, today)
        return sum(gone.values()) + preferences

    def vouch(self, written: Collection[str]) -> None:
        """Enter the hashes of files that were rewritten (by name) into the manifest."""
        manifest = read_json(self.folder / MANIFEST)
        fresh = {
            name: hash_file(self.folder / name)
            for name in manifest
            if name in written and (self.folder / name).exists()
        }
        if any(manifest[name] != digest for name, digest in fresh.items()):
            replace(self.folder / MANIFEST, json.dumps({**manifest, **fresh}, indent=1).encode())

    def _split(self, split: str, before_writing: BeforeWriting) -> int:
        path = self.folder / f"{split}.jsonl"
        if not path.exists():
            return 0
        before = rows_of(path)
        told = [self._with_prompt(row) for row in before]
        kept = self._kept(told)
        gone = len(before) - len(kept)
        if kept != before:
            self._write(path, gone, lines_of(kept), before_writing)
        beside = path.with_suffix(".parquet")
        if beside.exists():
            frame = pl.read_parquet(beside)
            rows = [
                {name: row[name] for name in frame.columns}
                for row in kept
                if not row.get("canary") and not row.get("rehearsal")
            ]
            if kept != before or frame.height > len(rows):
                fresh = pl.DataFrame(rows, schema=frame.schema)
                self._write(beside, frame.height - fresh.height, _parquet(fresh), before_writing)
        return gone

    def _with_prompt(self, row: dict[str, Any]) -> dict[str, Any]:
        first, *rest = row["prompt"]
        if self._prompt is None or first["role"] != "system" or first["content"] == self._prompt:
            return row
        return {**row, "prompt": [{**first, "content": self._prompt}, *rest]}

    def _kept(self, rows: Rows) -> Rows:
        found = self._traces.found(
            [
                APART.join(
                    part["content"]
                    for part in (*row["prompt"], *row["completion"])
                    if part["role"] != "system"
                )
                for row in rows
            ]
        )
        kept = []
        for row, hit in zip(rows, found, strict=True):
            beside = row.get("canary") or row.get("rehearsal")
            stays = beside or self._pairs is None or row["pair_id"] in self._pairs
            if stays and not hit:
                kept.append(row)
            elif stays and not beside:
                self.lost.add(row["pair_id"])
        return kept

    def _preferences(self, before_writing: BeforeWriting) -> int:
        path = self.folder / PREFERENCES
        if not path.exists():
            return 0
        before = rows_of(path)
        told = [self._with_prompt(row) for row in before]
        found = self._traces.found(
            [
                APART.join(
                    part["content"]
                    for part in (*row["prompt"], *row["chosen"], *row["rejected"])
                    if part["role"] != "system"
                )
                for row in told
            ]
        )
        kept = [
            row
            for row, hit in zip(told, found, strict=True)
            if not hit
            and row["id"] not in self.lost
            and (self._preferred is None or (row["kind"], row["id"]) in self._preferred)
        ]
        if kept != before:
            self._write(path, len(before) - len(kept), lines_of(kept), before_writing)
        if len(kept) != len(self._preferred if self._preferred is not None else kept):
            self.preferences = kept
        return len(before) - len(kept)

    def _base_replies(self, before_writing: BeforeWriting) -> None:
        path = self.folder / BASE_REPLIES
        if path.exists():
            before = rows_of(path)
            found = self._traces.found([row["reply"] for row in before])
            kept = [
                row
                for row, hit in zip(before, found, strict=True)
                if not hit
                and row["pair_id"] not in self.lost
                and (self._pairs is None or row["pair_id"] in self._pairs)
            ]
            if len(kept) < len(before):
                self._write(path, len(before) - len(kept), lines_of(kept), before_writing)

    def _canaries(self, before_writing: BeforeWriting) -> None:
        path = self.folder / CANARIES
        if path.exists() and self._prompt is not None:
            before = json.loads(path.read_text())
            after = [self._with_prompt(one) for one in before]
            if after != before:
                text = json.dumps(after, indent=1, ensure_ascii=False)
                self._write(path, 0, text.encode(), before_writing)

    def _lists(self, before_writing: BeforeWriting) -> int:
        """The lists of what was left out and of what the thresholds were computed on."""
        if self._pairs is None:
            return 0
        gone = 0
        for name in LISTS:
            path = self.folder / name
            if not path.exists():
                continue
            frame = pl.read_parquet(path)
            hit = pl.Series(self._traces.found(frame["pair_id"].to_list()), dtype=pl.Boolean)
            kept = frame.filter(~hit & ~pl.col("pair_id").is_in(list(self.lost)))
            gone += frame.height - kept.height
            if kept.height < frame.height:
                self._write(path, frame.height - kept.height, _parquet(kept), before_writing)
                if name == ROWS_FILE:
                    self._thresholds(kept, before_writing)
        return gone

    def _thresholds(self, listed: pl.DataFrame, before_writing: BeforeWriting) -> None:
        path = self.folder / THRESHOLDS
        records = read_json(path)
        for name, record in records.items():
            rows = listed.filter(pl.col("threshold") == name).select(_BEHIND).rows()
            record |= {"rows": len(rows), "rows_sha256": rows_hash(rows)}
        self._write(path, 0, json.dumps(records, indent=1).encode(), before_writing)

    def _report(self, before_writing: BeforeWriting) -> None:
        """The report keeps its counts; its examples go, as their words are masked."""
        path = self.folder / REPORT
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith("- “")]
            if len(kept) < len(lines):
                text = "".join(kept).encode()
                self._write(path, len(lines) - len(kept), text, before_writing)

    def _note(
        self, gone: dict[str, int], preferences: int, before_writing: BeforeWriting, today: date
    ) -> None:
        path = self.folder / CARD
        if not path.exists():
            return
        told = ", ".join(f"{number:,} of {split}" for split, number in gone.items() if number)
        note = (
            f"\n## Erased on {today}\n\nAt somebody's request {told or 'none'} of the rows above "
            f"and {preferences:,} preference pairs went. The counts above are those of before, and "
            "the version's name is no longer the hash of its content: nothing is trained on it "
            "any more, and the next training freezes another version.\n"
        )
        lines = path.read_text().split("\n")
        hits = self._traces.found(lines)
        text = "\n".join(line for line, hit in zip(lines, hits, strict=True) if not hit)
        self._write(path, 0, f"{text}{note}".encode(), before_writing)

    def _write(self, path: Path, rows: int, content: bytes, before_writing: BeforeWriting) -> None:
        before_writing(path, rows, content)
        replace(path, content)


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds a frozen dataset."""
    return (folder / MANIFEST).exists() and (folder / f"{SPLITS[0]}.jsonl").exists()


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
