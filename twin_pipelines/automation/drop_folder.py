"""A folder whose files are imported once each: what lies there, what is whole, what became of it.

Files are read, never moved, changed or run. One in a folder of its own feeds the source of the
folder's name; one that lies loose feeds the source of its own name, as `twin import` does.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psycopg

from twin_pipelines.automation import drop_store
from twin_pipelines.automation.drop_store import Dropped
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.files import sha256
from twin_pipelines.sources.landing import import_file

KINDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".swp")


@dataclass(frozen=True)
class Found:
    """A file of the folder as it is now."""

    name: str  # within the folder
    size: int
    changed_ns: int
    fault: str = ""  # why it is not even opened

    @property
    def mark(self) -> str:
        """Another one for every change of the file."""
        return f"{self.size}-{self.changed_ns}"


@dataclass(frozen=True)
class Seen:
    """A file as an earlier look left it."""

    mark: str
    content: str = ""  # its hash, once it was dealt with


def look(folder: Path) -> list[Found]:
    """The files of the folder and of those in it, by name; hidden and unfinished ones are not told.

    Raises TwinError when there is no such folder.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise TwinError(
            f"The drop folder {folder} cannot be read ({error.strerror}); make it, or correct "
            "automation.drop_folder."
        ) from error
    return [found for entry in entries for found in _found(folder, entry)]


def due(found: list[Found], seen: Mapping[str, Seen]) -> list[Found]:
    """Files that are as they were at the last look and were not dealt with as they are.

    One that still grows, or was replaced in between, waits for another look.
    """
    return [
        one
        for one in found
        if (before := seen.get(one.name)) and before.mark == one.mark and not before.content
    ]


def take_in(connection: psycopg.Connection, settings: TwinSettings, file: Found) -> Dropped:
    """Import a whole file, or set it aside with its reason, and commit.

    A content that was landed before is not read again, whatever its name is now.
    """
    assert settings.automation.drop_folder is not None
    path = settings.automation.drop_folder / file.name
    if file.fault:
        done = Dropped(_unread(file), file.name, reason=file.fault)
    else:
        done = _imported(connection, settings, path, file)
    drop_store.record(connection, done)
    connection.commit()
    return done


def _imported(
    connection: psycopg.Connection, settings: TwinSettings, path: Path, file: Found
) -> Dropped:
    content = ""
    parts = PurePosixPath(file.name).parts
    try:
        content = sha256(path)
        if drop_store.landed(connection, content):
            return Dropped(content, file.name)
        report = import_file(
            connection,
            settings,
            path,
            source_name=parts[0] if len(parts) > 1 else None,
            consent=settings.automation.drop_consent,
        )
    except TwinError as error:
        connection.rollback()
        reason = str(error).replace(str(path), file.name)
        return Dropped(content or _unread(file), file.name, reason=reason)
    if not report.landed and report.rejected:
        commonest = next(iter(report.problems), "every row was rejected")
        reason = (
            f"None of its {report.read:,} rows could be landed ({commonest}); correct the file."
        )
        return Dropped(content, file.name, report.source, reason)
    return Dropped(
        content, file.name, report.source, "", report.landed, report.first_day, report.last_day
    )


def _found(folder: Path, entry: Path, depth: int = 0) -> Iterator[Found]:
    if entry.name.startswith((".", "~")) or entry.suffix.lower() in UNFINISHED:
        return
    name = entry.relative_to(folder).as_posix()
    try:
        known = entry.lstat()
        if stat.S_ISDIR(known.st_mode) and not depth:
            for inner in sorted(entry.iterdir()):
                yield from _found(folder, inner, depth + 1)
            return
    except FileNotFoundError:  # it was taken away meanwhile
        return
    except OSError as error:
        yield Found(name, 0, 0, f"cannot be read ({error.strerror}); change its permissions")
        return
    yield Found(name, known.st_size, known.st_mtime_ns, _fault(entry, known.st_mode))


def _fault(entry: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "is a link; put the file itself there"
    if stat.S_ISDIR(mode):
        return "is a folder in a folder; put its files one level higher"
    if not stat.S_ISREG(mode):
        return "is no file of data; take it away"
    if entry.suffix.lower() not in KINDS:
        return f"is none of {', '.join(KINDS)}; export the messages as JSONL or CSV"
    return ""


def _unread(file: Found) -> str:
    return hashlib.sha256(f"{file.name} {file.mark}".encode()).hexdigest()
