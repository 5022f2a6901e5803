"""Takes the tables of a feed over whole: at the beginning, and when its slot was lost.

The slot is made first and the tables are read afterwards, in one snapshot. What the slot holds of
transactions that the snapshot saw is passed over later, so that nothing is missed and nothing is
applied twice. What stands here already and is the same is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl
import psycopg

from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources import landing_store, origins, tables
from twin_pipelines.sources.capture import capture_store, letters_store, source_store
from twin_pipelines.sources.capture.feeds import Feed
from twin_pipelines.sources.capture.letters_store import Letter
from twin_pipelines.sources.messages import EXCERPT_CHARS, Batch, Rules, day_of


@dataclass(frozen=True)
class TakenOver:
    """What taking a feed over brought: messages read by source, the days that changed, letters."""

    messages: dict[str, int]
    days: tuple[date, ...]
    letters: int


def take_over(
    own: psycopg.Connection, reader: psycopg.Connection, settings: TwinSettings, feed: Feed
) -> TakenOver:
    """Make the feed's publication and slot, read its tables whole, and commit.

    `reader` is a connection to the source database. Raises TwinError when a table cannot be
    followed or the user lacks a right, naming the remedy.
    """
    rules = Rules.of(settings)
    check_tables(reader, feed)
    source_store.ensure_publication(reader, feed.name, feed.tables)
    reader.commit()
    begins = source_store.make_slot(reader, feed.name)
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    messages: dict[str, int] = {}
    days: set[date] = set()
    letters: list[Letter] = []
    try:
        snapshot = source_store.snapshot_now(reader)
        until = source_store.log_end(reader)
        location = source_store.place(reader)
        with own.transaction():
            capture_store.begin(
                own, feed, location, position=begins, snapshot=snapshot, snapshot_until=until
            )
            for source in feed.sources:
                where = f"table {source.table} in {location}"
                messages[source.name], changed, spoilt = _replace(own, reader, source, rules, where)
                days |= set(changed)
                letters += spoilt
                keys = [letter.key for letter in spoilt]
                letters_store.answer_others(own, source.name, keys)
            letters_store.write_letters(own, feed, letters, begins)
            capture_store.touch_days(own, feed, sorted(days), begins)
            capture_store.touch_tables(own, feed, [one.table for one in feed.memories], begins)
    finally:
        reader.rollback()
        reader.isolation_level = None
    if days:
        settings.widen_history(min(days), max(days))
    return TakenOver(messages, tuple(sorted(days)), len(letters))


def check_tables(reader: psycopg.Connection, feed: Feed) -> None:
    """Raises TwinError when a table of the feed cannot be followed."""
    source_store.check_server(reader)
    for source in feed.sources:
        tables.column_types(reader, source)
        key = source.columns.message_id
        if not key:
            raise TwinError(
                f"The source {source.name} names no column for message_id, without which a "
                "deletion cannot be followed; name the primary key under columns in twin.toml."
            )
        known = source_store.key_columns(reader, source.table)
        if key not in known:
            found = f"its key is {', '.join(known)}" if known else "it has no primary key"
            raise TwinError(
                f"The table {source.table} of {source_store.place(reader)} cannot be followed by "
                f"its column {key} ({found}); make {key} its primary key, or run there: alter "
                f"table {source.table} replica identity full;"
            )


def letters_of(source: Source, batch: Batch, keys: list[str]) -> list[Letter]:
    """The rows of a batch that were rejected; `keys` are the identities of its rows, in order."""
    rejected = batch.problems.filter(pl.col("action") == "rejected")
    return [
        Letter(source.name, keys[line - 1], reason, excerpt[:EXCERPT_CHARS])
        for line, reason, excerpt in rejected.select("line", "reason", "excerpt").iter_rows()
    ]


def landed(source: Source, batch: Batch, rules: Rules) -> pl.DataFrame:
    """The messages of a batch as raw_messages has them."""
    day = day_of(pl.col("sent_at"), rules.zone)
    return batch.frame.with_columns(source=pl.lit(source.name), day=day)


def _replace(
    own: psycopg.Connection, reader: psycopg.Connection, source: Source, rules: Rules, where: str
) -> tuple[int, list[date], list[Letter]]:
    """Make the table's messages all of the source's: how many, the days changed, the letters."""
    landing_store.lock(own, source.name)
    landing_store.record_consent(own, source.name, source.kind, where, origins.granted(source))
    capture_store.forget_readings(own, source.name)
    capture_store.clear_stage(own)
    messages = 0
    letters: list[Letter] = []
    for batch, keys in tables.read_whole(reader, source, rules):
        messages += batch.frame.height
        letters += letters_of(source, batch, keys)
        capture_store.stage(own, landed(source, batch, rules))
    return messages, capture_store.replace_messages(own, source.name), letters
