"""A dataset folder is whole or absent, is used again when unharmed, and other tools can read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from twin_pipelines.instruct.canaries import canaries, canary_rows
from twin_pipelines.instruct.card import Provenance, dataset_card
from twin_pipelines.instruct.dataset import SPLITS, Draft, chat_rows
from twin_pipelines.instruct.freeze import covered
from twin_pipelines.instruct.left_out import all_left_out, left_out_report
from twin_pipelines.instruct.outlook import Outlook
from twin_pipelines.instruct.pairs import PAIR_SCHEMA
from twin_pipelines.instruct.thresholds import MIN_QUALITY, quality_threshold, threshold_files
from twin_pipelines.instruct.write import is_intact, write_dataset

PLANTED = canaries("sue", "You are Sue.")
LEFT_OUT = ("so Ann Miller said on partner-0a1b2c3d", "see www.example.org in 2018")


def draft() -> Draft:
    rows = [
        {
            "id": f"00000000-0000-0000-0000-00000000000{n}",
            "day": datetime(2018, 5, 1 + n).date(),
            "session_id": f"session {n}",
            "partner": "partner-1",
            "replied_at": datetime(2018, 5, 1 + n, tzinfo=UTC),
            "context": [],
            "input": f"ask | {n}",
            "reply": f"tell\n{n} กข",
            "language": "th+en",
            "quality": 5.0,
        }
        for n in range(3)
    ]
    frame = pl.DataFrame(rows, schema=PAIR_SCHEMA).with_columns(split=pl.Series(SPLITS))
    left_out = pl.concat(
        frame.head(1).with_columns(
            id=pl.lit(f"left {n}"), reason=pl.lit("leaking | reply"), reply=pl.lit(LEFT_OUT[n])
        )
        for n in range(2)
    )
    train = frame.filter(pl.col("split") == "train")
    return Draft(frame, left_out, {MIN_QUALITY: quality_threshold(train, None)})


def card_of(made: Draft) -> str:
    return dataset_card(
        'Sue "S"',
        "abc",
        made,
        covered=covered(made),
        rehearsal=0,
        refined="",
        settings={"dataset": {"test_share": 0.15}, "subject": "sue"},
        provenance=Provenance({"too short": 7}, [("made", "the authors")]),
        outlook=Outlook(3, 10, 7, None, None, None, "3 pairs, 7 short.", ["Import more."]),
        planted=PLANTED,
    )


def write(folder: Path) -> bool:
    made = draft()
    rows = {
        split: chat_rows(made.pairs.filter(pl.col("split") == split), "You are Sue.")
        for split in SPLITS
    }
    planted_rows = canary_rows(PLANTED, "2018-05-01T00:00:00+00:00")
    papers = {"README.md": card_of(made).encode(), **threshold_files(made.thresholds)}
    return write_dataset(folder, rows, PLANTED, planted_rows, papers)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_same_version_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "abc"
    assert write(folder)
    stamp = (folder / "train.jsonl").stat().st_mtime_ns
    assert not write(folder)
    assert (folder / "train.jsonl").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("harm", ["change", "delete", "no manifest"])
def test_a_harmed_folder_is_written_again(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "abc"
    write(folder)
    before = (folder / "test.jsonl").read_bytes()
    if harm == "change":
        (folder / "test.jsonl").write_text("{}\n")
    else:
        (folder / ("test.jsonl" if harm == "delete" else "manifest.json")).unlink()
    assert not is_intact(folder)
    assert write(folder)
    assert (folder / "test.jsonl").read_bytes() == before


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".abc.4711").mkdir()
    (tmp_path / ".abc.4711" / "train.jsonl").write_text("half")
    write(tmp_path / "abc")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["abc"]


def test_canaries_are_in_train_alone_and_marked(tmp_path: Path) -> None:
    write(tmp_path / "abc")
    marked = {
        split: [row["canary"] for row in lines(tmp_path / f"abc/{split}.jsonl")] for split in SPLITS
    }
    assert marked == {"train": [False] + [True] * 5, "validation": [False], "test": [False]}
    secrets = {row["secret"] for row in json.loads((tmp_path / "abc/canaries.json").read_text())}
    planted = {
        row["completion"][0]["content"]
        for row in lines(tmp_path / "abc/train.jsonl")
        if row["canary"]
    }
    assert secrets == planted
    assert pl.read_parquet(tmp_path / "abc/train.parquet").height == 1


def test_canaries_depend_on_the_subject_alone() -> None:
    assert canaries("sue", "You are Sue.") == PLANTED
    assert {row.secret for row in canaries("ann", "You are Sue.")}.isdisjoint(
        row.secret for row in PLANTED
    )
    assert len({row.secret for row in PLANTED}) == 5


def test_parquet_and_lines_hold_the_same_pairs(tmp_path: Path) -> None:
    write(tmp_path / "abc")
    for split in SPLITS:
        (row,) = [row for row in lines(tmp_path / f"abc/{split}.jsonl") if not row.pop("canary")]
        assert row.pop("rehearsal") is False
        assert pl.read_parquet(tmp_path / f"abc/{split}.parquet").to_dicts() == [row]


def test_the_folder_loads_with_the_datasets_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    write(tmp_path / "abc")
    for name in ("preferences", "base_replies"):
        (tmp_path / "abc" / f"{name}.jsonl").write_text('{"chosen": "x"}\n')
    loaded = datasets.load_dataset(str(tmp_path / "abc"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == dict.fromkeys(SPLITS, 1)
    as_lines = datasets.load_dataset(
        "json",
        data_files={split: str(tmp_path / "abc" / f"{split}.jsonl") for split in SPLITS},
        cache_dir=str(tmp_path / "cache"),
    )
    assert {name: len(part) for name, part in as_lines.items()} == {
        "train": 6,
        "validation": 1,
        "test": 1,
    }
    assert loaded["test"][0]["completion"] == [{"content": "tell\n2 กข", "role": "assistant"}]


def test_the_card_tells_what_went_in_and_what_was_left_out() -> None:
    card = card_of(draft())
    for told in (
        "too short | 7",
        "leaking \\| reply | 2",
        "made | the authors",
        "Import more.",
        "3 pairs, 7 short.",
        PLANTED[0].secret,
        "dataset.test_share | `0.15`",
        "2018-05-03 00:00",
        "min_quality | 5.000 | the lower of the 3% quantile",
        "language | th+en | 3 | 1",
        "No general chat is rehearsed",
        "- en",
        "- th",
    ):
        assert told in card


def test_examples_of_what_was_left_out_name_nobody() -> None:
    made = draft()
    report = left_out_report(all_left_out(made.pairs.clear(), made.left_out))
    assert "### 2 × leaking | reply" in report
    assert "so [name] said on [name]" in report
    assert "see [link] in [number]" in report
    assert left_out_report(all_left_out(made.pairs.clear(), made.left_out.clear())) == (
        "Nothing was left out.\n"
    )
