"""Tables compared by day and by row: what differs is found, and nothing else."""

from __future__ import annotations

from datetime import date

import polars as pl
import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from twin_pipelines.sources.reconciliation import (
    DAY_SCHEMA,
    ROW_SCHEMA,
    differences,
    differing_keys,
    lasting,
)
from twin_pipelines.sources.reconciliation_store import Compared, digests, fingerprints

WORDS = ("hello", "สวัสดี", "a, b", 'quo"te', "", None)
Rows = dict[int, tuple[str | None, int | None]]
rows_of_a_side = st.dictionaries(
    st.integers(1, 8),
    st.tuples(st.sampled_from(WORDS), st.sampled_from((1, 2, 3, None))),
    max_size=8,
)


def table(rows: Rows) -> Compared:
    """Rows by key: a text, and a day of May 2018 or none."""
    values = [(key, text, day and date(2018, 5, day)) for key, (text, day) in rows.items()]
    listed = sql.SQL(", ").join(
        sql.SQL("({}, {}::text, {}::date)").format(*map(sql.Literal, row)) for row in values
    )
    made = sql.SQL("(values {}) as said (key, words, day)").format(listed)
    nothing = sql.SQL("(select 1 as key, '' as words, null::date as day where false) as said")
    columns = {name: sql.Identifier(name) for name in ("key", "day", "words")}
    return Compared(made if rows else nothing, columns["key"], columns["day"], [columns["words"]])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(here=rows_of_a_side, there=rows_of_a_side)
def test_exactly_the_rows_that_differ_are_found(
    connection: psycopg.Connection, here: Rows, there: Rows
) -> None:
    sides = table(here), table(there)
    days = differences(*(digests(connection, side) for side in sides))
    found = differing_keys(
        *(fingerprints(connection, side, days["day"].to_list()) for side in sides)
    )
    unequal = {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)}
    same_but_day = {
        key for key in unequal & here.keys() & there.keys() if here[key][0] == there[key][0]
    }
    assert set(map(int, found["key"])) == unequal - same_but_day
    alone = {int(key) for key in found.filter(pl.col("found") == "here")["key"]}
    assert alone == here.keys() - there.keys()
    touched = {side[key][1] for side in (here, there) for key in unequal if key in side}
    assert {day and day.day for day in days["day"]} == touched


def test_a_day_that_is_the_same_in_another_order_does_not_differ(
    connection: psycopg.Connection,
) -> None:
    rows: Rows = {key: (f"text {key}", 1) for key in range(1, 50)}
    turned = dict(reversed(rows.items()))
    assert differences(*(digests(connection, table(side)) for side in (rows, turned))).is_empty()


def test_rows_without_a_day_are_compared_too() -> None:
    here = pl.DataFrame({"day": [None], "rows": [2], "digest": ["5"]}, schema=DAY_SCHEMA)
    there = pl.DataFrame({"day": [None], "rows": [2], "digest": ["6"]}, schema=DAY_SCHEMA)
    assert differences(here, here).is_empty()
    assert differences(here, there).rows() == [(None, 2, 2)]


def test_what_was_on_its_way_is_no_lasting_difference() -> None:
    def rows(**found: str) -> pl.DataFrame:
        return pl.DataFrame(list(found.items()), schema=ROW_SCHEMA, orient="row")

    before = differing_keys(rows(a="1", b="1", c="1"), rows(a="2", c="9"))
    after = differing_keys(rows(a="1", b="1", c="3"), rows(a="2", b="1", c="9"))
    assert lasting(before, after)["key"].to_list() == ["a"]
