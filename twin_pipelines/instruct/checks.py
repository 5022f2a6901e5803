"""What must be true of pairs and datasets before a model learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import store
from twin_pipelines.instruct.leaks import find_leaks, read_splits, text_leaks
from twin_pipelines.instruct.outlook import pairs_outlook
from twin_pipelines.instruct.preference_store import (
    corrections,
    judged_answers,
    preference_counts,
)
from twin_pipelines.instruct.preferences import (
    KINDS,
    PARTS,
    load_preferences,
    read_preferences,
)
from twin_pipelines.instruct.store import DatasetVersion
from twin_pipelines.instruct.thresholds import FILE as THRESHOLDS
from twin_pipelines.instruct.thresholds import threshold_faults
from twin_pipelines.instruct.write import is_intact
from twin_pipelines.settings import TwinError

FEWEST_TO_TRAIN = 200
MOST_EXCLUDED = 0.5  # share of the pairs
ENOUGH = 20  # pairs, before a share says anything
FAULTS = (
    "blank",
    "bad_roles",
    "bad_quality",
    "unknown_messages",
    "not_own",
    "other_day",
)


def _no_faults(gxe: ModuleType) -> Sequence[Any]:
    return [gxe.ExpectColumnValuesToBeInSet(column=fault, value_set=[0]) for fault in FAULTS]


def _few_excluded(gxe: ModuleType) -> Sequence[Any]:
    return [gxe.ExpectColumnValuesToBeBetween(column="share", min_value=0, max_value=MOST_EXCLUDED)]


def excluded_share(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Pairs that may not be trained on, as a share of all; a high one hints at unfit sources."""
    return store.excluded_share(connection, days).filter(pl.col("pairs") >= ENOUGH)


pairs_are_sound = table_checks(
    "instruct_pairs",
    "pairs_are_sound",
    store.pair_faults,
    _no_faults,
    severity="critical",
    partitioned=True,
    description="Message and reply say something, roles and quality are valid, the reply is the "
    "subject's own, and every message behind a pair exists.",
)

few_pairs_are_excluded = table_checks(
    "instruct_pairs",
    "few_pairs_are_excluded",
    excluded_share,
    _few_excluded,
    severity="warning",
    partitioned=True,
)


@dg.asset_check(asset="instruct_dataset", blocking=True)
def nothing_leaks(twin: TwinResource) -> dg.AssetCheckResult:
    """No session, message or nearly equal text is in two splits of the files, and train ends before
    validation and test begin."""
    with twin.connect() as connection:
        dataset = store.latest_dataset(connection)
        if dataset is None:
            return _absent()
        folder = twin.settings.home / dataset.path
        splits = read_splits(folder)
        pairs = [row for rows in splits.values() for row in rows if not row.get("rehearsal")]
        ids = [row["pair_id"] for row in pairs]
        behind = store.message_ids(connection, ids)
    leaks = find_leaks(splits, behind, dataset.settings["dataset"]["near_duplicate"])
    problems = [leak.what for leak in leaks]
    if not is_intact(folder):
        problems.append(f"the files in {folder} are not as they were written")
    return dg.AssetCheckResult(
        passed=not problems,
        description="; ".join(problems) or None,
        metadata={
            "pairs": len(ids),
            "pairs that no longer exist": len(ids) - len(behind),
            "examples": dg.MetadataValue.md("\n".join(f"- {leak.example}" for leak in leaks)),
        },
    )


@dg.asset_check(asset="instruct_dataset", blocking=True)
def thresholds_come_from_train(twin: TwinResource) -> dg.AssetCheckResult:
    """Every threshold was computed on train's pairs alone, gives the same value again, and train
    keeps to it: nobody tuned it on validation or test."""
    with twin.connect() as connection:
        dataset = store.latest_dataset(connection)
    if dataset is None:
        return _absent()
    folder = twin.settings.home / dataset.path
    given = dataset.settings["dataset"]["min_quality"]
    faults = threshold_faults(folder, read_splits(folder), given)
    by_hand = f"min_quality was set to {given} by hand" if given is not None else None
    return dg.AssetCheckResult(
        passed=not faults,
        description="; ".join(faults) or by_hand,
        metadata={"thresholds": dg.MetadataValue.json(read_json(folder / THRESHOLDS))},
    )


@dg.asset_check(asset="instruct_dataset", blocking=True)
def enough_to_train(twin: TwinResource) -> dg.AssetCheckResult:
    """Train holds enough pairs to teach a voice at all."""
    with twin.connect() as connection:
        dataset = store.latest_dataset(connection)
    if dataset is None:
        return _absent()
    short = dataset.train < FEWEST_TO_TRAIN
    return dg.AssetCheckResult(
        passed=not short,
        description=f"train has {dataset.train} pairs and needs {FEWEST_TO_TRAIN}; import more "
        "of the subject's conversations"
        if short
        else None,
        metadata={"train": dataset.train},
    )


@dg.asset_check(asset="instruct_dataset")
def target_is_reached(twin: TwinResource) -> dg.AssetCheckResult:
    """The history gives as many pairs as settings.pairs.target asks for."""
    with twin.connect() as connection:
        outlook = pairs_outlook(connection, twin.settings)
    return dg.AssetCheckResult(
        passed=not outlook.missing,
        severity=dg.AssetCheckSeverity.WARN,
        description=outlook.words,
        metadata={
            "pairs": outlook.total,
            "missing": outlook.missing,
            "pairs a month": outlook.per_month,
            "months left": outlook.months_left,
            "what would close it": dg.MetadataValue.md(
                "\n".join(f"- {line}" for line in outlook.advice)
            ),
        },
    )


@dg.asset_check(asset="preference_pairs", blocking=True)
def preferences_differ(twin: TwinResource) -> dg.AssetCheckResult:
    """In every row somebody answers a user, and what is turned down is not what is preferred."""
    rows, _, _ = _preferences(twin)
    faults = {
        "that prefer what they turn down": [
            row for row in rows if _said(row, "rejected") == _said(row, "chosen")
        ],
        "without a text": [row for row in rows if not all(_said(row, part) for part in PARTS)],
        "not in answer to a user": [row for row in rows if row["prompt"][-1]["role"] != "user"],
        "of an unknown kind": [row for row in rows if row["kind"] not in KINDS],
    }
    found = [f"{len(bad)} rows {what}" for what, bad in faults.items() if bad]
    return dg.AssetCheckResult(
        passed=not found, description="; ".join(found) or None, metadata={"rows": len(rows)}
    )


@dg.asset_check(asset="preference_pairs", blocking=True)
def preferences_are_of_train(twin: TwinResource) -> dg.AssetCheckResult:
    """Every row is an exchange of train, or the owner's and repeats nothing of a later split."""
    rows, folder, dataset = _preferences(twin)
    splits = read_splits(folder)
    with twin.connect() as connection:
        told = [*corrections(connection), *judged_answers(connection)]
        recorded = sum(preference_counts(connection, dataset.version).values())
    train = {row["pair_id"]: row for row in splits["train"] if not row.get("rehearsal")}
    preferred = [{**row, "completion": row["chosen"]} for row in rows]
    foreign = [row for row in preferred if not _same_exchange(row, train.get(row["id"]))]
    by_owner = {one.id for one in told}
    strangers = [row for row in foreign if row["id"] not in by_owner]
    found = text_leaks(foreign, splits, dataset.settings["dataset"]["near_duplicate"])
    problems = [leak.what for leak in found]
    if strangers:
        problems.append(f"{len(strangers)} rows are neither of train nor the owner's")
    if recorded != len(rows):
        problems.append(f"the file has {len(rows)} rows and the database {recorded}")
    return dg.AssetCheckResult(
        passed=not problems,
        description="; ".join(problems) or None,
        metadata={"examples": "; ".join(leak.example for leak in found)},
    )


@dg.asset_check(asset="preference_pairs", blocking=True)
def preferences_load(twin: TwinResource) -> dg.AssetCheckResult:
    """The file loads with `datasets` as trainers load it, conversations and all."""
    rows, folder, _ = _preferences(twin)
    loaded = load_preferences(folder)
    whole = loaded.num_rows == len(rows) and {*PARTS, "kind"} <= set(loaded.column_names)
    return dg.AssetCheckResult(
        passed=whole and bool(rows),
        description=None
        if whole and rows
        else f"{loaded.num_rows} of {len(rows)} rows were loaded",
        metadata={"rows": loaded.num_rows, "columns": ", ".join(loaded.column_names)},
    )


def _preferences(twin: TwinResource) -> tuple[list[dict[str, Any]], Path, DatasetVersion]:
    with twin.connect() as connection:
        dataset = store.latest_dataset(connection)
    if dataset is None:
        raise TwinError("There is no dataset yet; materialise instruct_dataset first.")
    folder = twin.settings.home / dataset.path
    return read_preferences(folder), folder, dataset


def _same_exchange(row: dict[str, Any], pair: dict[str, Any] | None) -> bool:
    return pair is not None and all(row[part] == pair[part] for part in ("prompt", "completion"))


def _said(row: dict[str, Any], part: str) -> str:
    return row[part][-1]["content"].strip()


def _absent() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="there is no dataset yet")
