"""What became of the pairs between two versions of a dataset, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.instruct import store
from twin_pipelines.instruct.card import flat_settings
from twin_pipelines.instruct.dataset import SPLITS
from twin_pipelines.instruct.left_out import FILE
from twin_pipelines.settings import TwinError, TwinSettings

NEW = "not known before"
GONE = "no longer there"
CUT = "the cuts between the splits lie elsewhere"
EDITED = "another context or text"
_SHOWN = 5  # versions named in an error


@dataclass(frozen=True)
class Change:
    """`pairs` that were `added`, `removed`, `moved` or `changed` for one reason.

    `before` and `after` are the splits; None where there was none.
    """

    what: str
    before: str | None
    after: str | None
    why: str
    pairs: int


@dataclass(frozen=True)
class DatasetDiff:
    """All that differs from `before` to `after`, two versions; `settings` are (name, old, new)."""

    before: str
    after: str
    sizes: dict[str, tuple[int, int]]
    settings: list[tuple[str, Any, Any]]
    changes: list[Change]


@dataclass(frozen=True)
class Contents:
    """A version as its folder has it: text and split by pair, and why others were left out."""

    version: str
    settings: Mapping[str, Any]
    splits: dict[str, str]
    texts: dict[str, int]
    left_out: dict[str, str]


def diff(
    connection: psycopg.Connection, settings: TwinSettings, before: str, after: str
) -> DatasetDiff:
    """What differs between two versions. Raises TwinError for one that is not there."""
    known = [_contents(connection, settings, version) for version in (before, after)]
    return diff_contents(*known)


def diff_contents(old: Contents, new: Contents) -> DatasetDiff:
    """What differs between the contents of two versions, the largest change first."""
    counts: Counter[tuple[str, str | None, str | None, str]] = Counter()
    for pair in old.splits.keys() | new.splits.keys():
        before, after = old.splits.get(pair), new.splits.get(pair)
        if before is None:
            why = f"was left out: {old.left_out[pair]}" if pair in old.left_out else NEW
            counts["added", None, after, why] += 1
        elif after is None:
            counts["removed", before, None, new.left_out.get(pair, GONE)] += 1
        elif before != after:
            counts["moved", before, after, CUT] += 1
        elif old.texts[pair] != new.texts[pair]:
            counts["changed", before, after, EDITED] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    values = [dict(flat_settings(side.settings)) for side in (old, new)]
    return DatasetDiff(
        before=old.version,
        after=new.version,
        sizes={split: (_size(old, split), _size(new, split)) for split in SPLITS},
        settings=[
            (name, values[0].get(name), values[1].get(name))
            for name in sorted(values[0].keys() | values[1].keys())
            if values[0].get(name) != values[1].get(name)
        ],
        changes=[Change(*key, pairs=pairs) for key, pairs in ordered],
    )


def _contents(connection: psycopg.Connection, settings: TwinSettings, version: str) -> Contents:
    found = store.dataset(connection, version)
    if found is None:
        known = ", ".join(store.dataset_versions(connection)[:_SHOWN]) or "none yet"
        raise TwinError(f"There is no dataset {version}; name one of those there are ({known}).")
    folder = settings.home / found.path
    try:
        rows = pl.concat(_split_rows(folder, split) for split in SPLITS)
    except FileNotFoundError as error:
        raise TwinError(
            f"The files of dataset {version} in {folder} are gone; materialise instruct_dataset "
            "again with its settings."
        ) from error
    left_out = folder / FILE
    reasons = (
        pl.read_parquet(left_out, columns=["pair_id", "reason"]).rows() if left_out.exists() else []
    )
    return Contents(
        version,
        found.settings,
        dict(rows.select("pair_id", "split").iter_rows()),
        dict(rows.select("pair_id", "text").iter_rows()),
        dict(reasons),
    )


def _split_rows(folder: Path, split: str) -> pl.DataFrame:
    rows = pl.read_parquet(folder / f"{split}.parquet", columns=["pair_id", "prompt", "completion"])
    said = pl.col("prompt", "completion").list.eval(pl.element().struct.json_encode()).list.join("")
    return rows.select("pair_id", split=pl.lit(split), text=pl.concat_str(said).hash())


def _size(side: Contents, split: str) -> int:
    return sum(held == split for held in side.splits.values())
