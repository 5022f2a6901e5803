"""What must be true of the search index and of its figures."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.embeddings.encoder import model_id
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.retrieval.figures_store import latest_figures
from twin_pipelines.retrieval.index import check_store
from twin_pipelines.retrieval.index.sample import SESSIONS, outdated
from twin_pipelines.settings import load_settings

MOST_MS = 100.0  # that 95 % of the questions may take, whole path
LENGTH_TOLERANCE = 0.01  # half precision keeps a unit length to about 0.001


def _coverage(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    del days
    return check_store.coverage(connection)


def _vectors(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    del days
    wanted = model_id(load_settings())
    found = check_store.vector_summary(connection)
    return found.with_columns(other_model=(pl.col("model") != wanted).cast(pl.Int32))


def _frequencies(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    del days
    return check_store.recounted(connection)


def _complete(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[0])
        for name in ("missing", "unwanted")
    ]


def _unit_length(gxe: ModuleType) -> Sequence[Any]:
    low, high = 1 - LENGTH_TOLERANCE, 1 + LENGTH_TOLERANCE
    return [
        gxe.ExpectColumnValuesToBeBetween(column="shortest", min_value=low, max_value=high),
        gxe.ExpectColumnValuesToBeBetween(column="longest", min_value=low, max_value=high),
        gxe.ExpectColumnValuesToBeInSet(column="dimensions", value_set=[1]),
        gxe.ExpectColumnValuesToBeInSet(column="other_model", value_set=[0]),
    ]


def _exact(gxe: ModuleType) -> Sequence[Any]:
    return [gxe.ExpectColumnPairValuesToBeEqual(column_A="kept", column_B="counted")]


everything_is_indexed = table_checks(
    "search_index",
    "everything_is_indexed",
    _coverage,
    _complete,
    severity="critical",
    description="Every turn and every active memory has its entry, and nothing else has one.",
)
vectors_are_of_one_model = table_checks(
    "search_index",
    "vectors_are_of_one_model",
    _vectors,
    _unit_length,
    severity="critical",
    description="Vectors are of the set model, of unit length and of one dimension.",
)
counts_are_exact = table_checks(
    "search_index",
    "counts_are_exact",
    _frequencies,
    _exact,
    severity="critical",
    description="How often each term occurs, as triggers kept it, equals a recount.",
)


@dg.asset_check(
    asset="search_index",
    description="What is indexed of sampled sessions is what was said, and nothing waits.",
)
def index_is_current(twin: TwinResource) -> dg.AssetCheckResult:
    """Entries of a sample are made again and compared; a warning, for the server may be at work."""
    with twin.connect() as connection:
        stale = outdated(connection, SESSIONS)
        queued = check_store.queued(connection)
    told = []
    if queued:
        told.append(f"{queued} sessions and memories changed since; materialise search_index again")
    if stale:
        told.append(f"{stale} entries are of an earlier text; run `twin reindex`")
    return dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(told) or None,
        metadata={"queued": queued, "outdated in the sample": stale},
    )


@dg.asset_check(
    asset="retrieval_figures",
    description="Shares lie between 0 and 1 and in their interval, times are in order.",
)
def figures_add_up(twin: TwinResource) -> dg.AssetCheckResult:
    """Of the newest figures; where no question could be asked there must be none."""
    with twin.connect() as connection:
        found = latest_figures(connection)
    if found is None:
        return dg.AssetCheckResult(passed=False, description="nothing was measured yet")
    shares = (found.ci_low, found.recall_at_10, found.ci_high)
    times = (found.p50_ms, found.p95_ms, found.p99_ms)
    if not found.questions:
        right = {*shares, *times, found.evidence} == {None}
    else:
        right = all(
            None not in rising and list(rising) == sorted(rising)  # type: ignore[type-var]
            for rising in ((0.0, *shares, 1.0), (0.0, found.evidence, 1.0), (0.0, *times))
        )
    return dg.AssetCheckResult(
        passed=right,
        severity=dg.AssetCheckSeverity.ERROR,
        description=None if right else "figures contradict each other; materialise them again",
        metadata={"questions": found.questions, "index version": found.index_version},
    )


@dg.asset_check(
    asset="retrieval_figures",
    description="95 % of the questions are answered within 100 ms, from text to context.",
)
def recall_is_quick(twin: TwinResource) -> dg.AssetCheckResult:
    """A warning: a busy machine is slow too."""
    with twin.connect() as connection:
        found = latest_figures(connection)
    p95 = found.p95_ms if found else None
    return dg.AssetCheckResult(
        passed=p95 is None or p95 <= MOST_MS,
        severity=dg.AssetCheckSeverity.WARN,
        description=None if p95 is None else f"p95 {p95:.0f} ms",
    )
