"""Importance agrees with what a reader finds important, on sentences it was not fitted on.

`importance_labels.jsonl` holds labels of 0 to 1 (see docs/importance.md). A row of the chitchat
package names a chat, a turn and the characters of its sentence; the others hold the sentence.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory.importance import measure, weigh
from twin_pipelines.settings import ImportanceWeights, Memory
from twin_pipelines.sources import chitchat

LABELS = Path(__file__).parent / "importance_labels.jsonl"
DRAWS = 500


@pytest.fixture(scope="module")
def labelled() -> pl.DataFrame:
    """Every labelled sentence with its `label`, `half`, `source`, `sessions` and `importance`."""
    rows = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    chats = {row["chat"] for row in rows if "chat" in row}
    turns = {
        (chat, turn): text
        for chat, turn, text in chitchat.messages()
        .filter(pl.col("chat").cast(pl.String).is_in(list(chats)))
        .group_by(pl.col("chat").cast(pl.String), "turn")
        .agg(pl.col("text").str.join("\n"))
        .iter_rows()
    }
    for row in rows:
        if "chat" in row:
            place = row["chat"], row["turn"]
            row["text"] = turns[place][row["start"] : row["end"]]
            row["answer"] = turns.get((row["chat"], row["turn"] + 1))
    names = ("source", "half", "kind", "sessions", "label", "text", "answer")
    told = pl.DataFrame(
        [{name: row[name] for name in names} for row in rows], infer_schema_length=None
    )
    sessions = pl.col("sessions").cast(pl.Float64)
    measured = measure(told.with_columns(normal_text(pl.col("text")).alias("bare")))
    repeated = measured.with_columns((1 - pl.lit(2.0).pow(1 - sessions)).alias("repetition"))
    return weigh(repeated, ImportanceWeights())


def agreement(rows: pl.DataFrame) -> tuple[float, float, float]:
    """Spearman's correlation of label and importance with its 95 % bootstrap interval."""
    label, importance = rows["label"].to_numpy(), rows["importance"].to_numpy()
    random = np.random.default_rng(7)
    drawn = [random.integers(0, len(label), len(label)) for _ in range(DRAWS)]
    found = [spearmanr(label[draw], importance[draw])[0] for draw in drawn]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(spearmanr(label, importance)[0]), float(low), float(high)


def test_the_labels_are_many_and_whole(labelled: pl.DataFrame) -> None:
    assert labelled.height >= 200
    assert labelled["label"].is_between(0, 1).all()
    assert labelled.filter(half="report").height >= 100
    thai = labelled.filter(pl.col("text").str.contains("[\u0e00-\u0e7f]"))
    assert thai.height >= 60


def test_importance_agrees_with_labels_it_was_not_fitted_on(labelled: pl.DataFrame) -> None:
    unseen = labelled.filter(half="report")
    groups = {
        "fitted on": labelled.filter(half="calibrate"),
        "not fitted on": unseen,
        "of them chitchat": unseen.filter(source="chitchat"),
        "of them written, Thai": unseen.filter(source="own"),
    }
    for name, rows in groups.items():
        value, low, high = agreement(rows)
        print(f"{name}: {rows.height} sentences, Spearman {value:.3f} [{low:.3f}, {high:.3f}]")
    value, low, _ = agreement(unseen)
    assert value >= 0.6
    assert low >= 0.5


def test_the_core_threshold_admits_what_matters_among_what_is_said_again(
    labelled: pl.DataFrame,
) -> None:
    memory = Memory()
    again = labelled.filter(pl.col("sessions") >= memory.core_sessions)
    admitted = again.filter(pl.col("importance") >= memory.core_threshold)
    matters = pl.col("label") >= 0.45
    assert admitted.select(matters.mean()).item() >= 0.85
    assert admitted.filter(matters).height >= 0.8 * again.filter(matters).height
