"""The core identity: what a prompt is told of the subject, within a budget of tokens.

Facts come in the order of `facts`, style rules in that of how far the subject stands from other
people. Owner's lines (the hand-written page, and what was edited) come first and are never thrown
away: what has no room waits. What the owner took out or changed does not come back when the page
is made anew, nor does what says nearly the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from twin_pipelines.foundation.budget import estimated_tokens
from twin_pipelines.foundation.similarity import jaccard
from twin_pipelines.persona.identity.facts import fact_words, facts_of
from twin_pipelines.persona.identity.fitting import within
from twin_pipelines.persona.identity.page import (
    EDITED,
    Line,
    Page,
    Removed,
    Section,
    joined,
    page_text,
    read_page,
    section_key,
    short_digest,
)
from twin_pipelines.persona.statements.suspicion import suspicion
from twin_pipelines.settings import Persona, TwinError

FACTS_SECTION = "facts"
SAME = 0.7  # Jaccard similarity from which lines of unlike words say nearly the same
LONGEST = 60  # tokens of a generated line
_PRIVATE = re.compile(r"\S@\S+\.\w|https?://|www\.|\d(?:[ .()-]?\d){6,}")
_SENTENCE_ENDS = re.compile(r"[.!?。…\u0e00-\u0e7f)\"”\U0001f300-\U0001faff]$")


@dataclass(frozen=True)
class Place:
    """A section the page may have: its titles, and its share of the room for generated lines."""

    key: str
    english: str
    thai: str
    share: float
    inline: bool = False


PLACES = (
    Place(FACTS_SECTION, "About {name}, in their words", "เกี่ยวกับ {name} ในคำของเขาเอง", 0.38),
    Place("likes", "{name} likes", "สิ่งที่ {name} ชอบ", 0.12, inline=True),
    Place("dislikes", "{name} dislikes", "สิ่งที่ {name} ไม่ชอบ", 0.04, inline=True),
    Place("style", "How {name} writes", "วิธีเขียนของ {name}", 0.18),
    Place("says", "{name} often says", "คำที่ {name} พูดบ่อย", 0.09, inline=True),
    Place("situations", "What {name} tends to reply", "{name} มักตอบว่า", 0.12),
    Place("never", "{name} never says", "คำที่ {name} ไม่เคยพูด", 0.07, inline=True),
)


@dataclass(frozen=True)
class Identity:
    """One version of the persona page. `version` is 0 before it is stored."""

    speaker: str
    page: Page
    content: str
    short_form: str
    tokens: int
    by_owner: bool  # made by an edit, not by the graph
    version: int = 0
    made_at: datetime | None = field(default=None, compare=False)

    @property
    def edited(self) -> bool:
        """Whether the owner changed anything of it."""
        return self.page.edited

    @property
    def inputs_hash(self) -> str:
        """Of every word of it: the same words make no new version, whatever evidence was added."""
        said = [
            self.content,
            self.short_form,
            [(one.key, one.text) for one in self.page.removed],
            [line.text for section in self.page.waiting for line in section.lines],
        ]
        return short_digest(json.dumps(said, ensure_ascii=False))

    @property
    def document(self) -> dict[str, Any]:
        """The page as JSON; `page_of` reads it."""
        return {
            "sections": [_section_dict(section) for section in self.page.sections],
            "removed": [vars(one) for one in self.page.removed],
            "waiting": [_section_dict(section) for section in self.page.waiting],
            "by_owner": self.by_owner,
        }


def page_of(document: dict[str, Any]) -> Page:
    """The page of a stored document."""
    return Page(
        tuple(map(_section_of, document["sections"])),
        tuple(Removed(**one) for one in document["removed"]),
        tuple(map(_section_of, document["waiting"])),
    )


def hand_written(settings: Persona) -> list[Section]:
    """Sections of the hand-written page (`persona.page`); none where the settings name none.

    Raises TwinError when it cannot be read.
    """
    if settings.page is None:
        return []
    path = settings.page.expanduser()
    try:
        return read_page(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TwinError(
            f"The hand-written page {path} cannot be read ({error}); mend persona.page in "
            "twin.toml, or take it out."
        ) from error


def sections_of(lines: Mapping[str, Sequence[Line]], name: str, language: str) -> list[Section]:
    """Generated lines, by the key of their place, as sections titled in the language (th or en)."""
    return [
        Section(
            place.key,
            (place.thai if language == "th" else place.english).format(name=name),
            tuple(line for line in lines.get(place.key, ()) if _fits_in(line, place)),
            place.inline,
        )
        for place in PLACES
    ]


def regenerated(
    speaker: str,
    generated: Sequence[Section],
    written: Sequence[Section],
    previous: Page | None,
    settings: Persona,
) -> Identity:
    """The identity made of generated sections and the hand-written page's, with what the owner
    edited in `previous` kept."""
    before = previous or Page()
    edits = [
        replace(section, lines=tuple(line for line in section.lines if line.source == EDITED))
        for section in (*before.sections, *before.waiting)
    ]
    changed = {line.key for section in edits for line in section.lines}
    own = [_keyed(section, generated) for section in written]
    own = [_without(section, changed, before.removed) for section in own]
    owners = joined([*own, *edits])
    said = [*before.removed, *_owner_says(owners)]
    fresh = [_without(section, changed, said) for section in generated]
    page = replace(before, sections=tuple(joined([*_in_order(owners, generated), *fresh])))
    return composed(speaker, replace(page, waiting=()), settings, by_owner=False)


def composed(speaker: str, page: Page, settings: Persona, *, by_owner: bool) -> Identity:
    """The page cut to the budget, as an identity; the owner's lines without room wait."""
    kept, waiting = within(
        page.whole().sections,
        settings.identity_tokens,
        {place.key: place.share for place in PLACES},
    )
    fitted = Page(tuple(kept), page.removed, tuple(waiting))
    content = page_text(kept)
    facts = [
        line.text for section in kept if section.key == FACTS_SECTION for line in section.lines
    ]
    return Identity(
        speaker,
        fitted,
        content,
        short_form(facts, settings.short_tokens),
        math.ceil(estimated_tokens(content)),
        by_owner,
    )


def short_form(sentences: Iterable[str], most_tokens: int) -> str:
    """The sentences, in order, that fit into so many tokens; too long ones are left out."""
    kept: list[str] = []
    for sentence in sentences:
        plain = " ".join(sentence.split())
        ended = plain if _SENTENCE_ENDS.search(plain) else f"{plain}."
        if estimated_tokens(" ".join([*kept, ended])) <= most_tokens:
            kept.append(ended)
    return " ".join(kept)


def identity_until(
    turns: pl.DataFrame,
    until: datetime,
    *,
    speaker: str,
    names: Sequence[str],
    edited: Page | None,
    most_tokens: int,
) -> str:
    """The short form made of nothing but turns that ended by `until`: what a dataset may know.

    Neither the hand-written page nor an edit is in it, because nobody can tell from which messages
    they come; what the owner took out or replaced (`edited`) is left out.
    """
    if most_tokens <= 0:
        return ""
    past = turns.filter(pl.col("ended_at") <= until)
    page = (edited or Page()).whole()
    barred = [*page.removed, *(Removed(line.key, line.was) for line in page.lines() if line.was)]
    lines = fact_lines(facts_of(past, speaker, names))
    kept = _without(Section(FACTS_SECTION, "", tuple(lines)), set(), barred)
    return short_form((line.text for line in kept.lines), most_tokens)


def fact_lines(facts: pl.DataFrame) -> list[Line]:
    """Facts (`facts.FACTS`) as lines of the page."""
    return [
        Line(row["key"], row["text"], message_ids=tuple(row["message_ids"]))
        for row in facts.iter_rows(named=True)
        if fit_for_prompt(row["text"])
    ]


def fit_for_prompt(text: str) -> bool:
    """Whether a text may stand in a prompt: no instruction to a model, no address, no number that
    may be somebody's."""
    return suspicion(text) is None and not _PRIVATE.search(text)


def _fits_in(line: Line, place: Place) -> bool:
    return (
        bool(line.text.strip())
        and "\n" not in line.text
        and not (place.inline and "," in line.text)
        and estimated_tokens(line.text) <= LONGEST
    )


def _keyed(section: Section, generated: Sequence[Section]) -> Section:
    """A hand-written section under the key, title and form of the generated one it names."""
    titles = {section_key(one.title): one for one in generated}
    named = titles.get(section.key)
    if named is None or named.inline:
        return section
    return replace(section, key=named.key, title=named.title)


def _in_order(owners: Sequence[Section], generated: Sequence[Section]) -> list[Section]:
    """The owner's sections; those that share a key with a generated one stand where that stands."""
    known = {section.key: section for section in owners}
    theirs = {section.key for section in generated}
    first = [section for section in owners if section.key not in theirs]
    shared = [
        replace(section, lines=known[section.key].lines if section.key in known else ())
        for section in generated
    ]
    return [*first, *shared]


def _owner_says(owners: Sequence[Section]) -> list[Removed]:
    """What a generated line need not say, because the owner says it or replaced it."""
    lines = [line for section in owners for line in section.lines]
    said = [Removed(line.key, line.text) for line in lines]
    return [*said, *(Removed(line.key, line.was) for line in lines if line.was)]


def _without(section: Section, keys: set[str], barred: Sequence[Removed]) -> Section:
    """The section without lines of these keys, and without what is barred or nearly the same."""
    gone = keys | {one.key for one in barred}
    said = [_meaning(one.text) for one in barred]
    meant = [(line, _meaning(line.text)) for line in section.lines if line.key not in gone]
    kept = [line for line, means in meant if not any(_alike(means, one) for one in said)]
    return replace(section, lines=tuple(kept))


def _meaning(text: str) -> tuple[str, frozenset[str]]:
    """A line's plain words, and those of them that carry its content."""
    return section_key(text), frozenset(fact_words(text))


def _alike(one: tuple[str, frozenset[str]], other: tuple[str, frozenset[str]]) -> bool:
    if one[1] and one[1] == other[1]:
        return True
    return bool(other[0]) and jaccard(one[0], other[0]) >= SAME


def _section_dict(section: Section) -> dict[str, Any]:
    return {**vars(section), "lines": [vars(line) for line in section.lines]}


def _section_of(stored: dict[str, Any]) -> Section:
    lines = [
        Line(**{**line, "message_ids": tuple(line["message_ids"])}) for line in stored["lines"]
    ]
    return Section(**{**stored, "lines": tuple(lines)})
