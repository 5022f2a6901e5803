"""Looks for leaks between the splits of a written dataset.

Computed from the files and by other means than `dataset`, which split and purged them: Python's own
Unicode tables for normalising, and exact set intersections as a sparse matrix product.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin_pipelines.settings import TwinError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ORDER = ("train", "validation", "test")
_BLOCK = 512  # rows of one split compared at a time
_SIZE = 5
Row = dict[str, Any]


@dataclass(frozen=True)
class Leak:
    """One thing that stands in two splits, or in the wrong order; `what` tells it in words."""

    what: str
    example: str


def read_splits(folder: Path) -> dict[str, list[Row]]:
    """Rows of the three files; canaries are no pairs and left out, rehearsal rows are kept.

    Raises TwinError when a file is missing.
    """
    splits = {}
    for split in ORDER:
        path = folder / f"{split}.jsonl"
        if not path.exists():
            raise TwinError(f"{path} is missing; materialise instruct_dataset again.")
        with path.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        splits[split] = [row for row in rows if not row.get("canary")]
    return splits


def find_leaks(
    splits: Mapping[str, Sequence[Row]], message_ids: Mapping[str, Sequence[str]], threshold: float
) -> list[Leak]:
    """Every kind of leak that occurs, with one example.

    `message_ids` maps a pair to the raw messages behind it. Texts leak from a later split to an
    earlier one when both are long (6 words or 25 characters after normalising) and the Jaccard
    similarity of their runs of 5 characters is at least `threshold`: the replies, or message and
    reply together; message and reply together also when they are short and equal.
    """
    return [
        leak
        for earlier, later in combinations(ORDER, 2)
        for leak in _between(earlier, later, splits, message_ids, threshold)
    ]


def text_leaks(
    taught: Sequence[Row], splits: Mapping[str, Sequence[Row]], threshold: float
) -> list[Leak]:
    """Texts of `taught` (rows with `prompt` and `completion`) that validation or test hold too."""
    return [
        leak
        for split in ("validation", "test")
        for leak in _texts_between(taught, splits[split], f"what is taught and {split}", threshold)
    ]


def _between(
    earlier: str,
    later: str,
    splits: Mapping[str, Sequence[Row]],
    message_ids: Mapping[str, Sequence[str]],
    threshold: float,
) -> Iterator[Leak]:
    where = f"{earlier} and {later}"
    first, second = splits[earlier], splits[later]
    for name in ("pair_id", "session_id"):
        shared = {row[name] for row in first} & {row[name] for row in second}
        if shared:
            yield Leak(f"{len(shared)} {name}s in {where}", min(shared))
    behind = [
        {message for row in rows for message in message_ids.get(row["pair_id"], ())}
        for rows in (first, second)
    ]
    if behind[0] & behind[1]:
        shared = behind[0] & behind[1]
        yield Leak(f"{len(shared)} messages in {where}", min(shared))
    if first and second:
        last = max(datetime.fromisoformat(row["replied_at"]) for row in first)
        begin = min(datetime.fromisoformat(row["replied_at"]) for row in second)
        if last >= begin:
            yield Leak(f"{earlier} ends after {later} begins", f"{last} and {begin}")
    yield from _texts_between(first, second, where, threshold)


def _texts_between(
    first: Sequence[Row], second: Sequence[Row], where: str, threshold: float
) -> Iterator[Leak]:
    for name, texts in (("replies", _replies), ("exchanges", _exchanges)):
        ours, theirs = texts(first), texts(second)
        found = _similar(ours, theirs, threshold)
        if name == "exchanges":
            known = {text for text in theirs if not _is_long(text)}
            found += [(text, text) for text in ours if text in known]
        if found:
            yield Leak(
                f"{len(found)} nearly equal {name} in {where}", f"“{found[0][0]}” / “{found[0][1]}”"
            )


def _replies(rows: Sequence[Row]) -> list[str]:
    return [_normal(row["completion"][0]["content"]) for row in rows]


def _exchanges(rows: Sequence[Row]) -> list[str]:
    return [
        f"{_normal(row['prompt'][-1]['content'])} "
        f"{_normal(row['completion'][0]['content'])}".strip()
        for row in rows
    ]


def _normal(text: str) -> str:
    folded = re.sub("['’`]", "", unicodedata.normalize("NFKC", text).lower())
    folded = folded.replace("\u0e4d\u0e32", "\u0e33").replace("\u0ecd\u0eb2", "\u0eb3")
    kept = (char if unicodedata.category(char)[0] in "LMN" else " " for char in folded)
    return " ".join("".join(kept).split())


def _is_long(text: str) -> bool:
    return len(text.split(" ")) >= 6 or len(text) >= 25


def _similar(ours: Sequence[str], theirs: Sequence[str], threshold: float) -> list[tuple[str, str]]:
    """Pairs of long texts, one of each side, at least as alike as the threshold."""
    left = sorted({text for text in ours if _is_long(text)})
    right = sorted({text for text in theirs if _is_long(text)})
    if not left or not right:
        return []
    ids: dict[str, int] = {}
    one, two = _matrix(left, ids), _matrix(right, ids)
    one.resize(len(left), len(ids))
    sizes = one.sum(axis=1), two.sum(axis=1)
    found = []
    for start in range(0, len(left), _BLOCK):
        shared = (one[start : start + _BLOCK] @ two.T).tocoo()
        rows, columns = shared.row + start, shared.col
        union = sizes[0][rows] + sizes[1][columns] - shared.data
        alike = shared.data >= threshold * union - 1e-9
        found += [
            (left[row], right[column])
            for row, column in zip(rows[alike], columns[alike], strict=True)
        ]
    return found


def _matrix(texts: Sequence[str], ids: dict[str, int]) -> csr_array:
    """One row a text, one column a run of five characters; new runs are added to `ids`."""
    from scipy.sparse import csr_array

    sets = [
        [ids.setdefault(run, len(ids)) for run in {text[i : i + _SIZE] for i in _starts(text)}]
        for text in texts
    ]
    bounds = np.cumsum([0, *map(len, sets)])
    columns = np.fromiter((column for row in sets for column in row), dtype=np.int64)
    ones = np.ones(len(columns), dtype=np.int64)
    return csr_array((ones, columns, bounds), shape=(len(texts), len(ids)))


def _starts(text: str) -> range:
    return range(len(text) - _SIZE + 1)
