"""Reflection: two memories far from each other make a hope, a wish, a fear, a question or a plan.

A dream is imagined and says nothing that happened. It is chosen by what its two memories matter
(the root of the product of their importance), how far apart they lie in time, how fresh the later
one is, and how seldom either was dreamt of; they share no session and no word. The same thing is
dreamt in one way only once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from twin_pipelines.features.language import detect_languages
from twin_pipelines.foundation.similarity import jaccard, normal_text
from twin_pipelines.memory.dreams.phrases import Part, normal_words
from twin_pipelines.memory.dreams.words import FORMS, Form
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.persona.statements.topics import topic_key

EVERY = timedelta(days=7)  # between reflections
CATCH_UP = 12  # reflections made up for at once
CONSIDERED = 40  # parts of a role, the weightiest
APART_DAYS = 14.0
FRESH_DAYS = 30.0
LEAST_SCORE = 0.12  # a poor dream is not dreamt
ALIKE = 0.6  # Jaccard similarity of two dreams that are the same


@dataclass(frozen=True)
class Dream:
    """A dream before it is worded: its form, the memories it joins, and when."""

    form: Form
    a: Part
    b: Part
    at: datetime
    score: float

    @property
    def words(self) -> str:
        """The dream in the words of its form."""
        template = self.form.thai if self.a.thai or self.b.thai else self.form.english
        return template.format(a=self.a.phrase, b=self.b.phrase)


@dataclass
class Dreamt:
    """What was dreamt so far: what of it must not come again, and how often each thing came."""

    contents: list[str] = field(default_factory=list)  # normalised
    told: set[tuple[str, str]] = field(default_factory=set)  # kind, beginning of a word
    uses: Counter[str] = field(default_factory=Counter)  # by beginning of a word
    latest: datetime | None = None

    @classmethod
    def of(cls, dreams: pl.DataFrame) -> Dreamt:
        """From the dreams (MEMORIES) there are, whatever became of them."""
        known = cls()
        for kind, content, at, origin, details in dreams.select(
            "kind", normal_text(pl.col("content")), "first_at", "origin", "details"
        ).iter_rows():
            phrases = json.loads(details).get("phrases", [])
            known.add(kind, content, [topic_key(normal_words(phrase)) for phrase in phrases])
            if origin == "reflected":
                known.latest = max(at, known.latest or at)
        return known

    def add(self, kind: str, content: str, keys: Iterable[frozenset[str]]) -> None:
        """Remember a dream of these things."""
        self.contents.append(content)
        for word in frozenset[str]().union(*keys):
            self.told.add((kind, word))
            self.uses[word] += 1

    def told_of(self, kind: str, key: frozenset[str]) -> bool:
        """Whether a dream of the kind was about one of these words."""
        return any((kind, word) in self.told for word in key)

    def used(self, key: frozenset[str]) -> int:
        """In how many dreams the most frequent of these words came."""
        return max((self.uses[word] for word in key), default=0)

    def knows(self, content: str) -> bool:
        """Whether nearly the same was dreamt; `content` is normalised."""
        return any(jaccard(content, known) >= ALIKE for known in self.contents)


def due(first: datetime, latest: datetime | None, now: datetime) -> list[datetime]:
    """When to reflect: every `EVERY` since the latest reflection, or the first memory, until now.

    Of many that were missed the last `CATCH_UP` are made up for; the moments stand on a fixed grid.
    """
    begin = latest or first
    missed = int((now - begin) / EVERY)
    return [begin + EVERY * step for step in range(max(1, missed - CATCH_UP + 1), missed + 1)]


def reflect(parts: Sequence[Part], dreamt: Dreamt, at: datetime, most: int) -> list[Dream]:
    """At most so many new dreams of one moment, best first, each of another kind where possible.

    Only what was known and held then is dreamt of. `dreamt` is told of them.
    """
    known = [
        part
        for part in parts
        if part.first_at <= at and (part.valid_until is None or part.valid_until > at)
    ]
    possible = (dream for dream in _possible(known, dreamt, at) if dream.score >= LEAST_SCORE)
    ranked = sorted(possible, key=lambda dream: -dream.score)
    chosen: list[Dream] = []
    kinds: Counter[str] = Counter()
    for rounds in range(most):
        for dream in ranked:
            if len(chosen) == most:
                return chosen
            key = dream.a.key | dream.b.key
            again = any(key & (one.a.key | one.b.key) for one in chosen)
            if again or kinds[dream.form.kind] > rounds or dreamt.told_of(dream.form.kind, key):
                continue
            content = normal_words(dream.words)
            if dreamt.knows(content):
                continue
            chosen.append(dream)
            kinds[dream.form.kind] += 1
            dreamt.add(dream.form.kind, content, [key])
    return chosen


def as_memories(dreams: Sequence[tuple[Dream, str, str]], about: str) -> pl.DataFrame:
    """Dreams with their wording and who worded them, as MEMORIES."""
    rows = [_memory(dream, content, by, about) for dream, content, by in dreams]
    frame = pl.DataFrame(rows, schema=MEMORIES)
    return frame.with_columns(detect_languages(frame["content"]).alias("language"))


def _possible(parts: Sequence[Part], dreamt: Dreamt, at: datetime) -> Iterator[Dream]:
    by_role = {role: _weightiest(parts, role) for form in FORMS for role in (form.a, form.b)}
    for form in FORMS:
        for a in by_role[form.a]:
            if dreamt.told_of(form.kind, a.key):
                continue
            for b in by_role[form.b]:
                near = a.sessions & b.sessions or a.key & b.key
                if not near and not dreamt.told_of(form.kind, b.key):
                    yield Dream(form, a, b, at, _score(a, b, dreamt, at))


def _weightiest(parts: Sequence[Part], role: str) -> list[Part]:
    """The weightiest parts of a role, one a thing."""
    ordered = sorted(
        (part for part in parts if part.role == role),
        key=lambda part: (-part.importance, part.memory_id),
    )
    return list({part.key: part for part in reversed(ordered)}.values())[::-1][:CONSIDERED]


def _score(a: Part, b: Part, dreamt: Dreamt, at: datetime) -> float:
    days = abs((a.last_at - b.last_at) / timedelta(days=1))
    age = max(0.0, (at - min(at, max(a.last_at, b.last_at))) / timedelta(days=1))
    apart = 1 - math.exp(-days / APART_DAYS)
    fresh = math.exp(-age / FRESH_DAYS)
    seldom = 0.5 ** (dreamt.used(a.key) + dreamt.used(b.key))
    mattering = math.sqrt(a.importance * b.importance)
    return mattering * (0.4 + 0.6 * apart) * (0.6 + 0.4 * fresh) * seldom * _chance(a, b, at)


def _chance(a: Part, b: Part, at: datetime) -> float:
    """0.9 to 1.1, ever the same for the same two and the same moment."""
    named = f"{a.memory_id}{b.memory_id}{at.isoformat()}".encode()
    drawn = hashlib.md5(named, usedforsecurity=False).digest()[0]
    return 0.9 + 0.2 * drawn / 255


def _memory(dream: Dream, content: str, by: str, about: str) -> dict[str, Any]:
    sources = sorted({dream.a.memory_id, dream.b.memory_id})
    goals = [part for part in (dream.a, dream.b) if part.role == "goal"]
    return {
        "memory_id": memory_identity("dream", about, dream.form.kind, "/".join(sources)),
        "type": "dream",
        "kind": dream.form.kind,
        "title": f"{dream.a.phrase} · {dream.b.phrase}",
        "content": content,
        "about": about,
        "people": [about],
        "importance": math.sqrt(dream.a.importance * dream.b.importance),
        "importance_parts": "{}",
        "confidence": 0.0,
        "sessions": 0,
        "first_at": dream.at,
        "last_at": dream.at,
        "status": "active",
        "status_reason": "",
        "pinned": False,
        "origin": "reflected",
        "message_ids": list(dict.fromkeys([*dream.a.message_ids, *dream.b.message_ids])),
        "source_ids": sources,
        "details": json.dumps(
            {
                "phrases": [dream.a.phrase, dream.b.phrase],
                "roles": [dream.a.role, dream.b.role],
                "goal": goals[0].phrase if goals else None,
                "worded_by": by,
                "fulfilled_at": None,
                "fulfilled_by": [],
            },
            ensure_ascii=False,
        ),
    }
