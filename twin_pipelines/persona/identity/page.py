"""The persona page as text: sections of lines, read from markdown and written to it.

A hand-written page (a CLAUDE.md-like file) and a page the owner edited are read by the same rules:
headings begin sections; list items, table rows, fenced blocks and paragraphs are lines. Front
matter and comments are left out. What the owner changed is found by comparing what they were shown
with what they gave back, line by line.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

GENERATED, HAND_WRITTEN, EDITED = "generated", "hand-written", "edited"
OWN_PREFIX = "owner/"
ALIKE = 0.5  # how much of a line must be left for it to count as changed rather than replaced
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"#{1,6}\s+(?P<title>.*?)\s*#*")
_ITEM = re.compile(r"(?:[-*+•]|\d+[.)])\s+(?P<text>.*)")
_RULE = re.compile(r"[-*_=]{3,}|\|?[\s:|-]*-[\s:|-]*\|?")
_FENCE = re.compile(r"(?:```|~~~).*")


@dataclass(frozen=True)
class Line:
    """One thing the page says. `was` is the generated or hand-written text an edit replaced."""

    key: str
    text: str
    source: str = GENERATED
    message_ids: tuple[str, ...] = ()
    was: str = ""


@dataclass(frozen=True)
class Section:
    """Lines under a title; `inline` ones are words in one row, with commas between."""

    key: str
    title: str
    lines: tuple[Line, ...] = ()
    inline: bool = False


@dataclass(frozen=True)
class Removed:
    """A line the owner took out: it does not come back, nor does what says nearly the same."""

    key: str
    text: str


@dataclass(frozen=True)
class Page:
    """The page; `waiting` are the owner's lines that had no room, by section."""

    sections: tuple[Section, ...] = ()
    removed: tuple[Removed, ...] = ()
    waiting: tuple[Section, ...] = ()

    def lines(self) -> list[Line]:
        """Every line of the page in order."""
        return [line for section in self.sections for line in section.lines]

    def whole(self) -> Page:
        """The page with the lines that wait in their sections."""
        return replace(self, sections=tuple(joined([*self.sections, *self.waiting])), waiting=())

    @property
    def edited(self) -> bool:
        """Whether the owner changed, added or took out anything."""
        return bool(self.removed or self.waiting) or any(
            line.source == EDITED for line in self.lines()
        )

    def sources(self) -> dict[str, int]:
        """How many lines are generated, hand-written and edited."""
        counted = Counter(line.source for line in self.lines())
        return {source: counted[source] for source in (GENERATED, HAND_WRITTEN, EDITED)}

    @property
    def message_ids(self) -> list[str]:
        """Every message a line rests on, each once."""
        return sorted({message for line in self.lines() for message in line.message_ids})


def section_key(title: str) -> str:
    """The name by which a section is found again: its title in small letters and plain words."""
    return re.sub(r"[^\w\u0e00-\u0e7f]+", " ", title.lower()).strip()


def read_page(text: str, source: str = HAND_WRITTEN) -> list[Section]:
    """Sections of a markdown text; lines before the first heading are in one without a title.

    Sections of one title are one. Empty sections are left out.
    """
    found: dict[str, Section] = {}
    title = ""
    for kind, content in _blocks(text):
        if kind == "heading":
            title = content
            continue
        key = section_key(title)
        section = found.setdefault(key, Section(key, title))
        line = Line(f"{source}/{short_digest(content)}", content, source)
        if line not in section.lines:
            found[key] = replace(section, lines=(*section.lines, line))
    return list(found.values())


def page_text(sections: Iterable[Section]) -> str:
    """The sections as markdown, as the prompt holds them and the owner edits them."""
    blocks = [_section_text(section) for section in sections if section.lines]
    return "\n\n".join(blocks)


def joined(sections: Iterable[Section]) -> list[Section]:
    """Sections of one key as one, in the order of their first; no line twice."""
    found: dict[str, Section] = {}
    for section in sections:
        before = found.get(section.key)
        if before is None:
            found[section.key] = section
            continue
        keys = {line.key for line in before.lines}
        fresh = tuple(line for line in section.lines if line.key not in keys)
        found[section.key] = replace(before, lines=(*before.lines, *fresh))
    return list(found.values())


def edited_page(shown: Page, text: str) -> Page:
    """The page the owner made of `shown` by giving back `text`.

    A line that is there unchanged stays what it was; one that resembles a line that is gone from
    its section replaces it for good; others are new. What is gone is `removed`, unless the owner
    had added it.
    """
    known = {section_key(section.title): section for section in shown.sections}
    given = []
    for section in read_page(text, EDITED):
        before = known.get(section.key)
        inline = before is not None and before.inline
        texts = [line.text for line in section.lines]
        if inline:
            texts = [word.strip() for row in texts for word in row.split(",") if word.strip()]
        given.append((before or section, list(dict.fromkeys(texts))))
    taken = {text for _, texts in given for text in texts}
    sections, gone = [], []
    for section, texts in given:
        old = section.lines if section.key in {one.key for one in shown.sections} else ()
        missing = [line for line in old if line.text not in taken]
        lines, unmatched = _matched(texts, shown.lines(), missing)
        gone += unmatched
        sections.append(replace(section, lines=tuple(lines)))
    present = {section.key for section, _ in given}
    gone += [
        line
        for section in shown.sections
        if section.key not in present
        for line in section.lines
        if line.text not in taken
    ]
    removed = {one.key: one for one in (*shown.removed, *map(_removed, gone)) if one is not None}
    kept = [one for one in removed.values() if one.text not in taken]
    return Page(tuple(sections), tuple(kept), shown.waiting)


def short_digest(text: str) -> str:
    """First 12 hexadecimal digits of the text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _matched(
    texts: Sequence[str], old: Sequence[Line], missing: list[Line]
) -> tuple[list[Line], list[Line]]:
    """The lines these texts stand for, and the missing lines that none of them replaces."""
    by_text = {line.text: line for line in old}
    left, lines = list(missing), []
    for text in texts:
        if text in by_text:
            lines.append(by_text[text])
            continue
        likeness = [SequenceMatcher(None, line.text, text).ratio() for line in left]
        best = max(range(len(left)), key=likeness.__getitem__, default=None)
        if best is None or likeness[best] < ALIKE:
            lines.append(Line(OWN_PREFIX + short_digest(text), text, EDITED))
            continue
        before = left.pop(best)
        was = before.was if before.source == EDITED else before.text
        lines.append(Line(before.key, text, EDITED, before.message_ids, was))
    return lines, left


def _removed(line: Line) -> Removed | None:
    if line.key.startswith(OWN_PREFIX):
        return None
    return Removed(line.key, line.was or line.text)


def _section_text(section: Section) -> str:
    heading = [f"## {section.title}"] if section.title else []
    if section.inline:
        return "\n".join([*heading, ", ".join(line.text for line in section.lines)])
    return "\n".join([*heading, *(_line_text(line.text) for line in section.lines)])


def _line_text(text: str) -> str:
    """A line as markdown: a list item, unless it is a block of its own."""
    return text if "\n" in text or text.startswith("|") else f"- {text}"


def _blocks(text: str) -> Iterable[tuple[str, str]]:
    """Headings and lines of a markdown text, as (kind, content)."""
    plain = _COMMENT.sub("", _FRONT_MATTER.sub("", text.replace("\r\n", "\n")))
    open_lines: list[str] = []
    fence = False
    for raw in [*plain.split("\n"), ""]:
        row = raw.strip()
        if fence:
            open_lines.append(raw.rstrip())
            if _FENCE.fullmatch(row):
                fence = False
                yield "line", "\n".join(open_lines)
                open_lines = []
            continue
        heading, item = _HEADING.fullmatch(row), _ITEM.fullmatch(row)
        ends = not row or heading or item or row.startswith("|") or _FENCE.fullmatch(row)
        if ends or _RULE.fullmatch(row):
            if open_lines:
                yield "line", " ".join(open_lines)
            open_lines = []
        if not row or _RULE.fullmatch(row):
            continue
        if heading:
            yield "heading", heading["title"]
        elif row.startswith("|"):
            yield "line", row
        elif _FENCE.fullmatch(row):
            fence = True
            open_lines = [raw.rstrip()]
        else:
            open_lines += [part for part in [item["text"] if item else row] if part]
    if fence and open_lines:
        yield "line", "\n".join(open_lines)
