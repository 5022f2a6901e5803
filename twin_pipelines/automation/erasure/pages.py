"""Takes lines out of the persona page, and out of prompts that were made with it.

A line goes when all it rests on is erased, or when it says what is erased in so many words. One
that other messages bear out, too, stays without the erased ones.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from twin_pipelines.automation.erasure.sayings import Sayings
from twin_pipelines.persona.identity.page import EDITED, Line, Page, Removed, Section


def trimmed(page: Page, messages: Collection[str], sayings: Sayings) -> tuple[Page, list[str]]:
    """The page without what rests on the messages alone or says a saying, and the texts that went.

    What the owner wrote in place of such a line stays, as the owner's own.
    """
    dropped: list[str] = []

    def kept(line: Line) -> Line | None:
        rest = tuple(message for message in line.message_ids if message not in messages)
        lost = len(rest) < len(line.message_ids)
        if sayings.said_in(line.text) or (lost and not rest and line.source != EDITED):
            dropped.append(line.text)
            return None
        was = "" if lost or sayings.said_in(line.was) else line.was
        return replace(line, message_ids=rest, was=was)

    def cut(section: Section) -> Section:
        lines = (kept(line) for line in section.lines)
        return replace(section, lines=tuple(line for line in lines if line is not None))

    def silent(removed: Removed) -> bool:
        return not sayings.said_in(removed.text)

    made = Page(
        tuple(cut(section) for section in page.sections),
        tuple(one for one in page.removed if silent(one)),
        tuple(cut(section) for section in page.waiting),
    )
    return made, dropped


def without_lines(text: str, dropped: Collection[str], sayings: Sayings) -> str:
    """A prompt without lines of the page (`dropped`) and without lines that say a saying.

    Of a row of words with commas between only the words that were dropped go.
    """
    gone = set(dropped)
    lines = []
    for line in text.split("\n"):
        said = line.removeprefix("- ").strip()
        if said and (said in gone or sayings.said_in(said)):
            continue
        words = line.split(", ")
        kept = [word for word in words if word.strip() not in gone]
        if kept or not line:
            lines.append(", ".join(kept) if len(kept) < len(words) else line)
    return "\n".join(lines)
