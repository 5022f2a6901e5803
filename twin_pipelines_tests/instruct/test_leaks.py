"""The independent look at the files finds every kind of leak that is planted."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import pytest

from twin_pipelines.instruct.leaks import find_leaks, read_splits

LONG = "well we went all the way up to the temple and back"


def unlike(name: str) -> str:
    """A long text that resembles no other."""
    return hashlib.sha256(name.encode()).hexdigest()


def row(name: str, time: str, input: str, reply: str) -> dict:
    return {
        "pair_id": name,
        "prompt": [{"role": "system", "content": "You."}, {"role": "user", "content": input}],
        "completion": [{"role": "assistant", "content": reply}],
        "session_id": f"session of {name}",
        "replied_at": f"2018-05-0{time}T12:00:00+00:00",
    }


CLEAN = {
    "train": [row("a", "1", "where were you yesterday evening", "at home, ill with a bad cold")],
    "validation": [row("b", "2", "you ok?", "haha yes")],
    "test": [row("c", "3", "what is that noise over there", "the neighbours dance again tonight")],
}
MESSAGES = {"a": ["1", "2"], "b": ["3"], "c": ["4"]}


def test_a_clean_dataset_has_no_leak() -> None:
    assert find_leaks(CLEAN, MESSAGES, 0.8) == []


@pytest.mark.parametrize(
    ("split", "change", "words"),
    [
        ("test", {"session_id": "session of a"}, "1 session_ids in train and test"),
        ("validation", {"pair_id": "a"}, "1 pair_ids in train and validation"),
        ("test", {"replied_at": "2018-05-01T11:00:00+00:00"}, "train ends after test begins"),
        (
            "test",
            {"completion": [{"content": "At home ill, with a bad cold!!"}]},
            "1 nearly equal replies in train and test",
        ),
        (
            "test",
            {"prompt": [{"content": "You OK"}], "completion": [{"content": "Haha, YES"}]},
            "1 nearly equal exchanges in validation and test",
        ),
        (
            "validation",
            {
                "prompt": [{"content": "Where were you, yesterday evening?"}],
                "completion": [{"content": "at home ill with a bad cold "}],
            },
            "nearly equal exchanges in train and validation",
        ),
    ],
)
def test_planted_leaks_are_found(split: str, change: dict, words: str) -> None:
    splits = copy.deepcopy(CLEAN)
    splits[split][0] |= change
    assert any(words in leak.what for leak in find_leaks(splits, MESSAGES, 0.8))


def test_a_message_behind_two_splits_is_found() -> None:
    leaks = find_leaks(CLEAN, {**MESSAGES, "c": ["2"]}, 0.8)
    assert [leak.what for leak in leaks] == ["1 messages in train and test"]


def test_a_short_common_reply_is_no_leak() -> None:
    splits = copy.deepcopy(CLEAN)
    splits["test"].append(row("d", "4", "hungry?", "haha yes"))
    assert find_leaks(splits, MESSAGES, 0.8) == []


def test_canaries_are_no_pairs(tmp_path: Path) -> None:
    for split, rows in CLEAN.items():
        planted = [{**rows[0], "canary": True}] if split == "train" else []
        lines = [json.dumps(content) for content in [*rows, *planted]]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    assert {name: len(rows) for name, rows in read_splits(tmp_path).items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }


def test_many_blocks_are_compared_whole() -> None:
    splits = copy.deepcopy(CLEAN)
    splits["train"] += [
        row(
            f"t{n}",
            "1",
            unlike(f"ask {n}"),
            unlike(f"tell {n}"),
        )
        for n in range(1_200)
    ]
    splits["train"].append(row("leak", "1", "so?", LONG))
    splits["test"].append(row("leaked", "3", "and then?", LONG))
    leaks = find_leaks(splits, MESSAGES, 0.8)
    assert leaks[0].what == "1 nearly equal replies in train and test"
