"""Between two versions every pair is accounted for, with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import polars as pl
import psycopg
import pytest
from test_instruct_assets import chats, make_pairs, materialise
from typer.testing import CliRunner

from twin_pipelines.cli import app
from twin_pipelines.instruct import diff as rules
from twin_pipelines.instruct.assets import instruct_dataset
from twin_pipelines.instruct.diff import Change, Contents, diff, diff_contents
from twin_pipelines.instruct.store import latest_version
from twin_pipelines.settings import TwinError, TwinSettings, load_settings


def contents(version: str, splits: dict[str, str], **more: Any) -> Contents:
    return Contents(
        version,
        more.get("settings", {}),
        splits,
        dict.fromkeys(splits, 1) | more.get("texts", {}),
        more.get("left_out", {}),
    )


def test_added_removed_moved_and_changed_pairs_are_told_apart_with_their_reasons() -> None:
    old = contents(
        "a",
        {"1": "train", "2": "train", "3": "validation", "4": "test", "5": "train"},
        left_out={"6": "too poor"},
        settings={"dataset": {"test_share": 0.1, "near_duplicate": 0.8}},
    )
    new = contents(
        "b",
        {"1": "train", "3": "train", "4": "test", "6": "train", "7": "test"},
        left_out={"2": "leaks"},
        texts={"4": 2},
        settings={"dataset": {"test_share": 0.2, "near_duplicate": 0.8}},
    )
    found = diff_contents(old, new)
    assert set(found.changes) == {
        Change("added", None, "train", "was left out: too poor", 1),
        Change("added", None, "test", rules.NEW, 1),
        Change("removed", "train", None, "leaks", 1),
        Change("removed", "train", None, rules.GONE, 1),
        Change("moved", "validation", "train", rules.CUT, 1),
        Change("changed", "test", "test", rules.EDITED, 1),
    }
    assert found.settings == [("dataset.test_share", 0.1, 0.2)]
    assert found.sizes == {"train": (3, 3), "validation": (1, 0), "test": (1, 2)}
    assert diff_contents(old, old).changes == []


@pytest.fixture
def versions(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    talk: Callable[..., pl.DataFrame],
    land: Callable[[psycopg.Connection, pl.DataFrame], None],
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Three versions: as it comes, with a larger test split, with a quality set by hand."""
    land(connection, chats(talk))
    make_pairs()
    middle = "select percentile_disc(0.5) within group (order by quality)::text from instruct_pairs"
    ((quality,),) = connection.execute(middle).fetchall()
    made = []
    for name, value in (
        ("TWIN_DATASET__TEST_SHARE", "0.15"),
        ("TWIN_DATASET__TEST_SHARE", "0.3"),
        ("TWIN_DATASET__MIN_QUALITY", quality),
    ):
        monkeypatch.setenv(name, value)
        load_settings.cache_clear()
        assert materialise([instruct_dataset]).success
        connection.rollback()
        made.append(latest_version(connection))
    return made


def test_real_versions_differ_by_what_was_set(
    versions: list[str], connection: psycopg.Connection
) -> None:
    settings = load_settings()
    cut = diff(connection, settings, *versions[:2])
    assert cut.changes[0].what == "moved"
    assert {change.why for change in cut.changes if change.what == "added"} <= {
        "was left out: quality below the threshold of train"
    }
    assert ("dataset.test_share", 0.15, 0.3) in cut.settings
    stricter = diff(connection, settings, *versions[1:])
    assert {(change.what, change.before) for change in stricter.changes} == {("removed", "train")}
    assert {change.why for change in stricter.changes} == {"quality below the threshold of train"}
    assert sum(change.pairs for change in stricter.changes) == (
        stricter.sizes["train"][0] - stricter.sizes["train"][1]
    )


def test_the_command_prints_it_for_people_and_for_machines(versions: list[str]) -> None:
    told = CliRunner().invoke(app, ["dataset", "diff", *versions[:2]])
    assert told.exit_code == 0, told.output
    assert "moved" in told.output
    plain = CliRunner().invoke(app, ["dataset", "diff", *versions[:2], "--json"])
    found = json.loads(plain.output)
    assert [found["before"], found["after"]] == versions[:2]
    assert found["changes"][0]["why"] == rules.CUT


def test_a_version_that_is_not_there_or_lost_its_files_is_refused_in_words(
    versions: list[str], connection: psycopg.Connection
) -> None:
    settings = load_settings()
    with pytest.raises(TwinError, match=f"no dataset nothing; .*{versions[-1]}"):
        diff(connection, settings, "nothing", versions[0])
    shutil.rmtree(settings.datasets_dir / versions[0])
    with pytest.raises(TwinError, match="are gone"):
        diff(connection, settings, *versions[:2])
