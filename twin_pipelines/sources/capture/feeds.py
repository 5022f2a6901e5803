"""Which source databases are followed, and which of their tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict

from twin_pipelines.settings import MemoryTable, Source, TwinError, TwinSettings

if TYPE_CHECKING:
    from twin_pipelines.sources.capture.pgoutput import Relation

_DEFAULT_SCHEMA = "public"


@dataclass(frozen=True)
class Feed:
    """One source database: its slot and publication have the feed's name.

    `url` is empty for the twin's own database; `location` is the database without a password;
    `rules` is what else decides which rows are messages, and of which day.
    """

    name: str
    url: str
    location: str
    rules: str
    sources: tuple[Source, ...]
    memories: tuple[MemoryTable, ...]

    @property
    def tables(self) -> tuple[str, ...]:
        """Every table that is followed, as twin.toml writes it, each once."""
        named = [one.table for one in self.sources] + [one.table for one in self.memories]
        return tuple(dict.fromkeys(named))

    @property
    def mapping(self) -> str:
        """Hash of how the messages are read: another one is read from the beginning."""
        said = [[one.name, one.table, one.columns.model_dump()] for one in self.sources]
        said.append([self.rules])
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

    def memories_of(self, relation: Relation) -> list[MemoryTable]:
        """The tables of memories that a table is."""
        return [one for one in self.memories if same_table(one.table, relation)]


def feeds(settings: TwinSettings) -> tuple[Feed, ...]:
    """The databases with a table that asks for `capture`, in the order of the settings.

    Raises TwinError when a url is none.
    """
    by_url: dict[str, tuple[list[Source], list[MemoryTable]]] = {}
    for source in settings.sources:
        if source.kind == "table" and source.capture:
            by_url.setdefault(source.url, ([], []))[0].append(source)
    for table in settings.memory.imports:
        if table.capture:
            by_url.setdefault(table.url, ([], []))[1].append(table)
    return tuple(
        feed_of(settings, url, sources, memories) for url, (sources, memories) in by_url.items()
    )


def named_databases(settings: TwinSettings) -> dict[str, Feed]:
    """Every database that twin.toml names, followed or not, as a feed without tables, by name."""
    urls = [source.url for source in settings.sources if source.kind == "table"]
    urls += [table.url for table in settings.memory.imports]
    found = [feed_of(settings, url) for url in dict.fromkeys(urls)]
    return {feed.name: feed for feed in found}


def feed_of(
    settings: TwinSettings,
    url: str,
    sources: Sequence[Source] = (),
    memories: Sequence[MemoryTable] = (),
) -> Feed:
    """The feed that these tables of a database form; its name is stable for a state folder and a
    database, whatever the password. Raises TwinError when the url is none."""
    parts: Mapping[str, object] = {}
    if url:
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise TwinError(
                "The url of a source in twin.toml is no address of a PostgreSQL database; write it "
                "as postgresql://user@host:5432/name."
            ) from error
    host, port, name = (str(parts.get(part, "")) for part in ("host", "port", "dbname"))
    digest = hashlib.sha256("\0".join([str(settings.home), host, port, name]).encode()).hexdigest()
    location = f"{name} at {host}:{port}" if url else "the twin's own database"
    rules = f"{settings.zone.key}, {settings.cleaning.max_chars}"
    return Feed(f"twin_{digest[:12]}", url, location, rules, tuple(sources), tuple(memories))


def same_table(name: str, relation: Relation) -> bool:
    """Whether a table of twin.toml (`table` or `schema.table`) is the one of the log."""
    schema, _, table = name.rpartition(".")
    return (schema or _DEFAULT_SCHEMA, table) == (relation.schema, relation.name)
