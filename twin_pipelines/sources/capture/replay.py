"""Tries rows again that were set aside, as they stand in the source now.

By itself this happens when the mapping changes (the tables are taken over anew) and when a row is
changed in the source; here, when somebody asks: because the clock went on, or a grant was given.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from twin_pipelines.settings import Source, TwinSettings
from twin_pipelines.sources import tables
from twin_pipelines.sources.capture import capture_store, letters_store
from twin_pipelines.sources.capture.drain import drain, write_batches, writing_down
from twin_pipelines.sources.capture.feeds import Feed
from twin_pipelines.sources.capture.takeover import letters_of
from twin_pipelines.sources.messages import Rules


@dataclass(frozen=True)
class Replayed:
    """What became of a source's rows that were set aside; why those wait that still do."""

    source: str
    taken: int
    gone: int
    waiting: int
    reasons: tuple[str, ...]


def replay(
    own: psycopg.Connection,
    reader: psycopg.Connection,
    settings: TwinSettings,
    feed: Feed,
    name: str | None = None,
) -> list[Replayed]:
    """Look at the feed, then try the rows set aside again, of one source or of all; commit.

    One account for each source that has any. Raises Busy while another process reads the feed, and
    TwinError when the source refuses.
    """
    with capture_store.only_reader(own, feed):
        waited = {one.name: _keys(own, one) for one in feed.sources if name in (None, one.name)}
        drain(own, reader, settings, feed)
        with writing_down(own, reader, feed):
            return [
                _again(own, reader, settings, feed, source, keys=waited[source.name])
                for source in feed.sources
                if waited.get(source.name)
            ]


def _keys(own: psycopg.Connection, source: Source) -> list[str]:
    keys = letters_store.waiting_letters(own, source.name)["key"].to_list()
    own.rollback()
    return keys


def _again(
    own: psycopg.Connection,
    reader: psycopg.Connection,
    settings: TwinSettings,
    feed: Feed,
    source: Source,
    *,
    keys: list[str],
) -> Replayed:
    """Read rows by their identity and write what is a message now.

    What the log tells of them later brings them to what they are then.
    """
    rules = Rules.of(settings)
    position = capture_store.feed_positions(own)[feed.name]
    found = tables.read_keys(reader, source, keys, rules)
    reader.rollback()
    letters = letters_of(source, *found)
    spoilt = {letter.key for letter in letters}
    gone = sorted(set(keys) - set(found[1]))
    with own.transaction():
        days = write_batches(own, source, rules, [found], gone=[*gone, *spoilt])
        letters_store.answer_letters(own, source.name, sorted(set(keys) - spoilt))
        letters_store.write_letters(own, feed, letters, position)
        capture_store.touch_days(own, feed, sorted(days), position)
    own.commit()
    if days:
        settings.widen_history(min(days), max(days))
    reasons = tuple(sorted({letter.reason for letter in letters}))
    taken = len(keys) - len(gone) - len(spoilt)
    return Replayed(source.name, taken, len(gone), len(spoilt), reasons)
