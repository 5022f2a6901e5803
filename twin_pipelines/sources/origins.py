"""Which sources are in force, where each is, and on whose word it may be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import psycopg
from pydantic import ValidationError

from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources import chitchat, landing_store

DEFAULT = Source(name="chitchat", kind="chitchat", consent=chitchat.CONSENT)


def sources_in_force(connection: psycopg.Connection, settings: TwinSettings) -> tuple[Source, ...]:
    """The configured sources; without any, and with nothing imported, the chitchat package.

    Raises TwinError when two sources share a name, a file has no path, or a consent is missing.
    """
    if not settings.sources:
        kinds = landing_store.consents(connection).values()
        return () if {"file", "table"} & set(kinds) else (DEFAULT,)
    names = [source.name for source in settings.sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TwinError(
            f"Two sources in twin.toml are called {', '.join(twice)}; give each its own name."
        )
    for source in settings.sources:
        granted(source)
        if source.kind == "file" and source.path is None:
            raise TwinError(
                f"The source {source.name} in twin.toml is a file without path; add it."
            )
    return settings.sources


def granted(source: Source) -> str:
    """The consent in words. Raises TwinError when a file or table has none."""
    if source.consent.strip():
        return source.consent.strip()
    if source.kind == "chitchat":
        return chitchat.CONSENT
    raise TwinError(
        f"The source {source.name} has no consent; write under it in twin.toml who allowed the "
        'reading and when, as in consent = "David, 2026-01-05".'
    )


def location(source: Source, connection: psycopg.Connection | None = None) -> str:
    """Where a source is, without passwords; a table needs the connection it is read through."""
    if source.kind == "chitchat":
        return chitchat.LOCATION
    if source.kind == "file":
        return str(source.path)
    if connection is None:
        return f"table {source.table}"
    info = connection.info
    return f"table {source.table} in {info.dbname} at {info.host}:{info.port}"


def file_source(
    settings: TwinSettings, path: Path, name: str | None = None, consent: str = ""
) -> Source:
    """The source a given file feeds: the configured one of this name or path, or a new one.

    A consent given here is stronger than the configured one. Raises TwinError.
    """
    known = _configured(settings.sources, path, name)
    if known and known.kind != "file":
        raise TwinError(
            f"The source {known.name} is a {known.kind} in twin.toml; import the file under "
            "another name."
        )
    try:
        source = Source(
            name=known.name if known else name or _slug(path.stem),
            kind="file",
            consent=consent or (known.consent if known else ""),
            path=path,
        )
    except ValidationError as error:
        raise TwinError(
            f"{name!r} is no name for a source; use small letters, digits, dots and dashes."
        ) from error
    granted(source)
    return source


def _configured(sources: Sequence[Source], path: Path, name: str | None) -> Source | None:
    for source in sources:
        if name and source.name == name:
            return source
        if not name and source.path and source.path.absolute() == path.absolute():
            return source
    return None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-_.") or "file"
