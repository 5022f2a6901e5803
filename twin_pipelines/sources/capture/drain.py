"""Reads what a slot holds and brings it over: whole transactions, each exactly once.

A transaction's effects and the position behind it are committed together here, and only then is the
source told that its log may go. Whatever is killed in between, the next reader begins at the
position that stands here and passes over what was applied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg.conninfo import make_conninfo

from twin_pipelines.foundation.database import connect
from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources import landing_store, tables
from twin_pipelines.sources.capture import capture_store, letters_store, source_store
from twin_pipelines.sources.capture.capture_store import Busy, Position
from twin_pipelines.sources.capture.feeds import Feed, same_table
from twin_pipelines.sources.capture.letters_store import Letter
from twin_pipelines.sources.capture.pgoutput import (
    UNCHANGED,
    Change,
    Relation,
    Row,
    Transaction,
    transactions,
)
from twin_pipelines.sources.capture.source_store import SlotState
from twin_pipelines.sources.capture.takeover import landed, letters_of, take_over
from twin_pipelines.sources.messages import Batch, Rules

MOST_MESSAGES = 20_000  # of the log that are looked at together; a larger transaction comes whole
OWN_ORIGIN = "twin_pipelines"  # what this twin writes into a source carries this origin


@dataclass
class Drained:
    """What one look at a feed brought.

    `lag_seconds` is how old the newest change was, by the source's clock; `clock_ahead` is by how
    many seconds that clock is ahead of ours.
    """

    feed: str
    begun: str = ""  # the position it began at
    position: str = ""
    transactions: int = 0
    rows: dict[str, Counter[str]] = field(default_factory=dict)
    days: set[date] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    messages: dict[str, int] = field(default_factory=dict)  # by source, of a takeover
    letters: int = 0
    taken_over: bool = False
    lag_bytes: int = 0
    lag_seconds: float = 0.0
    clock_ahead: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether anything that is derived must be derived anew."""
        return bool(self.days or self.tables)


def reading(feed: Feed, own: psycopg.Connection) -> psycopg.Connection:
    """A connection of its own to the feed's database; `own` is one to the twin's.

    Raises TwinError when the database cannot be reached.
    """
    return connect(feed.url or make_conninfo(own.info.dsn, password=own.info.password))


def drain(
    own: psycopg.Connection, reader: psycopg.Connection, settings: TwinSettings, feed: Feed
) -> Drained:
    """Bring over everything the feed holds now, commit, and let the source forget its log.

    Takes the tables over whole first where that was never done, where the mapping changed and where
    the slot was lost. Raises Busy while another process reads the feed, and TwinError when the
    source refuses or breaks off, which is written down; what was committed before stands.
    """
    with capture_store.only_reader(own, feed):
        reading = _Reading(own, reader, settings, feed)
        with writing_down(own, reader, feed):
            reading.read()
    return reading.done


@contextmanager
def writing_down(own: psycopg.Connection, reader: psycopg.Connection, feed: Feed) -> Iterator[None]:
    """Write down why the feed cannot be read. A source that refuses or breaks off is a TwinError;
    what the twin's own database says is raised as it is."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
        if own.closed:
            raise
        problem = TwinError(source_store.refused(reader, error))
        _write_down(own, feed, problem)
        raise problem from error
    except TwinError as error:
        _write_down(own, feed, error)
        raise


def _write_down(own: psycopg.Connection, feed: Feed, problem: TwinError) -> None:
    own.rollback()
    capture_store.failed(own, feed, str(problem))
    own.commit()


class _Reading:
    """One look at a feed."""

    def __init__(
        self,
        own: psycopg.Connection,
        reader: psycopg.Connection,
        settings: TwinSettings,
        feed: Feed,
    ) -> None:
        self._own = own
        self._reader = reader
        self._settings = settings
        self._rules = Rules.of(settings)
        self._feed = feed
        self.done = Drained(feed.name)

    def read(self) -> None:
        """Bring everything over, and say how it stands then."""
        own, reader, feed = self._own, self._reader, self._feed
        self._take_over_where_due()
        while True:
            end_before = source_store.log_end(reader)
            reader.rollback()
            if self._apply_some() < MOST_MESSAGES:
                break
        if not self.done.transactions:
            source_store.advance(reader, feed.name, end_before)
        self.done.lag_bytes = self._slot_state().lag_bytes
        capture_store.looked(
            own, feed, lag_bytes=self.done.lag_bytes, clock_ahead=self.done.clock_ahead
        )
        self.done.position = self._position().position
        own.commit()

    def _take_over_where_due(self) -> None:
        known = capture_store.position(self._own, self._feed)
        self._own.rollback()
        self.done.begun = known.position if known else ""
        state = self._slot_state()
        same = known and (known.tables, known.mapping) == (self._feed.tables, self._feed.mapping)
        if not same or not state.usable:
            self._take_over()

    def _slot_state(self) -> SlotState:
        asked = datetime.now(UTC)
        state = source_store.slot_state(self._reader, self._feed.name, self._feed.tables)
        self._reader.rollback()
        between = asked + (datetime.now(UTC) - asked) / 2
        self.done.clock_ahead = round((state.clock - between).total_seconds(), 3)
        return state

    def _take_over(self) -> None:
        taken = take_over(self._own, self._reader, self._settings, self._feed)
        self._own.commit()
        self.done.taken_over = True
        self.done.messages = taken.messages
        self.done.days |= set(taken.days)
        self.done.tables |= {one.table for one in self._feed.memories}
        self.done.letters += taken.letters

    def _position(self) -> Position:
        found = capture_store.position(self._own, self._feed)
        if found is None:
            raise TwinError(f"The feed {self._feed.name} was removed while it was read.")
        return found

    def _apply_some(self) -> int:
        """Apply what one look at the slot shows; how many messages of the log it showed."""
        present = self._position()
        self._own.rollback()
        seen = 0

        def counted() -> Iterator[bytes]:
            nonlocal seen
            slot = self._feed.name
            for message in source_store.peek(self._reader, slot, slot, MOST_MESSAGES):
                seen += 1
                yield message

        try:
            shown = list(transactions(counted()))
        except psycopg.errors.ObjectNotInPrerequisiteState:  # the slot lost its log just now
            self._reader.rollback()
            self._take_over()
            return 0
        except psycopg.errors.ObjectInUse as error:
            raise Busy(
                f"The slot {self._feed.name} of {source_store.place(self._reader)} is being read "
                "by another process; let it."
            ) from error
        finally:
            self._reader.rollback()
        found = [one for one in shown if one.ends > _number(present.position)]
        if found:
            self._apply(self._unseen(present, found), found[-1])
        if shown:
            source_store.advance(self._reader, self._feed.name, _text(shown[-1].ends))
        return seen

    def _unseen(self, present: Position, found: Sequence[Transaction]) -> list[Transaction]:
        """Those that the takeover's snapshot did not see, and that this twin did not make."""
        others = [one for one in found if one.origin != OWN_ORIGIN]
        if present.snapshot is None or present.snapshot_until is None:
            return others
        until = _number(present.snapshot_until)
        doubtful = [one.xid for one in others if one.ends <= until]
        known: set[int] = set()
        if doubtful:
            known = capture_store.seen_by_snapshot(self._own, present.snapshot, doubtful)
            self._own.rollback()
        return [one for one in others if one.ends > until or one.xid not in known]

    def _apply(self, fresh: Sequence[Transaction], last: Transaction) -> None:
        """Write what transactions did and the position behind `last`, in one transaction."""
        own, feed = self._own, self._feed
        position = _text(last.ends)
        changes = [change for one in fresh for change in one.changes]
        rows: dict[str, Counter[str]] = {}
        for change in changes:
            rows.setdefault(change.relation.name, Counter())[change.kind] += 1
        touched = {one.table for change in changes for one in feed.memories_of(change.relation)}
        days: set[date] = set()
        with own.transaction():
            for source in feed.sources:
                about = [one for one in changes if same_table(source.table, one.relation)]
                if about:
                    changed, letters = self._bring(source, about)
                    letters_store.write_letters(own, feed, letters, position)
                    self.done.letters += len(letters)
                    days |= changed
            capture_store.touch_days(own, feed, sorted(days), position)
            capture_store.touch_tables(own, feed, sorted(touched), position)
            capture_store.proceed(
                own, feed, position=position, committed_at=last.committed_at, rows=rows
            )
        own.commit()
        if days:
            self._settings.widen_history(min(days), max(days))
        self.done.transactions += len(fresh)
        self.done.days |= days
        self.done.tables |= touched
        there = datetime.now(UTC) + timedelta(seconds=self.done.clock_ahead)
        self.done.lag_seconds = max(0.0, (there - last.committed_at).total_seconds())
        for table, kinds in rows.items():
            self.done.rows.setdefault(table, Counter()).update(kinds)

    def _bring(self, source: Source, changes: Sequence[Change]) -> tuple[set[date], list[Letter]]:
        """Bring a source's messages to what changes leave; the days, and the rows set aside."""
        final = collapse(source, changes)
        batches = self._read(source, final)
        self._reader.rollback()
        letters = [one for batch, keys in batches for one in letters_of(source, batch, keys)]
        spoilt = {letter.key for letter in letters}
        gone = [key for key, row in final.rows.items() if row is None or key in spoilt]
        days = write_batches(
            self._own, source, self._rules, batches, gone=gone, emptied=final.emptied
        )
        answered = [key for key in final.rows if key not in spoilt]
        letters_store.answer_letters(self._own, source.name, answered)
        if final.emptied:
            letters_store.answer_others(self._own, source.name, list(spoilt))
        return days, letters

    def _read(self, source: Source, final: Final) -> list[tuple[Batch, list[str]]]:
        """The rows that changes leave, each batch with the identities of its rows.

        Where the log does not hold a row whole, or holds it as it was before a column took on
        another type, the row is read as it stands now.
        """
        reader = self._reader
        types = tables.column_types(reader, source)
        needed = tables.mapped_columns(source, types)
        whole, cut = _by_wholeness(final, needed)
        values = {name: [_said(row.get(name)) for row in whole.values()] for name in needed}
        batches: list[tuple[Batch, list[str]]] = []
        try:
            given = tables.read_values(reader, source, types, values, self._rules)
            batches.append((given, list(whole)))
        except psycopg.DataError:
            reader.rollback()
            cut = [*cut, *whole]
        if cut:
            batches.append(tables.read_keys(reader, source, cut, self._rules))
        return batches


def write_batches(
    own: psycopg.Connection,
    source: Source,
    rules: Rules,
    batches: Sequence[tuple[Batch, list[str]]],
    *,
    gone: Sequence[str],
    emptied: bool = False,
) -> set[date]:
    """Write the messages of batches and take away those that are gone; the days this changed."""
    landing_store.lock(own, source.name)
    capture_store.clear_stage(own)
    for batch, _ in batches:
        capture_store.stage(own, landed(source, batch, rules))
    return set(capture_store.change_messages(own, source.name, gone, emptied=emptied))


@dataclass
class Final:
    """What a run of changes leaves of a source's rows.

    `rows` holds by identity the row, or None: it went. `emptied`: all others went.
    """

    emptied: bool
    rows: dict[str, Row | None]


def collapse(source: Source, changes: Sequence[Change]) -> Final:
    """The last state of every row that changes were about, in the order they were made.

    Raises TwinError when a change does not tell which row it was about.
    """
    final = Final(emptied=False, rows={})
    for change in changes:
        if change.kind == "truncate":
            final = Final(emptied=True, rows={})
            continue
        before = _identity(change.relation, change.old, source) if change.old else None
        if change.new is None:
            final.rows[before or _identity(change.relation, {}, source)] = None
            continue
        now = _identity(change.relation, change.new, source)
        known = final.rows.get(before or now) or {}
        if before and before != now:
            final.rows[before] = None
        final.rows[now] = {
            name: known.get(name, UNCHANGED) if value is UNCHANGED else value
            for name, value in change.new.items()
        }
    return final


def _by_wholeness(final: Final, needed: Sequence[str]) -> tuple[dict[str, Row], list[str]]:
    """The rows of which every needed value is known; the identities of the others."""
    whole: dict[str, Row] = {}
    cut: list[str] = []
    for key, row in final.rows.items():
        if row is None:
            continue
        if any(row.get(name, UNCHANGED) is UNCHANGED for name in needed):
            cut.append(key)
        else:
            whole[key] = row
    return whole, cut


def _identity(relation: Relation, row: Row, source: Source) -> str:
    key = source.columns.message_id
    value = row.get(key)
    if not isinstance(value, str):
        raise TwinError(
            f"A change of the table {relation.name} does not tell its {key}, by which the source "
            f"{source.name} knows its rows; make {key} its primary key, or run there: alter table "
            f"{relation.schema}.{relation.name} replica identity full;"
        )
    return value


def _said(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(position: str) -> int:
    high, low = position.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def _text(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
