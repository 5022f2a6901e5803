"""Whether what landed of a followed source is what stands there.

Days are compared by count and hash in the databases. Rows of a day that differs are read as a look
reads them, so that what is mended or set aside on its way is none; what is left is looked at once
more after everything that was on its way has arrived.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import psycopg

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources import reconciliation_store, tables
from twin_pipelines.sources.capture import comparison_store
from twin_pipelines.sources.capture.capture_store import Busy
from twin_pipelines.sources.capture.drain import drain, reading
from twin_pipelines.sources.capture.feeds import Feed
from twin_pipelines.sources.capture.takeover import landed
from twin_pipelines.sources.messages import Rules
from twin_pipelines.sources.reconciliation import differences, differing_keys

PATIENCE_SECONDS = 20.0  # with another process that reads the feed
_AT_ONCE = 5_000  # rows read by their identity together


@dataclass(frozen=True)
class Agreement:
    """How a source and what landed of it compare over some days.

    `differing` are identities of rows that are not the same, `days` how many days they are of.
    `problem` says why nothing could be compared.
    """

    source: str
    rows: int
    days: int
    differing: tuple[str, ...]
    problem: str = ""


def compare(
    own: psycopg.Connection, settings: TwinSettings, feed: Feed, days: DayRange
) -> list[Agreement]:
    """Compare every source of a feed over some days; looks at the feed where they differ."""
    try:
        with reading(feed, own) as reader:
            return [
                _compare(own, reader, settings, feed, source, days=days) for source in feed.sources
            ]
    except TwinError as error:
        return [Agreement(source.name, 0, 0, (), str(error)) for source in feed.sources]


def _compare(
    own: psycopg.Connection,
    reader: psycopg.Connection,
    settings: TwinSettings,
    feed: Feed,
    source: Source,
    *,
    days: DayRange,
) -> Agreement:
    rules = Rules.of(settings)
    there = tables.compared(reader, source, days, rules)
    here = comparison_store.compared(source.name, days)
    counted = reconciliation_store.digests(reader, there)
    rows = int(counted["rows"].sum())
    unlike = differences(reconciliation_store.digests(own, here), counted)["day"].to_list()
    if not unlike:
        _let_go(own, reader)
        return Agreement(source.name, rows, 0, ())
    keys = differing_keys(
        reconciliation_store.fingerprints(own, here, unlike),
        reconciliation_store.fingerprints(reader, there, unlike),
    )["key"].to_list()
    before = _unlike(own, reader, source, rules, keys)
    if before.height:
        _look(own, reader, settings, feed)
        after = _unlike(own, reader, source, rules, before["key"].to_list())
        before = before.join(after, on=before.columns, how="semi", nulls_equal=True)
    real = before["key"].sort().to_list()
    return Agreement(source.name, rows, before["day"].n_unique(), tuple(real))


def _unlike(
    own: psycopg.Connection,
    reader: psycopg.Connection,
    source: Source,
    rules: Rules,
    keys: Sequence[str],
) -> pl.DataFrame:
    """Those of the rows whose message is not the one that landed: `key`, `day`, `there` (a hash of
    it as it stands in the source; null: it is no message there)."""
    parts = []
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        batch, _ = tables.read_keys(reader, source, some, rules)
        parts.append(comparison_store.unlike(own, source.name, landed(source, batch, rules), some))
        _let_go(own, reader)
    return pl.concat(parts) if parts else comparison_store.nothing()


def _look(
    own: psycopg.Connection, reader: psycopg.Connection, settings: TwinSettings, feed: Feed
) -> None:
    """Bring over what is on its way. Raises Busy when another process reads for too long."""
    _let_go(own, reader)
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            drain(own, reader, settings, feed)
            return
        except Busy:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _let_go(own: psycopg.Connection, reader: psycopg.Connection) -> None:
    own.rollback()
    reader.rollback()
