"""`twin persona show` and `twin persona edit`: the page by which the twin is told who it is."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.persona.identity import store as identity_store
from twin_pipelines.persona.identity.compose import Identity, composed
from twin_pipelines.persona.identity.page import GENERATED, edited_page, page_text
from twin_pipelines.persona.never_says import NeverSay, tidy_phrase
from twin_pipelines.persona.never_says_store import add_never_say, drop_never_say, never_says
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.store import subject

EDITORS = ("VISUAL", "EDITOR")
USUAL_EDITOR = "vi"


def shown(settings: TwinSettings) -> dict[str, Any]:
    """The identity in use as plain values: version, page, its lines with source and evidence.

    Raises TwinError before the first was made.
    """
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        stored = _stored(connection)
    return {
        "version": stored.version,
        "speaker": stored.speaker,
        "made_at": stored.made_at,
        "tokens": stored.tokens,
        "edited": stored.edited,
        "short_form": stored.short_form,
        "content": stored.content,
        "lines": [
            {
                "section": section.title,
                "key": line.key,
                "text": line.text,
                "source": line.source,
                "message_ids": list(line.message_ids),
            }
            for section in stored.page.sections
            for line in section.lines
        ],
        "removed": [one.text for one in stored.page.removed],
        "waiting": [line.text for section in stored.page.waiting for line in section.lines],
    }


def show(found: dict[str, Any], console: Console) -> None:
    """Print the page, and below it where its lines come from."""
    console.print(found["content"], markup=False, highlight=False, soft_wrap=True)
    sources = [line["source"] for line in found["lines"]]
    own = [f"{sources.count(one)} {one}" for one in sorted(set(sources) - {GENERATED})]
    counted = ", ".join([f"{sources.count(GENERATED)} lines from messages", *own])
    console.print(
        f"\nVersion {found['version']}, {found['tokens']} tokens: {counted}; "
        f"{len(found['removed'])} taken out by you.",
        style="dim",
        soft_wrap=True,
    )
    for text in found["waiting"]:
        console.print(f"No room for your line: {text}", style="yellow", markup=False)


def edit(settings: TwinSettings, file: Path | None, console: Console) -> Identity | None:
    """Let the owner change the page, in their editor or by a file; None when nothing changed.

    Raises TwinError when there is no page yet, the text is empty or the editor fails.
    """
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        before = _stored(connection)
        whole = before.page.whole()
        offered = page_text(whole.sections)
        given = _read(file) if file else _from_editor(offered)
        if not given.strip():
            raise TwinError("The page given back is empty, so nothing was changed.")
        if given.strip() == offered.strip():
            console.print("Nothing was changed.")
            return None
        changed = edited_page(whole, given)
        made = composed(before.speaker, changed, settings.persona, by_owner=True)
        stored = identity_store.save_identity(connection, made)
        connection.commit()
    console.print(
        f"Version {stored.version}, {stored.tokens} tokens. Your changes stay when the page is "
        "made anew.",
        soft_wrap=True,
    )
    return stored


def _stored(connection: psycopg.Connection) -> Identity:
    stored = identity_store.latest_identity(connection, subject(connection).speaker)
    if stored is None:
        raise TwinError("There is no persona page yet; materialise core_identity first.")
    return stored


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TwinError(f"{file} cannot be read ({error}); name a text file in UTF-8.") from error


def _from_editor(text: str) -> str:
    """The text as the owner leaves it in their editor."""
    command = next((os.environ[name] for name in EDITORS if os.environ.get(name)), USUAL_EDITOR)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "persona.md"
        path.write_text(text + "\n", encoding="utf-8")
        try:
            subprocess.run([*shlex.split(command), str(path)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise TwinError(
                f"The editor {command} failed ({error}), so nothing was changed; set EDITOR, or "
                "hand the page over with --file."
            ) from error
        return _read(path)


def listed_never(settings: TwinSettings) -> list[NeverSay]:
    """Words the twin may never say, the oldest first."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        return never_says(connection)


def kept_never(settings: TwinSettings, phrase: str, reason: str) -> NeverSay:
    """Let the twin never say a phrase. Raises TwinError for one that is none."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        kept = add_never_say(connection, phrase, reason)
        connection.commit()
    return kept


def dropped_never(settings: TwinSettings, phrase: str) -> None:
    """Let the twin say a phrase again. Raises TwinError when it was not forbidden."""
    wanted = tidy_phrase(phrase).casefold()
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        found = [one for one in never_says(connection) if one.phrase.casefold() == wanted]
        for one in found:
            drop_never_say(connection, one.never_id)
        connection.commit()
    if not found:
        raise TwinError(
            f"The twin may say “{phrase}” already; `twin persona never` lists what it may not."
        )
