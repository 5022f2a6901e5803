"""The Dagster door of the room: messages of a day land, from every source in force."""

import dagster as dg
import polars as pl

from twin_pipelines.foundation.markdown import markdown_table
from twin_pipelines.foundation.partitions import DAILY, day_range
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.sources.landing import ImportReport, Landed, land_days


@dg.asset(
    group_name="sources",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def raw_conversations(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """Messages as they were written, from the chitchat package, files and PostgreSQL tables.

    A table and the package are read for the day and replace what was landed of it; a file is landed
    whole, once, whatever the day. Bad rows are left out or mended and listed in `import_problems`.
    Settles who the subject is.
    """
    days = day_range(context)
    with twin.connect() as connection:
        landed = land_days(connection, twin.settings, days, context.log.debug)
    for report in landed.reports:
        context.log.info(_in_words(report))
    by_day = landed.counts.group_by("day", maintain_order=True).agg(pl.col("messages").sum())
    for day, messages in by_day.iter_rows():
        context.add_asset_metadata(
            {"dagster/partition_row_count": messages}, partition_key=day.isoformat()
        )
    return dg.MaterializeResult(
        metadata={
            "messages": int(landed.counts["messages"].sum()),
            "subject": f"{landed.subject.name} (speaker {landed.subject.speaker})",
            "subject chosen by": landed.subject.chosen_by,
            "messages by source": dg.MetadataValue.md(_by_source(landed)),
            "read": dg.MetadataValue.md(_reports(landed.reports)),
            "rejected and repaired": dg.MetadataValue.md(_problems(landed.reports)),
        }
    )


def _in_words(report: ImportReport) -> str:
    words = (
        f"{report.source} ({report.location}): {report.read:,} rows read, "
        f"{report.landed:,} landed, "
        f"{report.rejected:,} rejected, {report.repaired:,} repaired"
    )
    return "; ".join([words, *report.notices])


def _by_source(landed: Landed) -> str:
    rows = [
        (source, f"{days.height:,}", f"{days['messages'].sum():,}")
        for (source,), days in landed.counts.sort("source").group_by("source", maintain_order=True)
    ]
    return markdown_table(rows, ("source", "days", "messages")) if rows else "none"


def _reports(reports: tuple[ImportReport, ...]) -> str:
    if not reports:
        return "nothing to read: everything was imported by hand"
    rows = [
        (
            report.source,
            *(f"{n:,}" for n in (report.read, report.landed, report.rejected, report.repaired)),
            "; ".join(report.notices),
        )
        for report in reports
    ]
    return markdown_table(rows, ("source", "read", "landed", "rejected", "repaired", "notices"))


def _problems(reports: tuple[ImportReport, ...]) -> str:
    found = [
        (report.source, problem, f"{rows:,}")
        for report in reports
        for problem, rows in report.problems.items()
    ]
    return markdown_table(found, ("source", "problem", "rows")) if found else "none"
