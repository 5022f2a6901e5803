"""Any table of any program is searched and marked, whatever the form of its columns."""

from __future__ import annotations

import json
import zlib

import psycopg
import pytest

from twin_pipelines.automation.erasure.markings import marked
from twin_pipelines.automation.erasure.papers_store import held, redact, rows_with
from twin_pipelines.automation.erasure.traces import Traces

SAID = "the copper canary sleeps behind the third brick"
ONE = "8e012742-4b1d-13f0-cc24-c72bc5a431bb"


@pytest.fixture
def strange(connection: psycopg.Connection) -> psycopg.Connection:
    """A table of somebody else's with the words in every form."""
    connection.execute(
        """
        create schema theirs;
        create table theirs.papers (
            name varchar(80) primary key, plain varchar(90), list text[], object jsonb,
            packed bytea, ids uuid[], number int
        )
        """
    )
    paper = json.dumps({"page": f"one\n- {SAID}", "parts": [SAID[:20], SAID[20:]]})
    connection.execute(
        "insert into theirs.papers values ('a', %(said)s, %(list)s, %(paper)s, %(packed)s, "
        "%(ids)s, 1), ('b', 'fine', '{fine}', '{}', null, null, 2)",
        {
            "said": f"so {SAID.upper()}!",
            "list": [SAID, "fine"],
            "paper": paper,
            "packed": zlib.compress(json.dumps({"x": SAID}).encode()),
            "ids": [ONE],
        },
    )
    connection.commit()
    return connection


def test_every_column_is_searched(strange: psycopg.Connection) -> None:
    found = {(one.table, one.column): one.rows for one in held(strange, Traces([SAID]))}
    assert found == {("papers", name): 1 for name in ("plain", "list", "object", "packed")}
    assert not held(strange, Traces([SAID]), ["papers"])
    [named] = rows_with(strange, [ONE])  # type: ignore[list-item]
    assert (named.table, named.column, named.rows) == ("papers", "ids", 1)


def test_what_the_planner_remembers_is_searched(strange: psycopg.Connection) -> None:
    strange.execute(
        "insert into theirs.papers (name, plain) select g, %s from generate_series(1, 9) as g",
        (SAID,),
    )
    strange.execute("analyze theirs.papers")
    strange.execute("delete from theirs.papers")
    found = [one.column for one in held(strange, Traces([SAID]))]
    assert "statistics of plain" in found


def test_texts_lists_and_json_are_marked_and_keys_are_left(strange: psycopg.Connection) -> None:
    strange.execute("insert into theirs.papers (name) values (%s)", (SAID,))
    strange.commit()
    traces = Traces([SAID])
    changed = {one.column for one in redact(strange, traces, lambda text: marked(text, traces))}
    assert changed == {"plain", "list", "object"}
    rows = strange.execute("select plain, list, object from theirs.papers order by name").fetchall()
    assert rows[0] == (
        "(erased)",
        ["fine"],
        {"page": "one\n(erased)", "parts": [SAID[:20], SAID[20:]]},
    )
    assert rows[1] == ("fine", ["fine"], {})
    left = {one.column for one in held(strange, traces)}
    assert left - {"statistics of name"} == {"name", "packed"}, "keys and bytes are only told"
