"""Thresholds of the quality score: taken from its distribution over train, and from nothing else.

What is left out must be both among the lowest and clearly bad: the threshold is the lower of the
3 % quantile and Tukey's lower fence Q1 − 1.5 · (Q3 − Q1) (Tukey, "Exploratory Data Analysis",
1977). A history without outliers keeps every pair, and none loses more than 3 in 100, however good
or poor its average is.

The rows it was computed on are kept with it, so that it can be computed again and nobody can have
tuned it on validation or test without being seen.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.settings import TwinError

FILE = "thresholds.json"
ROWS_FILE = "threshold_rows.parquet"
MIN_QUALITY = "min_quality"
BY_HAND = "set by hand"
LOWEST = 0.03  # share of the rows
FENCE = 1.5  # interquartile ranges below the first quartile
METHOD = f"the lower of the {LOWEST:.0%} quantile and Tukey's lower fence"
_ROWS = ("pair_id", "session_id", "replied_at", "quality")
_SAME = 5e-4  # qualities are kept to three decimals


@dataclass(frozen=True)
class Threshold:
    """`value` and how it came about; `rows` are those it was computed on, none when by hand."""

    value: float
    method: str
    split: str | None
    facts: dict[str, float]
    rows: pl.DataFrame

    @property
    def record(self) -> dict[str, Any]:
        """What stands in thresholds.json."""
        return {
            "value": self.value,
            "method": self.method,
            "split": self.split,
            "rows": self.rows.height,
            "rows_sha256": rows_hash(self.rows.rows()),
            **self.facts,
        }


def quality_threshold(pairs: pl.DataFrame, given: float | None) -> Threshold:
    """The least quality a pair of train needs; `given` is the one set by hand, if any.

    `pairs` has `id, session_id, replied_at, quality, split`, all of train: other rows raise
    TwinError, because a threshold that has seen them would make every figure on them too good.
    """
    if given is not None:
        return Threshold(given, BY_HAND, None, {}, _rows(pairs.clear()))
    strangers = sorted(set(pairs["split"].unique()) - {"train"})
    if strangers:
        raise TwinError(
            f"The threshold {MIN_QUALITY} was to be computed on {', '.join(strangers)}; only train "
            "may decide a threshold, hand over its pairs alone."
        )
    rows = _rows(pairs)
    facts = lower_outliers(rows["quality"].to_list())
    return Threshold(facts.pop("value"), METHOD, "train", facts, rows)


def lower_outliers(qualities: Sequence[float]) -> dict[str, float]:
    """`value`, below which a quality is low and clearly bad, with the `lowest` quantile, the
    `fence` and the quartiles `q1` and `q3` behind it."""
    if not len(qualities):
        return {"value": 0.0}
    lowest = float(np.quantile(qualities, LOWEST, method="lower"))
    q1, q3 = (float(value) for value in np.quantile(qualities, (0.25, 0.75)))
    fence = q1 - FENCE * (q3 - q1)
    value = max(0.0, min(lowest, fence))
    facts = {"value": value, "lowest": lowest, "fence": fence, "q1": q1, "q3": q3}
    return {name: round(fact, 3) for name, fact in facts.items()}


def threshold_files(thresholds: Mapping[str, Threshold]) -> dict[str, bytes]:
    """thresholds.json and the rows behind it, by file name."""
    records = {name: threshold.record for name, threshold in thresholds.items()}
    rows = pl.concat(
        threshold.rows.select(pl.lit(name).alias("threshold"), pl.all())
        for name, threshold in thresholds.items()
    )
    parquet = io.BytesIO()
    rows.write_parquet(parquet)
    return {FILE: json.dumps(records, indent=1).encode(), ROWS_FILE: parquet.getvalue()}


def threshold_faults(
    folder: Path, splits: Mapping[str, Sequence[dict[str, Any]]], given: float | None
) -> list[str]:
    """What is wrong with where the thresholds of a dataset folder come from, in words.

    `splits` are the rows of its three files, `given` is the value set by hand in the settings.
    Everything is computed again: the rows behind a threshold must all be of train's time and
    sessions and include every pair of train as it is scored there, they must give the recorded
    value, and train must keep to it.
    """
    records = read_json(folder / FILE)
    if MIN_QUALITY not in records or not (folder / ROWS_FILE).exists():
        return [f"{FILE} or {ROWS_FILE} is missing, so nobody knows where {MIN_QUALITY} comes from"]
    listed = pl.read_parquet(folder / ROWS_FILE)
    faults = []
    for name, record in records.items():
        rows = listed.filter(pl.col("threshold") == name).select(_ROWS).rows(named=True)
        if given is not None:
            if record["value"] != given:
                faults.append(f"{name}: it is {record['value']}, but was set to {given}")
        else:
            faults += [f"{name}: {fault}" for fault in _origin_faults(record, rows, splits)]
        low = sum(row["quality"] < record["value"] - _SAME for row in _scored(splits["train"]))
        if low:
            faults.append(f"{name}: {low} pairs of train are below {record['value']}")
    return faults


def _origin_faults(
    record: Mapping[str, Any],
    rows: Sequence[dict[str, Any]],
    splits: Mapping[str, Sequence[dict[str, Any]]],
) -> list[str]:
    faults = []
    if record["split"] != "train":
        faults.append(f"it was chosen on {record['split']}, not on train")
    for split in ("validation", "test"):
        held = {row[key] for row in splits[split] for key in ("pair_id", "session_id")}
        seen = sum(row["pair_id"] in held or row["session_id"] in held for row in rows)
        if seen:
            faults.append(f"{seen} of the {len(rows)} rows it was computed on are of {split}")
    later = [row["replied_at"] for row in (*splits["validation"], *splits["test"])]
    if later:
        begin = min(map(datetime.fromisoformat, later))
        late = sum(datetime.fromisoformat(row["replied_at"]) >= begin for row in rows)
        if late:
            faults.append(f"{late} rows it was computed on are not earlier than validation")
    known = {row["pair_id"]: row["quality"] for row in rows}
    other = sum(
        abs(known.get(row["pair_id"], -1.0) - row["quality"]) > _SAME
        for row in _scored(splits["train"])
    )
    if other:
        faults.append(f"{other} pairs of train are missing behind it, or scored differently there")
    again = lower_outliers([row["quality"] for row in rows])["value"]
    if abs(again - record["value"]) > _SAME:
        faults.append(f"it is {record['value']}, but its rows give {again}")
    if record["rows"] != len(rows) or record["rows_sha256"] != rows_hash(
        tuple(row.values()) for row in rows
    ):
        faults.append(f"its rows are not those that {FILE} vouches for")
    return faults


def rows_hash(rows: Any) -> str:
    """sha256 over (pair_id, session_id, replied_at, quality) of the rows, whatever their order."""
    lines = sorted("\t".join(map(str, row)) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _rows(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.select(
        pl.col("id").alias("pair_id"),
        "session_id",
        pl.Series("replied_at", [at.isoformat() for at in pairs["replied_at"]], dtype=pl.String),
        pl.col("quality").cast(pl.Float64).round(3),
    )


def _scored(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row.get("rehearsal")]
