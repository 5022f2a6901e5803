"""Preferences and values: would the twin like what the person likes?

Mined from the person's train sentences: what they love, like or believe in, and what they hate or
do not like. Each becomes two forced choices: between liking it and the opposite, worded by
templates and asked in both orders; and between it and what other people like (or hate) instead, its
rivals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from twin_pipelines.evaluation.personality.sayings import Saying
from twin_pipelines.persona.statements.topics import Language, liking_of, topic_key

MOST = 40
RIVALS = 3


@dataclass(frozen=True)
class Preference:
    """A topic the person likes or dislikes, with the words and the sessions that say so."""

    topic: str
    liked: bool
    language: Language
    said: str
    sessions: tuple[str, ...]
    rivals: tuple[str, ...] = ()

    @property
    def key(self) -> frozenset[str]:
        """By which the same topic is known in other words."""
        return topic_key(self.topic)


def preferences(said: Sequence[Saying], most: int = MOST) -> list[Preference]:
    """At most `most` preferences, of both kinds as evenly as there are.

    What is said in more sessions comes first, then an order by hash. Topics of which both was said
    are left out.
    """
    found: dict[frozenset[str], list[Preference]] = {}
    for one in said:
        preference = preference_of(one)
        if preference:
            found.setdefault(preference.key, []).append(preference)
    merged = [
        Preference(
            group[0].topic,
            group[0].liked,
            group[0].language,
            group[0].said,
            tuple(dict.fromkeys(session for one in group for session in one.sessions)),
        )
        for group in found.values()
        if len({one.liked for one in group}) == 1
    ]
    merged.sort(key=lambda one: (-len(one.sessions), _hash(one.topic)))
    liked = [one for one in merged if one.liked]
    disliked = [one for one in merged if not one.liked]
    fewer = min(len(liked), len(disliked), most // 2)
    kept = max(fewer, most - len(disliked))
    liked = liked[:kept]
    return [*liked, *disliked[: most - len(liked)]]


def with_rivals(
    asked: Sequence[Preference], said: Sequence[Saying], others: Sequence[Sequence[Saying]]
) -> list[Preference]:
    """The preferences with rivals: topics that `others` like, or dislike, as they do this one.

    Of like length, and never a topic the person spoke of in `said`; none where nobody else did.
    """
    known = [one for one in map(preference_of, said) if one]
    own = set().union(*(one.key for one in (*known, *asked)))
    foreign: dict[tuple[bool, str], dict[str, None]] = {}
    for one in (preference_of(saying) for person in others for saying in person):
        if one and not one.key & own:
            foreign.setdefault((one.liked, one.language), {})[one.topic] = None
    return [
        replace(one, rivals=_nearest(one.topic, foreign.get((one.liked, one.language), {})))
        for one in asked
    ]


def preference_of(said: Saying) -> Preference | None:
    """The preference a sentence tells of; None without one, or when its topic is not in it."""
    liking = liking_of(said.bare)
    if liking is None:
        return None
    return Preference(liking.topic, liking.liked, liking.language, said.text, (said.session_id,))


def _nearest(topic: str, pool: Iterable[str]) -> tuple[str, ...]:
    """Topics of like length, among equals by a hash; none where there are too few."""
    length = len(topic.split())
    ranked = sorted(pool, key=lambda one: (abs(len(one.split()) - length), _hash(f"{topic}/{one}")))
    return tuple(ranked[:RIVALS]) if len(ranked) >= RIVALS else ()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
