"""Files and other programs' tables: what they hold of an erasure, and taking it out.

Every change is written to a journal before it is made (`home/erasures/<id>/files.jsonl`: places,
counts and hashes, no words), so that an erasure that was killed goes on where it stood and its
receipt tells all of it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psycopg

from twin_pipelines.automation.erasure import papers, papers_store
from twin_pipelines.automation.erasure.dataset_folder import LISTS, DatasetFolder, is_dataset
from twin_pipelines.automation.erasure.gone import Gone
from twin_pipelines.automation.erasure.markings import marked
from twin_pipelines.automation.erasure.traces import Traces, traces_of
from twin_pipelines.foundation.database import Databases, connect
from twin_pipelines.foundation.fingerprints import hash_file
from twin_pipelines.instruct.preference_store import save_preferences
from twin_pipelines.settings import TwinSettings

JOURNAL = "files.jsonl"
Action = Literal["rewritten", "removed", "rows rewritten"]
BY_LINEAGE = (  # of the twin's tables: here nothing is marked, a hit is a fault that must be told
    *("raw_messages", "cleaned_messages", "instruct_pairs", "memories", "erasing"),
    *("promotion_notes", "adapter_blocks"),  # signed
)


@dataclass(frozen=True)
class Place:
    """Where something of an erasure stands: `hits` rows or lines, or 1 of a file that has none."""

    where: str  # relative to the state folder, or as `dagster: event_logs.event`
    what: str  # rows, lines or file
    hits: int


@dataclass(frozen=True)
class Change:
    """What was done to one place; hashes are None of a table, and of a file that is gone."""

    where: str
    action: Action
    rows: int
    sha256_before: str | None
    sha256_after: str | None
    at: str  # ISO 8601


def affected(settings: TwinSettings, databases: Databases, gone: Gone) -> list[Place]:
    """What `cleanse` would change, for a dry run; reads only.

    Rows of the twin's own tables go by lineage and are not counted here.
    """
    with connect(databases.twin) as connection:
        traces = _wide(connection, gone)
    found = [
        Place(_name(settings, path), papers.form(path), number)
        for path in papers.papers(settings.home)
        if (number := papers.hits(path, traces, () if path.name in LISTS else _ids(gone)))
    ]
    for program, url in _others(databases):
        with connect(url) as connection:
            found += [
                Place(f"{program}: {held.table}.{held.column}", "rows", held.rows)
                for held in papers_store.held(connection, traces)
            ]
    return found


def cleanse(settings: TwinSettings, databases: Databases, gone: Gone) -> list[Change]:
    """Take it out of every file and of the tables of Dagster and MLflow, and mark it in the twin's
    papers; returns all that was done for this erasure so far.

    The rows of the twin's tables must be gone already. May be called again at any time.
    """
    journal = Journal(settings, gone.erasure_id)
    with connect(databases.twin) as connection:
        traces = _wide(connection, gone)
        folders = sorted(
            {path.parent for path in papers.papers(settings.home) if is_dataset(path.parent)}
        )
        for folder in folders:
            _cleanse_dataset(connection, folder, traces, journal, settings)
        _mark(connection, "twin", traces, journal, BY_LINEAGE)
    for path in papers.papers(settings.home):
        if path.parent not in folders:
            papers.cleansed(path, traces, _ids(gone), journal.of(path))
    for program, url in _others(databases):
        with connect(url) as connection:
            _mark(connection, program, traces, journal, ())
    return journal.read()


class Journal:
    """What was done to files and tables for one erasure."""

    def __init__(self, settings: TwinSettings, erasure_id: str) -> None:
        self._settings = settings
        self.path = settings.home / papers.OWN / erasure_id / JOURNAL
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[Change]:
        """Everything that was written down, in order."""
        if not self.path.exists():
            return []
        return [Change(**row) for row in papers.rows_of(self.path)]

    def write(self, change: Change) -> None:
        """Write one change down."""
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(asdict(change)) + "\n")

    def file(self, path: Path, action: Action, rows: int, content: bytes | None) -> None:
        """Write down what is about to happen to a file."""
        after = None if content is None else hashlib.sha256(content).hexdigest()
        before = hash_file(path)
        self.write(Change(_name(self._settings, path), action, rows, before, after, _now()))

    def of(self, path: Path) -> papers.BeforeWriting:
        """What writes down the changes of one file."""
        return lambda action, rows, content: self.file(path, action, rows, content)

    def written_in(self, folder: Path) -> set[str]:
        """Names of the files in a folder that this erasure rewrote."""
        place = _name(self._settings, folder)
        return {
            Path(change.where).name
            for change in self.read()
            if str(Path(change.where).parent) == place and change.action == "rewritten"
        }


def _cleanse_dataset(
    connection: psycopg.Connection,
    folder: Path,
    traces: Traces,
    journal: Journal,
    settings: TwinSettings,
) -> None:
    version = folder.name
    prompts = papers_store.prompts(connection)
    known = folder.parent == settings.datasets_dir and version in prompts
    dataset = DatasetFolder(
        folder,
        traces,
        papers_store.pairs(connection, version) if known else None,
        papers_store.preference_ids(connection, version) if known else None,
        prompts.get(version) if known else None,
    )

    def before_writing(path: Path, rows: int, content: bytes) -> None:
        journal.file(path, "rewritten", rows, content)

    dataset.cleanse(before_writing, datetime.now(UTC).date())
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".md", ".json"):
            papers.cleansed(path, traces, (), journal.of(path))
    rewritten = journal.written_in(folder)
    dataset.vouch(rewritten)
    if known and rewritten:
        papers_store.drop_pairs(connection, version, dataset.lost)
    if known and dataset.preferences is not None:
        save_preferences(connection, version, dataset.preferences)
    connection.commit()


def _mark(
    connection: psycopg.Connection,
    program: str,
    traces: Traces,
    journal: Journal,
    beside: tuple[str, ...],
) -> None:
    marked_rows = papers_store.redact(connection, traces, lambda text: marked(text, traces), beside)
    for held in marked_rows:
        where = f"{program}: {held.table}.{held.column}"
        journal.write(Change(where, "rows rewritten", held.rows, None, None, _now()))


def _wide(connection: psycopg.Connection, gone: Gone) -> Traces:
    said = papers_store.said(connection, list(gone.message_ids))
    connection.rollback()
    return traces_of(gone, said, runs=True)


def _ids(gone: Gone) -> frozenset[str]:
    return frozenset(str(one) for one in gone.pair_ids | gone.message_ids)


def _others(databases: Databases) -> tuple[tuple[str, str], ...]:
    return ("dagster", databases.dagster), ("mlflow", databases.mlflow)


def _name(settings: TwinSettings, path: Path) -> str:
    return path.relative_to(settings.home).as_posix()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
