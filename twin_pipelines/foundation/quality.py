"""Great Expectations suites as Dagster asset checks: the one factory for table-shaped checks.

A room names the asset, how to load the rows in question and what to expect of them; here the suite
is run in an ephemeral context and its result becomes an `AssetCheckResult`. Checks that are not
about rows of a table (a model that loads, a leak between two files) are plain `@dg.asset_check`s.
"""

import os
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from types import ModuleType
from typing import Any, Literal

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.markdown import markdown_table
from twin_pipelines.foundation.partitions import DAILY
from twin_pipelines.foundation.resources import TwinResource

Loader = Callable[[psycopg.Connection, DayRange | None], pl.DataFrame]
Severity = Literal["critical", "warning"]


def validate(frame: pl.DataFrame, expectations: Sequence[Any]) -> list[dict[str, Any]]:
    """Run expectations over a frame.

    Returns one row for each expectation: `expectation`, `column`, `passed`, `unexpected` (rows
    that break it), `observed` and `error` (the exception, when it could not be evaluated).
    """
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": _to_pandas(frame)})
    rows = []
    for expectation in expectations:
        result = batch.validate(expectation)
        config = result.expectation_config
        raised = (result.exception_info or {}).get("exception_message")
        rows.append(
            {
                "expectation": config.type if config else type(expectation).__name__,
                "column": str((config.kwargs if config else {}).get("column", "")),
                "passed": bool(result.success),
                "unexpected": int(result.result.get("unexpected_count") or 0),
                "observed": str(result.result.get("observed_value", ""))[:200],
                "error": str(raised or "")[:300],
            }
        )
    return rows


def table_checks(
    asset: str,
    name: str,
    load: Loader,
    expectations: Callable[[ModuleType], Sequence[Any]],
    *,
    severity: Severity = "critical",
    partitioned: bool = False,
    description: str = "",
) -> dg.AssetChecksDefinition:
    """One asset check made of a Great Expectations suite.

    `load(connection, days)` returns the rows to look at; `days` is None for an asset without
    partitions. `expectations(gxe)` returns the suite; `gxe` is `great_expectations.expectations`,
    handed over so that no room imports it at load time. A critical check blocks what is
    downstream; a warning is shown and blocks nothing. No rows is a pass, said in the metadata.
    """
    critical = severity == "critical"

    @dg.asset_check(
        asset=asset,
        name=name,
        description=description or load.__doc__,
        blocking=critical,
        partitions_def=DAILY if partitioned else None,
    )
    def check(context: dg.AssetCheckExecutionContext, twin: TwinResource) -> dg.AssetCheckResult:
        days = _days(context) if partitioned else None
        with twin.connect() as connection:
            frame = load(connection, days)
        rows = validate(frame, expectations(_expectations())) if frame.height else []
        failed = [row for row in rows if not row["passed"]]
        return dg.AssetCheckResult(
            passed=not failed,
            severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
            description=explain(failed) if failed else None,
            metadata={
                "rows": frame.height,
                "expectations": dg.MetadataValue.md(as_markdown(rows)),
            },
        )

    return check


def explain(failed: Sequence[dict[str, Any]]) -> str:
    """The broken expectations in words."""
    return "; ".join(
        f"{row['column'] or 'table'}: {row['expectation']} failed"
        + (f" for {row['unexpected']} rows" if row["unexpected"] else "")
        + (f" (observed {row['observed']})" if row["observed"] else "")
        + (f" ({row['error']})" if row["error"] else "")
        for row in failed
    )


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The validation as a markdown table."""
    if not rows:
        return "no rows to look at"
    header = ("expectation", "column", "passed", "unexpected", "observed")
    told = [{**row, "passed": "yes" if row["passed"] else "**no**"} for row in rows]
    return markdown_table([[row[name] for name in header] for row in told], header)


def _days(context: dg.AssetCheckExecutionContext) -> DayRange:
    keys = context.partition_key_range
    return DayRange(date.fromisoformat(keys.start), date.fromisoformat(keys.end))


def _to_pandas(frame: pl.DataFrame) -> Any:
    """Great Expectations reads pandas; dates and lists arrive as Python objects it can compare."""
    import pandas as pd

    return pd.DataFrame({column: frame[column].to_list() for column in frame.columns})


def _expectations() -> ModuleType:
    _quiet()
    import great_expectations.expectations as gxe

    return gxe


def _quiet() -> None:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")


@lru_cache(maxsize=1)
def _batch_definition() -> Any:
    _quiet()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("rows")
