"""What is asked, what may be found, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Kind = Literal["turn", "memory"]


@dataclass(frozen=True)
class Question:
    """Something to look up: its words, the chat it was asked in, and when.

    `turns` are the last turns of the chat before it, oldest first. Relative times ("last summer")
    count from `asked_on`, by default the last day that is indexed.
    """

    text: str
    turns: tuple[str, ...] = ()
    asked_on: date | None = None


@dataclass(frozen=True)
class Filters:
    """What may be found. Each that is empty lets everything through; all of them must hold.

    `since` and `before` bound the time of a turn, or of a memory, whole: nothing that began earlier
    or ended at `before` or later is found. `types` are of memories, and "message" for turns;
    `sources` are of turns. `dreams` finds dreams and nothing else, and without it no dream is
    found. `barred` are sessions of which nothing is found, turn or memory. `telling` leaves out
    turns that only ask.
    """

    kinds: frozenset[Kind] = frozenset()
    speakers: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    since: datetime | None = None
    before: datetime | None = None
    dreams: bool = False
    barred: frozenset[str] = frozenset()
    telling: bool = False


@dataclass(frozen=True)
class Hit:
    """A turn or memory that was found, and why.

    `ref` is the turn's or the memory's id. `message_ids` are the raw messages it rests on, `signs`
    what it was ranked by, name by name (`ranking.features.NAMES`), `boost` what importance and
    recency did to its score. Scores of two questions are not comparable.
    """

    kind: Kind
    ref: str
    text: str
    speaker: str
    type: str
    session_id: str | None
    sent_at: datetime
    ended_at: datetime
    message_ids: tuple[str, ...]
    score: float
    signs: Mapping[str, float]
    boost: float
    importance: float
    imagined: bool
    pinned: bool
    why: str

    @property
    def memory_id(self) -> str | None:
        """The memory's id; None of a turn."""
        return self.ref if self.kind == "memory" else None


@dataclass(frozen=True)
class SessionHit:
    """A session that was found: its turns that answer, in order, and the best one's score."""

    session_id: str
    score: float
    hits: tuple[Hit, ...]
