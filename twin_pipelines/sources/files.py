"""Reads messages from JSONL and CSV files, block by block.

Columns: `conversation_id`, `speaker`, `text`, `sent_at`; optional `message_id`, `reply_to`,
`metadata`. Others are ignored. Bad rows are reported and left out; a file that cannot be meant is
refused with one sentence.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, NoReturn

import orjson
import polars as pl

from twin_pipelines.settings import TwinError
from twin_pipelines.sources.identities import Identities
from twin_pipelines.sources.lines import LONGEST_LINE, MOST_BYTES, MOST_LINES, Lines, read_lines
from twin_pipelines.sources.messages import (
    LOOSE_SCHEMA,
    Batch,
    Rules,
    tidy,
    without_surrogates,
)
from twin_pipelines.sources.times import parse_times
from twin_pipelines.sources.values import json_column, text_column, time_column

Row = dict[str, Any]

NEEDED = ("conversation_id", "speaker", "text", "sent_at")
OPTIONAL = ("message_id", "reply_to", "metadata")
_TEXTS = ("message_id", "conversation_id", "speaker", "text", "reply_to")
DELIMITERS = (",", ";", "\t")
NOT_JSON = "not valid JSON"
NOT_OBJECT = "not a JSON object"
LONG_LINE = f"a line of more than {LONGEST_LINE >> 20} MiB"
WRONG_CELLS = "not as many cells as the header has"
BROKEN_CELL = "a cell that is too long, or a quotation mark that is never closed"
_FOREIGN = {
    b"\x1f\x8b": "is compressed (gzip); unpack it",
    b"PK\x03\x04": "is an archive (zip); unpack it",
    b"PAR1": "is a parquet file; write it as JSONL or CSV",
    b"\xff\xfe": "is encoded as UTF-16; save it as UTF-8",
    b"\xfe\xff": "is encoded as UTF-16; save it as UTF-8",
    b"[": "is one JSON list; write one JSON object a line (JSONL)",
}
_SHOWN_NAMES = 20


def read_file(path: Path, rules: Rules) -> Iterator[Batch]:
    """The messages of a file, in blocks of up to 50,000 rows.

    Every message has a `source_message_id`, the same at each reading. Raises TwinError when the
    file is missing, empty, of another kind, or lacks a needed column.
    """
    kind = file_kind(path)
    identities = Identities()
    found = False
    with open_file(path) as stream:
        rows = (
            _read_jsonl(stream, path, rules) if kind == "jsonl" else _read_csv(stream, path, rules)
        )
        for batch in rows:
            found = True
            yield identities.complete(batch, rules)
    if not found:
        _refuse(path, "holds no rows; give a file with messages")


def file_kind(path: Path) -> Literal["jsonl", "csv"]:
    """How the file is written, by its beginning and its name. Raises TwinError."""
    with open_file(path) as stream:
        head = stream.read(4096).removeprefix(b"\xef\xbb\xbf")
    start = head.lstrip()
    if not start and len(head) < 4096:
        _refuse(path, "is empty; give a file with messages")
    for mark, words in _FOREIGN.items():
        if head.startswith(mark) or (mark == b"[" and start.startswith(mark)):
            _refuse(path, words)
    if path.suffix.lower() in (".csv", ".tsv"):
        return "csv"
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return "jsonl"
    return "jsonl" if start.startswith(b"{") else "csv"


def sha256(path: Path) -> str:
    """Hash of the file's content. Raises TwinError when it cannot be read."""
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_file(path: Path) -> BufferedReader:
    """The file's bytes. Raises TwinError when there is no such file or it may not be read."""
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise TwinError(f"There is no file {path}; correct the path.") from error
    except IsADirectoryError as error:
        raise TwinError(f"{path} is a folder; name one of its .jsonl or .csv files.") from error
    except OSError as error:
        raise TwinError(
            f"{path} cannot be read ({error.strerror}); change its permissions or the path."
        ) from error


def _refuse(path: Path, words: str) -> NoReturn:
    raise TwinError(f"The file {path} {words}.")


def _lacks(path: Path, missing: Sequence[str], found: Iterable[str]) -> NoReturn:
    names = sorted({name[:40] for name in found if name})
    shown = ", ".join(names[:_SHOWN_NAMES]) + (" …" if len(names) > _SHOWN_NAMES else "")
    _refuse(
        path,
        f"has no {' and no '.join(missing)} (found: {shown or 'nothing'}); it needs "
        f"{', '.join(NEEDED)}, and may have {', '.join(OPTIONAL)}",
    )


def _read_jsonl(stream: BufferedReader, path: Path, rules: Rules) -> Iterator[Batch]:
    first = True
    for block in read_lines(stream):
        lines, objects, faults, replaced = _decode(block)
        if first and len(lines):
            named = {name for row in objects for name in row}
            missing = [name for name in NEEDED if name not in named]
            if missing and named:
                _lacks(path, missing, named)
            first = False
        columns = {name: [row.get(name) for row in objects] for name in (*NEEDED, *OPTIONAL)}
        loose = _loose(lines.numbers, columns, faults, replaced, rules)
        yield tidy(loose, rules, partial(_shown_line, lines.texts))


def _shown_line(texts: list[bytes], place: int) -> str:
    return texts[place][:400].decode("utf-8", "replace")


def _without_blank(lines: Lines) -> Lines:
    pairs = [
        (number, text)
        for number, text in zip(lines.numbers, lines.texts, strict=True)
        if text and not text.isspace()
    ]
    return Lines([number for number, _ in pairs], [text for _, text in pairs], lines.cut)


def _decode(block: Lines) -> tuple[Lines, list[Row], dict[int, str], list[int]]:
    """Lines that are not blank, their objects (empty where there is none), then by position the
    faults and where bytes were replaced."""
    try:
        rows = [orjson.loads(text) for text in block.texts]
        if set(map(type, rows)) <= {dict}:
            return block, rows, {}, []
    except orjson.JSONDecodeError:
        pass
    lines = _without_blank(block)
    objects: list[Row] = []
    faults: dict[int, str] = {}
    replaced = []
    for position, (number, line) in enumerate(zip(lines.numbers, lines.texts, strict=True)):
        value, mended = (None, False) if number in lines.cut else _decode_line(line)
        if number in lines.cut:
            faults[position] = LONG_LINE
        elif value is _BROKEN:
            faults[position] = NOT_JSON
        elif not isinstance(value, dict):
            faults[position] = NOT_OBJECT
        elif mended:
            replaced.append(position)
        objects.append(value if isinstance(value, dict) else {})
    return lines, objects, faults, replaced


_BROKEN = object()


def _decode_line(line: bytes) -> tuple[Any, bool]:
    """The value of a line (or _BROKEN), and whether bytes that are not UTF-8 were replaced."""
    try:
        return orjson.loads(line), False
    except orjson.JSONDecodeError:
        text = line.decode("utf-8", "replace")
    mended = text.encode() != line
    try:
        return orjson.loads(text), mended
    except orjson.JSONDecodeError:
        pass
    try:  # the standard library lets lone surrogates pass; they are replaced later
        return json.loads(text, parse_constant=_no_constant), mended
    except (ValueError, RecursionError):
        return _BROKEN, False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _read_csv(stream: BufferedReader, path: Path, rules: Rules) -> Iterator[Batch]:
    previous = csv.field_size_limit(max(4 * rules.max_chars, 1 << 20))
    try:
        yield from _csv_batches(stream, path, rules)
    finally:
        csv.field_size_limit(previous)


def _csv_batches(stream: BufferedReader, path: Path, rules: Rules) -> Iterator[Batch]:
    lines = _CsvLines(stream)
    reader, header = _csv_header(lines, path)
    numbers: list[int] = []
    rows: list[list[str]] = []
    faults: dict[int, str] = {}
    for number, row, fault in _csv_rows(reader, lines):
        if fault or len(row) != len(header):
            faults[len(rows)] = fault or WRONG_CELLS
        numbers.append(number)
        rows.append(row)
        if len(rows) >= MOST_LINES or lines.given >= MOST_BYTES:
            yield _csv_batch(numbers, rows, faults, header, rules)
            numbers, rows, faults, lines.given = [], [], {}, 0
    if rows:
        yield _csv_batch(numbers, rows, faults, header, rules)


class _CsvLines:
    """Decoded lines with their ends; bytes that are not UTF-8 arrive as lone surrogates."""

    def __init__(self, stream: BufferedReader) -> None:
        self._lines = (
            (number, text, number in block.cut)
            for block in read_lines(stream)
            for number, text in zip(block.numbers, block.texts, strict=True)
        )
        self.given = 0  # bytes since the reader last set it to 0
        self.number = 0  # of the line given last
        self.cut: list[tuple[int, str]] = []  # lines too long to keep, with their heads

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, text, cut = next(self._lines)
        line = text.decode("utf-8", "surrogateescape")
        if cut:
            self.cut.append((self.number, line))
            return "\n"
        self.given += len(text)
        return line + "\n"


def _csv_header(lines: _CsvLines, path: Path) -> tuple[Any, list[str]]:
    """A reader after the header, and its column names. Raises TwinError."""
    first = next((line for line in lines if line.strip()), "")
    best: list[str] = []
    for delimiter in DELIMITERS:
        try:
            cells = next(csv.reader([first], delimiter=delimiter), [])
        except csv.Error:
            continue
        names = [cell.strip().lower() for cell in cells]
        if set(NEEDED) <= set(names):
            return csv.reader(lines, delimiter=delimiter), names
        best = max(best, names, key=len)
    _lacks(path, [name for name in NEEDED if name not in best], map(without_surrogates, best))


def _csv_rows(reader: Any, lines: _CsvLines) -> Iterator[tuple[int, list[str], str]]:
    """Number of the first line, cells and fault ("" for none) of each row that is not blank."""
    while True:
        start = lines.number + 1
        row, fault = [], ""
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            fault = BROKEN_CELL
        while lines.cut:
            number, head = lines.cut.pop()
            yield number, [head], LONG_LINE
        if row or fault:
            yield start, row, fault


def _csv_batch(
    numbers: list[int],
    rows: list[list[str]],
    faults: dict[int, str],
    header: list[str],
    rules: Rules,
) -> Batch:
    empty = [None] * len(header)
    cells = (
        [empty if place in faults else row for place, row in enumerate(rows)] if faults else rows
    )
    found = dict(zip(header, zip(*cells, strict=True), strict=True))
    columns = {name: found.get(name, [None] * len(rows)) for name in (*NEEDED, *OPTIONAL)}
    loose = _loose(numbers, columns, faults, [], rules)
    return tidy(loose, rules, lambda place: ",".join(rows[place]))


def _loose(
    numbers: list[int],
    columns: Mapping[str, Sequence[Any]],
    faults: dict[int, str],
    replaced: list[int],
    rules: Rules,
) -> pl.DataFrame:
    """Rows with LOOSE_SCHEMA out of columns of Python values."""
    texts = {name: text_column(columns[name]) for name in _TEXTS}
    faults = {
        place: f"{name} is not text" for name in NEEDED[:3] for place in texts[name].wrong
    } | faults
    times = time_column(columns["sent_at"])
    sent_at, zoneless = parse_times(times, rules.zone)
    metadata, left_out = json_column(columns["metadata"], rules.max_chars)
    timeless = times.is_null() if times.dtype.is_numeric() else times.fill_null("") == ""
    fault = pl.repeat(None, len(numbers), dtype=pl.String, eager=True)
    changed = {place for column in texts.values() for place in column.replaced}.union(replaced)
    return pl.DataFrame(
        {
            "line": numbers,
            "source_message_id": texts["message_id"].text,
            **{name: texts[name].text for name in ("conversation_id", "speaker", "text")},
            "sent_at": sent_at,
            "reply_to": texts["reply_to"].text,
            "metadata": metadata,
            "timeless": timeless,
            "zoneless": zoneless,
            "replaced": _flags(changed, len(numbers)),
            "left_out": _flags(left_out, len(numbers)),
            "fault": fault.scatter(list(faults), list(faults.values())) if faults else fault,
        },
        schema=LOOSE_SCHEMA,
    )


def _flags(places: Iterable[int], count: int) -> pl.Series:
    flags = pl.repeat(False, count, dtype=pl.Boolean, eager=True)
    places = sorted(places)
    return flags.scatter(places, [True] * len(places)) if places else flags
