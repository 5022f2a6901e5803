"""`twin import` and `twin refresh`: files in, and the days that follow from them."""

from __future__ import annotations

import getpass
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
from rich.console import Console

from twin_pipelines.automation.erasure.erasure_store import rows_kept_out
from twin_pipelines.commands import runs
from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.instance import open_instance
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.landing import ImportReport, import_file
from twin_pipelines.sources.subject import Subject, resolve_subject


def import_all(
    settings: TwinSettings,
    files: list[Path],
    *,
    source: str,
    consent: str,
    land_only: bool,
    console: Console,
) -> bool:
    """Land every file, then derive the days they touch; False when a file could not be read."""
    granted = consent or (
        f"given by running `twin import` as {getpass.getuser()} on {datetime.now(UTC):%Y-%m-%d}"
    )
    reports, unreadable = [], 0
    with open_instance(settings) as (instance, databases):
        with connect(databases.twin) as connection:
            before = rows_kept_out(connection)
            for file in files:
                try:
                    report = import_file(
                        connection, settings, file, source_name=source or None, consent=granted
                    )
                except TwinError as error:
                    unreadable += 1
                    console.print(
                        f"{file}: {error}",
                        style="red",
                        highlight=False,
                        markup=False,
                        soft_wrap=True,
                    )
                    continue
                _print(report, file, console)
                reports.append(report)
            kept = rows_kept_out(connection) - before
            if kept:
                console.print(f"{kept:,} of these rows were erased before and stay out.")
            subject = None if land_only else _subject(connection, settings, console)
        days = [day for report in reports for day in (report.first_day, report.last_day) if day]
        if days and subject:
            runs.refresh(instance, min(days), max(days), console)
    return not unreadable


def refresh_days(
    settings: TwinSettings, first: date | None, last: date | None, console: Console
) -> None:
    """Run the daily half over these days; the ends default to those of the history.

    A range that reaches beyond the history is cut to it. Raises TwinError when nothing is left.
    """
    with runs.open_twin(settings) as (instance, _):
        begin, end = settings.history_span()
        newest = end or datetime.now(settings.zone).date()
        first, last = max(first or begin, begin), min(last or newest, newest)
        if first > last:
            raise TwinError(
                f"The history goes from {begin} to {newest}, and no day of it is asked for; give "
                "--since and --until within it, or set [history] start."
            )
        runs.refresh(instance, first, last, console)


def _subject(
    connection: psycopg.Connection, settings: TwinSettings, console: Console
) -> Subject | None:
    """Whose voice is learnt; None, said to the user, while nobody was chosen."""
    try:
        subject = resolve_subject(connection, settings)
        connection.commit()
        return subject
    except TwinError as error:
        words = f"Landed, nothing derived yet: {error}"
        console.print(words, style="yellow", highlight=False, markup=False, soft_wrap=True)
        return None


def _print(report: ImportReport, file: Path, console: Console) -> None:
    console.print(
        f"{file.name}: {report.read:,} rows read, {report.landed:,} landed, "
        f"{report.rejected:,} rejected, {report.repaired:,} repaired"
    )
    for problem, rows in report.problems.items():
        console.print(f"  {rows:,}: {problem}", highlight=False, markup=False)
