"""The log's messages are read exactly, and nothing that is not one is taken for one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.sources.capture.pgoutput import UNCHANGED, Unreadable, Value, transactions

NAMES = st.text(st.characters(blacklist_characters="\0", codec="utf-8"), min_size=1, max_size=12)
VALUES = st.none() | st.just(UNCHANGED) | st.text(st.characters(codec="utf-8"), max_size=40)


def named(name: str) -> bytes:
    return name.encode() + b"\0"


def begin(xid: int = 7) -> bytes:
    return b"B" + struct.pack("!qqI", 1, 0, xid)


def commit(ends: int = 99, moment: int = 1_000_000) -> bytes:
    return b"C" + struct.pack("!bqqq", 0, 1, ends, moment)


def relation(columns: dict[str, bool], oid: int = 5) -> bytes:
    parts = [b"R", struct.pack("!I", oid), named("public"), named("conversations")]
    parts.append(struct.pack("!bh", ord("d"), len(columns)))
    for name, key in columns.items():
        parts += [struct.pack("!b", int(key)), named(name), struct.pack("!Ii", 25, -1)]
    return b"".join(parts)


def row(values: list[Value]) -> bytes:
    parts = [struct.pack("!h", len(values))]
    for value in values:
        if value is None:
            parts.append(b"n")
        elif value is UNCHANGED:
            parts.append(b"u")
        else:
            encoded = str(value).encode()
            parts.append(b"t" + struct.pack("!i", len(encoded)) + encoded)
    return b"".join(parts)


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_whatever_was_written_is_read(values: dict[str, Value], xid: int) -> None:
    told = [
        begin(xid),
        relation(dict.fromkeys(values, True)),
        b"I" + struct.pack("!I", 5) + b"N" + row(list(values.values())),
        b"U"
        + struct.pack("!I", 5)
        + b"K"
        + row(list(values.values()))
        + b"N"
        + row(list(values.values())),
        b"D" + struct.pack("!I", 5) + b"O" + row(list(values.values())),
        commit(),
    ]
    (one,) = transactions(told)
    assert (one.xid, one.ends) == (xid, 99)
    assert [change.kind for change in one.changes] == ["insert", "update", "delete"]
    assert [change.new for change in one.changes] == [values, values, None]
    assert [change.old for change in one.changes] == [None, values, values]


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_and_never_misread_as_rows(message: bytes) -> None:
    try:
        found = list(transactions([begin(), message, commit()]))
    except (Unreadable, UnicodeDecodeError):
        return
    assert all(change.kind != "insert" for one in found for change in one.changes)


def test_a_key_alone_is_told_apart_from_a_whole_old_row() -> None:
    told = [
        begin(),
        relation({"id": True, "text": False}),
        b"D" + struct.pack("!I", 5) + b"K" + row(["1", None]),
        commit(),
    ]
    (one,) = transactions(told)
    assert one.changes[0].old == {"id": "1"}


def test_a_transaction_that_is_cut_off_is_none() -> None:
    assert list(transactions([begin(), relation({"id": True})])) == []


def test_changes_of_one_transaction_do_not_slip_into_the_next() -> None:
    told = [
        *(begin(1), relation({"id": True}), b"I" + struct.pack("!I", 5) + b"N" + row(["1"])),
        *(commit(10), begin(2), commit(20)),
    ]
    assert [len(one.changes) for one in transactions(told)] == [1, 0]


def test_the_origin_and_an_emptied_table_are_told() -> None:
    told = [
        begin(),
        b"O" + struct.pack("!q", 3) + named("twin_pipelines"),
        relation({"id": True}),
        b"T" + struct.pack("!ibI", 1, 0, 5),
        commit(),
    ]
    (one,) = transactions(told)
    assert (one.origin, [change.kind for change in one.changes]) == ("twin_pipelines", ["truncate"])


def test_a_row_of_a_table_that_was_not_described_is_refused() -> None:
    with pytest.raises(Unreadable, match="not described"):
        list(transactions([begin(), b"I" + struct.pack("!I", 9) + b"N" + row(["1"])]))
