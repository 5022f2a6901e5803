"""The bridge from Great Expectations to asset checks: what blocks, what warns, what is said."""

from datetime import date

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.partitions import DAILY
from twin_pipelines.foundation.quality import as_markdown, explain, table_checks, validate
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinSettings

ROWS = pl.DataFrame({"text": ["a", "", None], "day": [date(2018, 5, 1)] * 3, "ids": [[1], [2], []]})


def _gxe():
    import great_expectations.expectations as gxe

    return gxe


def test_a_broken_expectation_names_its_column_and_counts_its_rows() -> None:
    gxe = _gxe()
    rows = validate(
        ROWS,
        [
            gxe.ExpectColumnValuesToNotBeNull(column="text"),
            gxe.ExpectColumnValueLengthsToBeBetween(column="text", min_value=1),
            gxe.ExpectColumnValuesToNotBeNull(column="ids"),
        ],
    )
    assert [row["passed"] for row in rows] == [False, False, True]
    assert rows[0]["unexpected"] == 1
    words = explain([row for row in rows if not row["passed"]])
    assert "text: expect_column_values_to_not_be_null failed for 1 rows" in words
    assert "**no**" in as_markdown(rows)


def test_a_column_that_is_missing_fails_instead_of_passing_unseen() -> None:
    rows = validate(ROWS, [_gxe().ExpectColumnValuesToNotBeNull(column="absent")])
    assert [row["passed"] for row in rows] == [False]


@pytest.mark.parametrize(("severity", "downstream_runs"), [("critical", False), ("warning", True)])
def test_a_critical_check_stops_what_is_downstream_and_a_warning_does_not(
    twin_home: TwinSettings, severity: str, downstream_runs: bool
) -> None:
    seen: list[DayRange | None] = []
    ran: list[str] = []

    def load(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
        seen.append(days)
        assert connection.execute("select 1").fetchone() == (1,)
        return ROWS

    @dg.asset(partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run())
    def upstream() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    @dg.asset(partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run(), deps=[upstream])
    def downstream() -> dg.MaterializeResult:
        ran.append("downstream")
        return dg.MaterializeResult()

    check = table_checks(
        "upstream",
        "text_is_there",
        load,
        lambda gxe: [gxe.ExpectColumnValuesToNotBeNull(column="text")],
        severity=severity,
        partitioned=True,
    )
    result = dg.materialize(
        [upstream, downstream, check],
        resources={"twin": TwinResource()},
        tags={
            "dagster/asset_partition_range_start": "2018-05-01",
            "dagster/asset_partition_range_end": "2018-05-03",
        },
        raise_on_error=False,
    )
    evaluation = result.get_asset_check_evaluations()[0]
    assert not evaluation.passed
    assert "failed for 1 rows" in evaluation.description
    assert seen == [DayRange(date(2018, 5, 1), date(2018, 5, 3))]
    assert bool(ran) == downstream_runs
