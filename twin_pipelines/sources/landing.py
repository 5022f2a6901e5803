"""Lands messages: a file whole and once, a package or table by the day."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import psycopg

from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources import chitchat, files, landing_store, origins, store, tables
from twin_pipelines.sources.capture import capture_store
from twin_pipelines.sources.capture.feeds import Feed, feeds
from twin_pipelines.sources.capture.looking import Look, Lookout
from twin_pipelines.sources.landing_store import Reading
from twin_pipelines.sources.messages import Batch, Rules, as_loose, day_of, tidy
from twin_pipelines.sources.subject import Subject, resolve_subject
from twin_pipelines.sources.tally import Tally

if TYPE_CHECKING:
    from twin_pipelines.foundation.days import DayRange

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ImportReport:
    """What came of reading a source: a file whole, a package or table over some days."""

    source: str
    location: str
    read: int
    landed: int
    rejected: int
    repaired: int
    first_day: date | None
    last_day: date | None
    speakers: dict[str, int]  # messages of the source by speaker, the most prolific first
    problems: dict[str, int]  # rows by "action: reason", the commonest first
    notices: tuple[str, ...] = ()
    known: bool = False  # the same content was landed before, and nothing was read


@dataclass(frozen=True)
class _Desk:
    """What every landing needs at hand."""

    connection: psycopg.Connection
    settings: TwinSettings
    rules: Rules
    progress: Progress | None


@dataclass(frozen=True)
class Landed:
    """What landing some days came to."""

    subject: Subject
    reports: tuple[ImportReport, ...]
    counts: pl.DataFrame  # `day`, `source`, `messages` of the days


def import_file(
    connection: psycopg.Connection,
    settings: TwinSettings,
    path: Path,
    *,
    source_name: str | None = None,
    consent: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Land a JSONL or CSV file whole, in one transaction, and commit.

    The same content for the same source is not read twice; a changed file adds and replaces
    messages by their identity. Raises TwinError when the file cannot be meant or has no consent.
    """
    source = origins.file_source(settings, path, source_name, consent)
    rules = Rules.of(settings)
    desk = _Desk(connection, settings, rules, progress)
    where = origins.location(source)
    sha256 = _selection(files.sha256(path), rules)
    known = landing_store.find_import(connection, source.name, sha256)
    if known:
        span = store.source_span(connection, source.name)
        return _file_report(connection, known, (span.first_day, span.last_day), known=True)
    with connection.transaction():
        landing_store.lock(connection, source.name)
        granted = origins.granted(source)
        landing_store.record_consent(connection, source.name, "file", where, granted)
        tally = _land(desk, source.name, files.read_file(path, rules))
        reading = Reading(
            source.name,
            where,
            sha256,
            None,
            tally.read,
            tally.landed,
            tally.rejected,
            tally.repaired,
            tally.reasons,
        )
        landing_store.record_import(connection, reading, tally.kept)
    connection.commit()
    if tally.span:
        settings.widen_history(*tally.span)
    return _file_report(connection, reading, tally.span or (None, None), known=False)


def land_days(
    connection: psycopg.Connection,
    settings: TwinSettings,
    days: DayRange,
    progress: Progress | None = None,
) -> Landed:
    """Bring the days up to date from every source in force, settle the subject, and commit.

    Configured files that were not landed yet are landed whole. Tables and the chitchat package are
    read for the days, and each one's messages of the days are replaced in one transaction. Sources
    with `capture` are followed up to now, whatever the days.
    """
    in_force = origins.sources_in_force(connection, settings)
    desk = _Desk(connection, settings, Rules.of(settings), progress)
    reports = []
    for source in in_force:
        if source.kind == "file" and source.path:
            reports.append(
                import_file(
                    connection,
                    settings,
                    source.path,
                    source_name=source.name,
                    progress=progress,
                )
            )
        elif source.kind == "table" and not source.capture:
            reports.append(_pull_table(desk, source, days))
    reports += _follow(desk)
    subject = resolve_subject(connection, settings)
    connection.commit()
    reports += [
        _pull_chitchat(desk, source, days, subject)
        for source in in_force
        if source.kind == "chitchat"
    ]
    _retire_chitchat(connection, in_force)
    connection.commit()
    return Landed(subject, tuple(reports), store.day_counts(connection, days))


def open_history(connection: psycopg.Connection, settings: TwinSettings) -> None:
    """Make the graph's days span what the sources in force hold, before anything is landed.

    Files are landed by this; of tables and the package only the first and last day are asked for.
    """
    rules = Rules.of(settings)
    for source in origins.sources_in_force(connection, settings):
        span: tuple[date, date] | None = None
        if source.kind == "chitchat":
            span = chitchat.span(rules.zone.key)
        elif source.kind == "table":
            if source.capture and store.source_span(connection, source.name).first_day:
                continue  # what is followed widens the span itself, and may be down just now
            with tables.opened(source, connection) as reader:
                span = tables.days_of(reader, source, rules)
        elif source.path:
            import_file(connection, settings, source.path, source_name=source.name)
        if span:
            settings.widen_history(*span)


def _pull_table(desk: _Desk, source: Source, days: DayRange) -> ImportReport:
    with tables.opened(source, desk.connection) as reader:
        where = origins.location(source, reader)
        with desk.connection.transaction():
            batches = tables.read_table(reader, source, days, desk.rules)
            report = _pull(desk, source, where, days, batches)
    desk.connection.commit()
    return report


def _follow(desk: _Desk) -> list[ImportReport]:
    """Bring over what every feed holds; nothing where another process is doing just that.

    A source that cannot be read is told in its report, and what landed of it before stands. Raises
    TwinError when nothing ever did.
    """
    followed = {feed.name: feed for feed in feeds(desk.settings)}
    with Lookout(desk.settings) as lookout:
        looks = lookout.look(desk.connection)
    reports = []
    for look in looks:
        feed = followed.get(look.feed)
        if feed is None or look.busy:
            continue
        if look.problem and capture_store.position(desk.connection, feed) is None:
            raise TwinError(look.problem)
        reports += [_followed(source, feed, look) for source in feed.sources]
    desk.connection.commit()
    return reports


def _followed(source: Source, feed: Feed, look: Look) -> ImportReport:
    """What a look at a feed brought of one source."""
    where = f"table {source.table} in {feed.location}"
    done = look.drained
    if done is None:
        return ImportReport(source.name, where, 0, 0, 0, 0, None, None, {}, {}, (look.problem,))
    brought = f"{done.transactions:,} transactions up to {done.position}"
    changes = done.rows.get(source.table.rpartition(".")[2], Counter()).total()
    read = done.messages.get(source.name, 0) + changes
    return ImportReport(
        source.name,
        where,
        read,
        read - done.letters,
        done.letters,
        0,
        min(done.days, default=None),
        max(done.days, default=None),
        {},
        {},
        (f"taken over whole, then {brought}" if done.taken_over else brought,),
    )


def _pull_chitchat(desk: _Desk, source: Source, days: DayRange, subject: Subject) -> ImportReport:
    chats = chitchat.subject_messages(subject.speaker)
    if chats.height:
        desk.settings.widen_history(*chitchat.span(desk.rules.zone.key))
    theirs = chats["conversation_id"].unique().to_list()
    with desk.connection.transaction():
        landing_store.lock(desk.connection, source.name)
        landing_store.delete_other_conversations(desk.connection, source.name, theirs)
        within = day_of(pl.col("sent_at"), desk.rules.zone).is_between(days.first, days.last)
        rows = chats.filter(within)
        texts = rows["text"]
        batch = tidy(as_loose(rows), desk.rules, lambda place: str(texts[place]))
        report = _pull(desk, source, origins.location(source), days, [batch])
    desk.connection.commit()
    return report


def _pull(
    desk: _Desk, source: Source, where: str, days: DayRange, batches: Iterable[Batch]
) -> ImportReport:
    """Replace the source's messages of the days; the caller has begun a transaction."""
    connection, name = desk.connection, source.name
    landing_store.lock(connection, name)
    granted = origins.granted(source)
    landing_store.record_consent(connection, name, source.kind, where, granted)
    landing_store.delete_days(connection, name, days)
    tally = _land(desk, name, batches)
    landed = landing_store.landed_by_day(connection, name, days)
    sha256 = _selection(f"{where} {source.columns.model_dump_json()}", desk.rules)
    for day in tally.days():
        read, rejected, repaired, reasons = tally.of_day(day)
        count = landed.get(day, 0) if day else 0
        reading = Reading(name, where, sha256, day, read, count, rejected, repaired, reasons)
        problems = tally.kept.filter(pl.col("day").eq_missing(pl.lit(day, dtype=pl.Date)))
        landing_store.record_import(connection, reading, problems)
    if tally.span:
        desk.settings.widen_history(*tally.span)
    first, last = tally.span or (None, None)
    return ImportReport(
        name,
        where,
        tally.read,
        sum(landed.values()),
        tally.rejected,
        tally.repaired,
        first,
        last,
        {},
        _problem_counts(tally.reasons),
    )


def _land(desk: _Desk, source: str, batches: Iterable[Batch]) -> Tally:
    """Write batches of a source's messages, by COPY alone as long as all are new."""
    tally = Tally()
    new = True
    for batch in batches:
        frame = batch.frame.with_columns(
            source=pl.lit(source), day=day_of(pl.col("sent_at"), desk.rules.zone)
        )
        tally.add(batch, frame["day"])
        if frame.height:
            new = new and landing_store.append_messages(desk.connection, frame)
            if not new:
                landing_store.upsert_messages(desk.connection, frame)
        if desk.progress:
            desk.progress(f"{source}: {tally.read:,} rows read, {tally.rejected:,} rejected")
    return tally


def _retire_chitchat(connection: psycopg.Connection, in_force: Iterable[Source]) -> None:
    """Remove the package's messages once an own history stands in its place."""
    names = {source.name for source in in_force}
    for name, kind in landing_store.consents(connection).items():
        if kind == "chitchat" and name not in names:
            landing_store.delete_source(connection, name)


def _file_report(
    connection: psycopg.Connection,
    reading: Reading,
    span: tuple[date | None, date | None],
    known: bool,
) -> ImportReport:
    speakers = store.speakers(connection, reading.source)
    conversations, alone = store.conversation_counts(connection, reading.source)
    notices = []
    if known:
        notices.append("this content was landed before, and was not read again")
    if len(speakers) == 1:
        notices.append("one speaker only has written: there is nobody to reply to")
    elif alone:
        notices.append(f"{alone:,} of {conversations:,} conversations have one speaker")
    return ImportReport(
        reading.source,
        reading.location,
        reading.rows_read,
        reading.landed,
        reading.rejected,
        reading.repaired,
        *span,
        speakers,
        _problem_counts(reading.reasons),
        tuple(notices),
        known,
    )


def _problem_counts(reasons: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    counted = {
        f"{action}: {reason}": rows
        for action, by_reason in reasons.items()
        for reason, rows in by_reason.items()
    }
    return dict(sorted(counted.items(), key=lambda item: -item[1]))


def _selection(content: str, rules: Rules) -> str:
    """Hash of a content and of what decides which of its rows are landed, and on which day."""
    chosen = json.dumps([content, rules.zone.key, rules.max_chars])
    return hashlib.sha256(chosen.encode()).hexdigest()
