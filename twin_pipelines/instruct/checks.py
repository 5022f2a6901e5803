"""What must be true of pairs and datasets before a model learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import store
from twin_pipelines.instruct.leaks import find_leaks, read_splits
from twin_pipelines.instruct.outlook import pairs_outlook
from twin_pipelines.instruct.write import is_intact

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
        ids = [row["pair_id"] for rows in splits.values() for row in rows]
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


def _absent() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="there is no dataset yet")
