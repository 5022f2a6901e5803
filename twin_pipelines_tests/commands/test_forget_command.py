"""`twin forget` tells first, goes on where it was killed, and searches before it is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import dagster as dg
import psycopg
import pytest
from erased_history import DAY, SECRET, Said, fill, told
from typer.testing import CliRunner

from twin_pipelines.automation.erasure import erasure_store, files, verify
from twin_pipelines.automation.erasure.verify import Query, Verification
from twin_pipelines.cli import app
from twin_pipelines.commands import forget, runs
from twin_pipelines.commands.scoreboard import _erased_lines
from twin_pipelines.foundation.database import open_databases
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import TwinError, TwinSettings


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def said(connection: psycopg.Connection, twin_home: TwinSettings) -> Said:
    """A history with a secret in every table, and in a file."""
    messages = told(connection, twin_home)
    fill(connection, messages)
    folder = twin_home.home / "evaluations" / "e1"
    folder.mkdir(parents=True)
    rows = ({"reply": SECRET}, {"reply": "noodles then"})
    (folder / "replies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return messages


@pytest.fixture
def derived(twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch) -> list[list[DayRange]]:
    """Stretches of days that were asked for, in place of runs of the graph and of the search."""
    asked: list[list[DayRange]] = []

    @contextmanager
    def opened(settings: TwinSettings) -> Iterator[Any]:
        with open_databases(settings) as databases:
            yield SimpleNamespace(get_runs=lambda *_, **__: []), databases

    monkeypatch.setattr(runs, "open_twin", opened)
    monkeypatch.setattr(runs, "derive", lambda _, stretches, __: asked.append(list(stretches)))
    monkeypatch.setattr(verify, "verify", lambda *_: searched(0))
    return asked


def searched(found: int) -> Verification:
    query = Query("tables", "every column", 9, found, ("memories.content",) * found, 0.1)
    return Verification("2018-05-08T00:00:00+00:00", 2, 2, 2, (query,))


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, ["forget", *words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def stage(connection: psycopg.Connection) -> str | None:
    going = erasure_store.unfinished(connection)
    connection.rollback()
    return going.stage if going else None


@pytest.mark.usefixtures("said")
def test_without_yes_it_is_told_what_would_go(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    planned = run("--person", "carol")
    assert planned["dry_run"] is True
    assert planned["tables"]["raw_messages"] == {"removed": 2, "before": 5}
    assert (planned["datasets"], planned["adapters"], planned["releases"]) == (["d1"], ["a1"], [1])
    places = {place["where"]: place["hits"] for place in planned["files"]}
    assert places["evaluations/e1/replies.jsonl"] == 1
    shown = CliRunner().invoke(app, ["forget", "--person", "carol"], catch_exceptions=False)
    assert "Nothing was changed; add --yes" in shown.stdout
    assert SECRET not in shown.stdout
    assert connection.execute("select count(*) from raw_messages").fetchone() == (5,)
    assert stage(connection) is None


@pytest.mark.usefixtures("said")
def test_with_yes_it_goes_and_leaves_a_receipt(
    connection: psycopg.Connection, twin_home: TwinSettings, derived: list[list[DayRange]]
) -> None:
    done = run("--person", "carol", "--yes", "--reason", "asked by letter")
    assert (done["stage"], done["verified"]) == ("done", True)
    assert derived == [[DayRange(DAY, DAY)]]
    assert SECRET not in (twin_home.home / "evaluations/e1/replies.jsonl").read_text()
    assert connection.execute("select count(*) from erasing").fetchone() == (0,)
    connection.rollback()
    (listed,) = run("--receipts")
    assert (listed["erasure_id"], listed["messages"]) == (done["erasure_id"], 2)
    assert listed["signature"] == "good"


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize(("at", "stood"), [("cleanse", "removed"), ("derive", "cleansed")])
def test_it_goes_on_where_it_was_killed(
    connection: psycopg.Connection,
    derived: list[list[DayRange]],
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    stood: str,
) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(files if at == "cleanse" else runs, at, die)
        with pytest.raises(Killed):
            run("--person", "carol", "--yes")
    assert stage(connection) == stood
    with pytest.raises(TwinError, match="--resume"):
        run("--person", "ben", "--yes")
    assert run("--resume")["stage"] == "done"
    assert len(derived) == 1
    with pytest.raises(TwinError, match="No erasure is unfinished"):
        run("--resume")


@pytest.mark.usefixtures("said", "derived")
def test_it_is_not_done_while_some_of_it_is_found(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(verify, "verify", lambda *_: searched(1))
        with pytest.raises(TwinError, match="Some of it was found afterwards"):
            run("--person", "carol", "--yes")
    assert stage(connection) == "derived"
    lines = dict(_erased_lines(erasure_store.summary(connection)))
    connection.rollback()
    assert lines["forgotten"].startswith("2 messages in 1 erasures")
    assert "some of it was found afterwards" in lines[""]
    assert run("--resume")["verified"] is True


def test_it_waits_for_no_run_that_may_write_what_it_had_read() -> None:
    busy = SimpleNamespace(run_id="12345678-x", job_name="daily_refresh")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.MonkeyPatch.context() as patched,
        pytest.raises(TwinError, match="12345678 of daily_refresh is on its way"),
    ):
        patched.setattr(instance, "get_runs", lambda *_, **__: [busy])
        forget._nobody_derives(instance)
