"""What must be true of landed messages before anything is made of them."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.partitions import DAILY, day_range
from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import load_settings
from twin_pipelines.sources import store, voice_trial
from twin_pipelines.sources.capture.comparison import compare
from twin_pipelines.sources.capture.feeds import feeds

MOST_REJECTED = 0.05  # share of the rows read
_SHOWN_ROWS = 5  # identities that are told


def faults(connection: psycopg.Connection, days: DayRange | None) -> pl.DataFrame:
    """Landed messages that break a rule, counted by day and source."""
    return store.faults(connection, days, load_settings().history.timezone)


def _none_of(*columns: str) -> Any:
    def expectations(gxe: ModuleType) -> Sequence[Any]:
        return [gxe.ExpectColumnValuesToBeBetween(column=column, max_value=0) for column in columns]

    return expectations


def _few_rejected(gxe: ModuleType) -> Sequence[Any]:
    return [gxe.ExpectColumnValuesToBeBetween(column="share", max_value=MOST_REJECTED)]


def _a_partner(gxe: ModuleType) -> Sequence[Any]:
    return [gxe.ExpectColumnValuesToBeBetween(column="speakers", min_value=2)]


messages_are_whole = table_checks(
    "raw_conversations",
    "messages_are_whole",
    faults,
    _none_of("without_speaker", "without_conversation", "repeated"),
    severity="critical",
    partitioned=True,
    description="Every message has a speaker, a conversation and an identity of its own.",
)

times_are_of_the_day = table_checks(
    "raw_conversations",
    "times_are_of_the_day",
    faults,
    _none_of("other_day", "ahead"),
    severity="critical",
    partitioned=True,
    description="The time of every message is of its day, and none is in the future.",
)

few_rows_are_rejected = table_checks(
    "raw_conversations",
    "few_rows_are_rejected",
    store.rejected_shares,
    _few_rejected,
    severity="warning",
    partitioned=True,
    description="At most 5 % of the rows of a source were left out.",
)

sources_hold_conversations = table_checks(
    "raw_conversations",
    "sources_hold_conversations",
    store.speakers_by_source,
    _a_partner,
    severity="warning",
    partitioned=True,
    description="Two people or more write in every source; one alone gives no pairs.",
)


@dg.asset_check(asset="raw_conversations", blocking=True)
def subject_has_written(twin: TwinResource) -> dg.AssetCheckResult:
    """The subject wrote some of the landed messages."""
    with twin.connect() as connection:
        subject = store.stored_subject(connection)
        speakers = store.speakers(connection)
    written = speakers.get(subject.speaker, 0) if subject else 0
    found = ", ".join(f"{name} ({count:,})" for name, count in list(speakers.items())[:8])
    return dg.AssetCheckResult(
        passed=written > 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description=None
        if written
        else f"{subject.speaker if subject else 'Nobody'} is the subject and has written nothing "
        f"that was landed; speakers: {found or 'none'}. Correct subject.speaker in twin.toml.",
        metadata={"messages of the subject": written, "messages": sum(speakers.values())},
    )


@dg.asset_check(asset="raw_conversations", blocking=False)
def one_voice(twin: TwinResource) -> dg.AssetCheckResult:
    """Is the subject one person? Its unseen text is recognised, other people's is not.

    Warns and never blocks: a shared account may be trained on, and is said to be one.
    """
    with twin.connect() as connection:
        subject = store.subject(connection)
        outcome = voice_trial.judge(connection, twin.settings, subject.speaker)
        connection.commit()
    figures = {
        "own unseen windows recognised": outcome.own_share,
        "unknown people taken for the subject": outcome.other_share,
    }
    loud = "" if outcome.passed is not False else "NOT ONE VOICE: the twin would be a mixture. "
    return dg.AssetCheckResult(
        passed=outcome.passed is not False,
        severity=dg.AssetCheckSeverity.WARN,
        description=loud + outcome.note,
        metadata={
            "verdict": outcome.note,
            "tested": outcome.passed is not None,
            "own unseen windows": outcome.own_windows,
            **{name: share for name, share in figures.items() if share is not None},
        },
    )


@dg.asset_check(asset="raw_conversations", blocking=False, partitions_def=DAILY)
def follows_its_source(
    context: dg.AssetCheckExecutionContext, twin: TwinResource
) -> dg.AssetCheckResult:
    """What landed of a followed source is what stands there, row by row.

    Left out are rows on their way, rows that are set aside, and rows that were erased here.
    """
    days = day_range(context)
    with twin.connect() as connection:
        found = [
            one
            for feed in feeds(twin.settings)
            for one in compare(connection, twin.settings, feed, days)
        ]
    words = [
        one.problem
        or f"{len(one.differing):,} rows of {one.source} on {one.days:,} days are not the same "
        f"here and there ({', '.join(one.differing[:_SHOWN_ROWS])}); drop the feed's slot "
        "there, and the next look takes the tables over and mends them."
        for one in found
        if one.problem or one.differing
    ]
    return dg.AssetCheckResult(
        passed=not words,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(words) or None,
        metadata={
            "sources followed": len(found),
            "rows compared": sum(one.rows for one in found),
            "rows that differ": sum(len(one.differing) for one in found),
        },
    )
