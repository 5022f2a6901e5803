"""What is asked must come from the test split alone, and stay the same from run to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twin_pipelines.evaluation.frozen import freeze, train_exchanges
from twin_pipelines.evaluation.leaks import overlap
from twin_pipelines.settings import TwinError


def row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "pair_id": f"pair-{number}",
        "prompt": [
            {"role": "system", "content": "You are Ann."},
            {"role": "user", "content": f"question number {number} of the day"},
        ],
        "completion": [{"role": "assistant", "content": f"answer {number}"}],
        "session_id": f"session-{number // 3}",
        **more,
    }


def write(folder: Path, split: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


def test_the_choice_does_not_depend_on_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [row(number) for number in range(30)]
    write(tmp_path, "test", rows)
    first = freeze(tmp_path, "v", replies=5, ranked=10)
    write(tmp_path, "test", rows[::-1])
    again = freeze(tmp_path, "v", replies=5, ranked=10)
    assert first == again
    assert len(first.exchanges) == 10
    assert len(first.to_generate) == 5
    assert first.sessions > 3


def test_a_pair_that_is_added_moves_no_other_pair_out_of_its_place(tmp_path: Path) -> None:
    write(tmp_path, "test", [row(number) for number in range(30)])
    before = freeze(tmp_path, "v", replies=10, ranked=10).exchanges
    write(tmp_path, "test", [row(number) for number in range(33)])
    after = freeze(tmp_path, "v", replies=10, ranked=10).exchanges
    assert len({one.pair_id for one in before} & {one.pair_id for one in after}) >= 7


def test_the_version_changes_with_content_and_size(tmp_path: Path) -> None:
    rows = [row(number) for number in range(6)]
    write(tmp_path, "test", rows)
    versions = {freeze(tmp_path, "v", replies=6, ranked=6).version}
    versions.add(freeze(tmp_path, "v", replies=5, ranked=6).version)
    rows[2]["completion"][0]["content"] = "something else"
    write(tmp_path, "test", rows)
    versions.add(freeze(tmp_path, "v", replies=6, ranked=6).version)
    assert len(versions) == 3


def test_a_row_of_another_split_is_refused_in_the_test_file(tmp_path: Path) -> None:
    write(tmp_path, "test", [row(1), row(2, split="train")])
    with pytest.raises(TwinError, match="only the test split"):
        freeze(tmp_path, "v", replies=5, ranked=5)


def test_a_missing_or_empty_test_split_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="materialise instruct_dataset"):
        freeze(tmp_path, "v", replies=5, ranked=5)
    write(tmp_path, "test", [])
    with pytest.raises(TwinError, match="import more history"):
        freeze(tmp_path, "v", replies=5, ranked=5)


def test_planted_secrets_and_rehearsed_chats_are_no_examples_of_the_subjects_hand(
    tmp_path: Path,
) -> None:
    rehearsed = row(3, canary=False, rehearsal=True)
    write(tmp_path, "train", [row(1, canary=False), row(2, canary=True), rehearsed])
    assert [one.pair_id for one in train_exchanges(tmp_path)] == ["pair-1"]


def test_every_way_of_leaking_is_seen(tmp_path: Path) -> None:
    write(tmp_path, "test", [row(0), row(30)])
    frozen = freeze(tmp_path, "v", replies=5, ranked=5).exchanges
    write(tmp_path, "train", [row(60)])
    clean = train_exchanges(tmp_path)
    messages = {"pair-0": ["m1", "m2"], "pair-30": ["m3"], "pair-60": ["m4"]}
    assert overlap(frozen, clean, messages).clean

    write(tmp_path, "train", [row(1)])
    same_session = overlap(frozen, train_exchanges(tmp_path), messages)
    assert (same_session.sessions, same_session.messages, same_session.exchanges) == (1, 0, 0)
    assert same_session.unknown == 1

    shared = overlap(frozen, clean, {**messages, "pair-60": ["m2"]})
    assert (shared.sessions, shared.messages) == (0, 1)

    copied = {**row(30), "pair_id": "other", "session_id": "other"}
    write(tmp_path, "train", [copied])
    repeated = overlap(frozen, train_exchanges(tmp_path), messages)
    assert repeated.exchanges == 1
    assert "1 whole exchanges" in repeated.words
    assert not repeated.clean
