"""Reads PostgreSQL's logical replication messages (`pgoutput`, protocol version 1).

Format: PostgreSQL documentation, "Logical Replication Message Formats".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Literal

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Unreadable(ValueError):
    """Bytes that are no message of the protocol."""


class Unchanged(Enum):
    """A long value that an update did not touch and the log therefore does not hold."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED
Value = str | Unchanged | None
Row = dict[str, Value]
Kind = Literal["insert", "update", "delete", "truncate"]


@dataclass(frozen=True)
class Relation:
    """A table as the log describes it. `key` are the columns of its replica identity."""

    oid: int
    schema: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One row that changed, or a table that was emptied.

    `new` is the row as it is then; null after a deletion. `old` is what it was, the key columns
    alone as a rule; an update tells it only when its key changed.
    """

    kind: Kind
    relation: Relation
    new: Row | None = None
    old: Row | None = None


@dataclass(frozen=True)
class Transaction:
    """One transaction that was committed. `ends` is the position behind it (a byte of the log)."""

    xid: int  # 32 bits
    ends: int
    committed_at: datetime
    origin: str  # name of the replication origin it came by; empty: made on that server
    changes: list[Change] = field(default_factory=list)


def transactions(messages: Iterable[bytes]) -> Iterator[Transaction]:
    """Whole transactions of a run of messages, in the order they were committed.

    A beginning without its end yields nothing. Raises Unreadable.
    """
    relations: dict[int, Relation] = {}
    xid, origin = 0, ""
    changes: list[Change] = []
    for message in messages:
        read = _Reader(message)
        kind = read.letter()
        if kind == "B":
            _, _, xid = read.numbers("!qqI")
            origin, changes = "", []
        elif kind == "O":
            read.numbers("!q")
            origin = read.text()
        elif kind == "R":
            relation = _relation(read)
            relations[relation.oid] = relation
        elif kind in "IUD":
            changes.append(_change(kind, read, relations))
        elif kind == "T":
            changes += _emptied(read, relations)
        elif kind == "C":
            _, _, ends, moment = read.numbers("!bqqq")
            yield Transaction(xid, ends, _EPOCH + timedelta(microseconds=moment), origin, changes)
            changes = []
        elif kind not in "YM":
            raise Unreadable(f"a message of the unknown kind {kind!r}")


class _Reader:
    """Takes a message apart from its beginning."""

    def __init__(self, message: bytes) -> None:
        self._message = memoryview(message)
        self._at = 0

    def letter(self) -> str:
        return chr(self._take(1)[0])

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def text(self) -> str:
        """Text up to a zero byte."""
        end = bytes(self._message[self._at :]).find(b"\0")
        if end < 0:
            raise Unreadable("a name without end")
        found = bytes(self._take(end + 1)[:-1])
        return found.decode()

    def row(self, columns: tuple[str, ...]) -> Row:
        """Values by column."""
        (count,) = self.numbers("!h")
        if count != len(columns):
            raise Unreadable(f"a row of {count} values for {len(columns)} columns")
        return {column: self._value() for column in columns}

    def _value(self) -> Value:
        kind = self.letter()
        if kind == "n":
            return None
        if kind == "u":
            return UNCHANGED
        if kind != "t":
            raise Unreadable(f"a value of the unknown kind {kind!r}")
        (length,) = self.numbers("!i")
        return bytes(self._take(length)).decode()

    def _take(self, length: int) -> memoryview:
        if length < 0 or self._at + length > len(self._message):
            raise Unreadable("a message that ends too early")
        found = self._message[self._at : self._at + length]
        self._at += length
        return found


def _relation(read: _Reader) -> Relation:
    (oid,) = read.numbers("!I")
    schema, name = read.text(), read.text()
    _, count = read.numbers("!bh")
    columns, key = [], []
    for _ in range(count):
        (flags,) = read.numbers("!b")
        column = read.text()
        read.numbers("!Ii")
        columns.append(column)
        if flags & 1:
            key.append(column)
    return Relation(oid, schema or "pg_catalog", name, tuple(columns), tuple(key))


def _change(kind: str, read: _Reader, relations: dict[int, Relation]) -> Change:
    relation = _known(read, relations)
    part = read.letter()
    old: Row | None = None
    if part in "KO" and kind in "UD":
        row = read.row(relation.columns)
        old = row if part == "O" else {name: row[name] for name in relation.key}
        if kind == "D":
            return Change("delete", relation, old=old)
        part = read.letter()
    if part != "N" or kind == "D":
        raise Unreadable(f"a row of the unknown kind {part!r}")
    return Change("insert" if kind == "I" else "update", relation, read.row(relation.columns), old)


def _emptied(read: _Reader, relations: dict[int, Relation]) -> list[Change]:
    count, _ = read.numbers("!ib")
    return [Change("truncate", _known(read, relations)) for _ in range(count)]


def _known(read: _Reader, relations: dict[int, Relation]) -> Relation:
    (oid,) = read.numbers("!I")
    if oid not in relations:
        raise Unreadable(f"a row of the table {oid}, which was not described before")
    return relations[oid]
