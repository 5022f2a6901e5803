"""Preferences and values: would the twin like what the person likes?

Mined from the person's train sentences: what they love, like or believe in, and what they hate or
do not like. Each becomes two forced choices: between liking it and the opposite, worded by
templates and asked in both orders; and between it and what other people like (or hate) instead, its
rivals.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from twin_pipelines.evaluation.personality.sayings import Saying
from twin_pipelines.memory.candidates import STEM
from twin_pipelines.persona.statements import content_words

Language = Literal["en", "th"]
MOST = 40
RIVALS = 3
LONGEST_TOPIC = 5  # words
LONGEST_THAI_TOPIC = 24  # characters
_VERY = (
    r"(?:(?:really|just|also|absolutely|actually|do|did|still|always|honestly|personally|"
    r"definitely|totally|truly|kind of|kinda|mostly|both|even|especially|so|very|super|such|pretty|"
    r"a|an|big|huge|bit|not|too|all) )*?"
)
_LIKED = re.compile(
    rf"^(?:i {_VERY}(?:love|loved|like|liked|enjoy|enjoyed|adore|appreciate|value|believe in|"
    rf"care about) |(?:im|i am) {_VERY}(?:fan of|lover of|obsessed with|into|interested in|"
    r"passionate about|fascinated by|fascinated with|in love with) |my (?:all time )?(?:favou?rite"
    r"(?: \w+){0,2}|passion|hobby) (?:is|are|was) )(?P<topic>.+)$"
)
_DISLIKED = re.compile(
    rf"^(?:i {_VERY}(?:hate|hated|dislike|despise|detest|cant stand|cannot stand|never liked|"
    r"(?:dont|didnt|do not)(?: really| actually| even)* (?:like|enjoy|care for|believe in|"
    rf"care about)) |(?:im|i am) {_VERY}(?:not {_VERY}(?:fan of|into|interested in)|afraid of|"
    r"scared of|terrified of) |my (?:biggest |greatest |worst )(?:fear|pet peeve) is )"
    r"(?P<topic>.+)$"
)
_DENIED = re.compile(r"\b(?:not|never|dont|didnt)\b")
_THAI_DISLIKED = re.compile(r"(?:ไม่(?:ค่อย)?ชอบ|เกลียด|รำคาญ|เบื่อ)(?P<topic>.+)$")
_THAI_LIKED = re.compile(r"(?<!ไม่)(?<!ไม่ค่อย)(?:ชอบ|หลงรัก|หลงใหล|โปรดปราน)(?P<topic>.+)$")
_THAI_END = re.compile(r"\s|มาก|ที่สุด|เลย|เหมือนกัน|จัง|นะ|ค่ะ|คะ|ครับ|จ้า|เพราะ|แต่|เวลา|ตอน|ด้วย|จริงๆ|อ่ะ")
_TOPIC_END = re.compile(
    r" (?:because|becuase|cause|cuz|like|usually|but|when|if|that|which|who|so|since|even|though|"
    r"too|as|than|while|where|"
    r"what|how|i|im|ive|you|we|it|its|they|a lot|lots|in general|most|more|better|"
    r"all|is|are|was|though|then|also|lol|haha|sometimes|especially|now|or|and|just|"
    r"however|after|before|very|really|generally|quite|much)\b.*$"
)
_CONTEXT_BOUND = re.compile(
    r"^(?:our|it|that|this|them|those|these|him|her|you|how|what|when|where|why|who|the|their|his|your|"
    r"its|talking|chatting|hearing|knowing|thinking|both|all|one|ones|either|more|most|to (?:see|"
    r"know|think|hear|say|have|be|do|get|go|make|ask)|me|us|my|people|things|stuff|some|any|"
    r"another|other|others|mine|yours|everything|anything|something|each|every|when|if|as|being "
    r"able|having|getting|doing|seeing|going|there|like|not|just|about|of|in|on|to)\b"
)
_POINTING = re.compile(r"\b(?:it|them|they|he|she|him|her|that|this|those|these|you|your|there)\b")
_LOOSE_END = re.compile(
    r"(?: (?:to|of|in|on|at|for|with|from|about|the|a|an|my|up|out|into|by|over|there|here|too|"
    r"again|only|is))+$"
)
_KINDS = frozenset(
    [
        "kind",
        "way",
        "part",
        "idea",
        "thing",
        "things",
        "time",
        "times",
        "way",
        "lot",
        "bit",
        "ones",
        "one",
        "fact",
    ]
)


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
    if match := _DISLIKED.match(said.bare):
        liked = False
    elif (match := _LIKED.match(said.bare)) and not _DENIED.search(
        said.bare[: match.start("topic")]
    ):
        liked = True
    else:
        return _thai_preference(said)
    topic = english_topic(match["topic"])
    return Preference(topic, liked, "en", said.text, (said.session_id,)) if topic else None


def english_topic(words: str) -> str | None:
    """The topic at the beginning of what follows a verb of liking; None when there is none."""
    topic = re.sub(r"^(?:the idea of|listening to|the concept of) ", "", words)
    if _CONTEXT_BOUND.match(topic):
        return None
    topic = _LOOSE_END.sub("", _TOPIC_END.sub("", topic))
    parts = topic.split()
    if not 1 <= len(parts) <= LONGEST_TOPIC or _POINTING.search(topic):
        return None
    if parts[-1] in _KINDS or not content_words(topic) or len(topic) < 3:
        return None
    return topic


def topic_key(topic: str) -> frozenset[str]:
    """Beginnings of the topic's content words."""
    return frozenset(word[:STEM] for word in content_words(topic)) or frozenset([topic])


def _thai_preference(said: Saying) -> Preference | None:
    match, liked = _THAI_DISLIKED.search(said.bare), False
    if not match:
        match, liked = _THAI_LIKED.search(said.bare), True
    if not match:
        return None
    topic = _THAI_END.split(match["topic"].strip())[0].strip()
    if not 2 <= len(topic) <= LONGEST_THAI_TOPIC or topic in ("มัน", "นี้", "แบบนี้", "อันนี้"):
        return None
    return Preference(topic, liked, "th", said.text, (said.session_id,))


def _nearest(topic: str, pool: Iterable[str]) -> tuple[str, ...]:
    """Topics of like length, among equals by a hash; none where there are too few."""
    length = len(topic.split())
    ranked = sorted(pool, key=lambda one: (abs(len(one.split()) - length), _hash(f"{topic}/{one}")))
    return tuple(ranked[:RIVALS]) if len(ranked) >= RIVALS else ()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
