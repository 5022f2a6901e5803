"""Whoever teaches a twin what it is asked later is stopped by a check with a name.

The files are harmed after they were written and the manifest is made to vouch for them, so that
the check that is meant is the one that notices. A learner downstream must not be reached.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest
from test_instruct_assets import chats, make_pairs

from twin_pipelines.foundation.fingerprints import hash_file
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import assets, checks
from twin_pipelines.instruct.dataset import SPLITS
from twin_pipelines.instruct.freeze import Frozen, freeze_dataset
from twin_pipelines.instruct.thresholds import (
    FILE,
    METHOD,
    MIN_QUALITY,
    ROWS_FILE,
    Threshold,
    lower_outliers,
    threshold_files,
)

Harm = Callable[[Path, Frozen], None]


@dg.asset(deps=["instruct_dataset"])
def learner() -> None:
    """Stands for training."""


@pytest.fixture
def run(
    twin_home: Any,
    connection: psycopg.Connection,
    talk: Callable[..., pl.DataFrame],
    land: Callable[[psycopg.Connection, pl.DataFrame], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Harm], tuple[bool, dict[str, str | None]]]:
    """Makes a dataset, does it harm, and tells whether the learner ran and which checks failed."""
    land(connection, chats(talk, sessions=24))
    make_pairs("2018-05-01", "2018-05-09")

    def harmed(harm: Harm) -> tuple[bool, dict[str, str | None]]:
        def freeze_and_harm(*args: Any, **keywords: Any) -> Frozen:
            frozen = freeze_dataset(*args, **keywords)
            harm(frozen.folder, frozen)
            vouch(frozen.folder)
            return frozen

        monkeypatch.setattr(assets, "freeze_dataset", freeze_and_harm)
        watched = [checks.nothing_leaks, checks.thresholds_come_from_train]
        result = dg.materialize(
            [assets.instruct_dataset, learner, *watched],
            resources={"twin": TwinResource()},
            raise_on_error=False,
        )
        failed = {
            one.check_name: one.description
            for one in result.get_asset_check_evaluations()
            if not one.passed and one.blocking
        }
        learnt = [
            event
            for event in result.get_asset_materialization_events()
            if event.asset_key == learner.key
        ]
        return bool(learnt), failed

    return harmed


def vouch(folder: Path) -> None:
    manifest = folder / "manifest.json"
    hashes = {path.name: hash_file(path) for path in folder.iterdir() if path != manifest}
    manifest.write_text(json.dumps(hashes))


def lines(folder: Path, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]


def append(folder: Path, split: str, row: dict[str, Any]) -> None:
    with (folder / f"{split}.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def test_an_unharmed_dataset_is_learnt_from(run: Any) -> None:
    assert run(lambda folder, frozen: None) == (True, {})


def test_a_leak_across_the_split_is_caught_by_nothing_leaks(run: Any) -> None:
    def plant(folder: Path, frozen: Frozen) -> None:
        append(folder, "validation", lines(folder, "test")[0])

    learnt, failed = run(plant)
    assert not learnt
    assert set(failed) == {"nothing_leaks"}
    assert "session_ids in validation and test" in failed["nothing_leaks"]


def test_a_test_reply_planted_in_training_is_caught_by_nothing_leaks(run: Any) -> None:
    def plant(folder: Path, frozen: Frozen) -> None:
        pupil = lines(folder, "train")[0]
        pupil["completion"] = lines(folder, "test")[0]["completion"]
        rows = [json.dumps(row) for row in (pupil, *lines(folder, "train")[1:])]
        (folder / "train.jsonl").write_text("\n".join(rows) + "\n")

    learnt, failed = run(plant)
    assert not learnt
    assert set(failed) == {"nothing_leaks"}
    assert "1 nearly equal replies in train and test" in failed["nothing_leaks"]


def test_a_test_reply_planted_as_rehearsal_is_caught_too(run: Any) -> None:
    def plant(folder: Path, frozen: Frozen) -> None:
        alibi = {"pair_id": "x", "session_id": "y", "rehearsal": True, "canary": False}
        begin = lines(folder, "train")[0]["replied_at"]
        append(folder, "train", {**lines(folder, "test")[0], **alibi, "replied_at": begin})

    learnt, failed = run(plant)
    assert not learnt
    assert "nearly equal replies in train and test" in failed["nothing_leaks"]


def computed_on(frozen: Frozen, split: str, says: str) -> dict[str, bytes]:
    """Threshold files of somebody who looked at another split."""
    pairs = frozen.draft.pairs.filter(pl.col("split") == split)
    rows = pairs.select(
        pl.col("id").alias("pair_id"),
        "session_id",
        pl.Series("replied_at", [at.isoformat() for at in pairs["replied_at"]]),
        pl.col("quality").cast(pl.Float64).round(3),
    )
    facts = lower_outliers(rows["quality"].to_list())
    return threshold_files({MIN_QUALITY: Threshold(facts.pop("value"), METHOD, says, facts, rows)})


@pytest.mark.parametrize("says", ["test", "train"])
def test_a_threshold_tuned_on_test_is_caught_whatever_it_says_of_itself(
    run: Any, says: str
) -> None:
    def tune(folder: Path, frozen: Frozen) -> None:
        for name, content in computed_on(frozen, "test", says).items():
            (folder / name).write_bytes(content)

    learnt, failed = run(tune)
    assert not learnt
    assert set(failed) == {"thresholds_come_from_train"}
    told = failed["thresholds_come_from_train"]
    assert "rows it was computed on are of test" in told
    assert ("chosen on test, not on train" in told) == (says == "test")


def test_another_value_than_its_rows_give_is_caught(run: Any) -> None:
    def nudge(folder: Path, frozen: Frozen) -> None:
        records = json.loads((folder / FILE).read_text())
        records[MIN_QUALITY]["value"] += 0.5
        (folder / FILE).write_text(json.dumps(records))

    learnt, failed = run(nudge)
    assert not learnt
    assert "but its rows give" in failed["thresholds_come_from_train"]


def test_rows_of_train_with_a_few_of_validation_among_them_are_caught(run: Any) -> None:
    def mix(folder: Path, frozen: Frozen) -> None:
        train, other = (computed_on(frozen, split, "train")[ROWS_FILE] for split in SPLITS[:2])
        rows = pl.concat([pl.read_parquet(train), pl.read_parquet(other).head(3)])
        rows.write_parquet(folder / ROWS_FILE)

    learnt, failed = run(mix)
    assert not learnt
    assert "are of validation" in failed["thresholds_come_from_train"]


@pytest.mark.parametrize("name", [FILE, ROWS_FILE])
def test_thresholds_that_nobody_can_follow_are_refused(run: Any, name: str) -> None:
    learnt, failed = run(lambda folder, frozen: (folder / name).unlink())
    assert not learnt
    assert "is missing" in failed["thresholds_come_from_train"]
