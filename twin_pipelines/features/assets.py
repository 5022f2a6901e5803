"""The Dagster door of the room: raw messages of a day, and its eve, become turns."""

import time

import dagster as dg
import polars as pl

from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.markdown import markdown_table
from twin_pipelines.foundation.partitions import DAILY, WITH_EVE, day_range
from twin_pipelines.foundation.resources import TwinResource


@dg.asset(
    group_name="features",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[dg.AssetDep("raw_conversations", partition_mapping=WITH_EVE)],
)
def cleaned_messages(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """Turns: cleaned text with language and session, the messages of one burst merged.

    What was left out, and why, is in `dropped_messages`. A day is computed from itself and its
    eve; a re-run touches only rows that changed.
    """
    days = day_range(context)
    started = time.perf_counter()

    def progress(part: DayRange, messages: int) -> None:
        context.log.info(f"{part.first} to {part.last}: {messages} messages cleaned")

    with twin.connect() as connection:
        made = refresh_days(connection, twin.settings, days, progress)
    counts = {row["day"]: row for row in made.days.iter_rows(named=True)}
    for day in days:
        row = counts.get(day, dict.fromkeys(made.days.columns, 0))
        context.add_asset_metadata(
            {
                "dagster/partition_row_count": row["turns"],
                "messages": row["messages"],
                "dropped": row["dropped"],
                "sessions": row["sessions"],
            },
            partition_key=day.isoformat(),
        )
    seconds = time.perf_counter() - started
    messages = int(made.days["messages"].sum())
    return dg.MaterializeResult(
        metadata={
            "dropped by reason": dg.MetadataValue.md(_shares(made.dropped, messages)),
            "turns by language": dg.MetadataValue.md(_shares(made.languages)),
            "rows written": made.written,
            "messages per second": round(messages / seconds, 1),
        }
    )


def _shares(counts: pl.DataFrame, whole: int | None = None) -> str:
    """Counts with their share of `whole` (default: of their sum), as a markdown table."""
    total = whole if whole is not None else int(counts["count"].sum())
    name = counts.columns[0]
    rows = [(value, count, f"{count / total:.1%}") for value, count in counts.rows()]
    return markdown_table(rows, (name, "count", "share")) if rows else "none"
