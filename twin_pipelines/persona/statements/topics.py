"""What a liking is about: the topic of "I love …", "ไม่ชอบ…" and their like, English and Thai.

Read from a normalised sentence (`similarity.normal_text`) without its fillers. A topic is a few
words that mean something without the conversation; what points back to it ("I love that") has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from twin_pipelines.persona.statements.find import content_words

Language = Literal["en", "th"]
STEM = 4  # characters of a word that are compared
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
_UNAFRAID = re.compile(rf"^(?:im|i am) {_VERY}not {_VERY}(?:afraid|scared|terrified) of")
_DENIED = re.compile(r"\b(?:not|never|dont|didnt)\b")
_THAI_DISLIKED = re.compile(r"(?:ไม่(?:ค่อย)?ชอบ|เกลียด|รำคาญ|เบื่อ)(?P<topic>.+)$")
_THAI_LIKED = re.compile(r"(?<!ไม่)(?<!ไม่ค่อย)(?:ชอบ|หลงรัก|หลงใหล|โปรดปราน)(?P<topic>.+)$")
_THAI_END = re.compile(
    r"\s(?![a-z0-9])|มาก|ที่สุด|เลย|เหมือนกัน|จัง|นะ|ค่ะ|คะ|ครับ|จ้า|เพราะ|แต่|และ|เวลา|ตอน|ด้วย|"
    r"จริงๆ|"
    r"อ่ะ"
)
_TOPIC_END = re.compile(
    r" (?:because|becuase|cause|cuz|like|usually|but|when|if|that|which|who|so|since|even|though|"
    r"too|as|than|while|where|"
    r"what|how|i|im|ive|you|we|it|its|they|a lot|lots|in general|most|more|better|"
    r"all|is|are|was|though|then|also|lol|haha|sometimes|especially|now|or|and|just|"
    r"however|after|before|very|really|generally|quite|much|either|lately|"
    r"until|to be honest|tbh|honestly|at all|recently)\b.*$"
)
_CONTEXT_BOUND = re.compile(
    r"^(?:our|it|that|this|them|those|these|him|her|you|how|what|when|where|why|who|the|their|"
    r"his|your|"
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
_INCOMPLETE = re.compile(
    r"^(?:taking|making|putting|keeping|giving|bringing|using|trying|getting|having|being|seeing|"
    r"finding|looking|creating|eating)$|^too "
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
class Liking:
    """A topic, whether it is liked, and the language it was said in."""

    topic: str
    liked: bool
    language: Language


def liking_of(bare: str) -> Liking | None:
    """What a sentence says its speaker likes or dislikes; None without a liking, or when its topic
    is not in it. `bare` is normalised and without fillers."""
    if _UNAFRAID.match(bare):
        return None
    if match := _DISLIKED.match(bare):
        liked = False
    elif (match := _LIKED.match(bare)) and not _DENIED.search(bare[: match.start("topic")]):
        liked = True
    else:
        return _thai_liking(bare)
    topic = english_topic(match["topic"])
    return Liking(topic, liked, "en") if topic else None


def english_topic(words: str) -> str | None:
    """The topic at the beginning of what follows a verb of liking; None when there is none."""
    topic = re.sub(r"^(?:the idea of|listening to|the concept of) ", "", words)
    if _CONTEXT_BOUND.match(topic):
        return None
    topic = _LOOSE_END.sub("", _TOPIC_END.sub("", topic))
    parts = topic.split()
    if not 1 <= len(parts) <= LONGEST_TOPIC or _POINTING.search(topic):
        return None
    if (
        _INCOMPLETE.search(topic)
        or parts[-1] in _KINDS
        or not content_words(topic)
        or len(topic) < 3
    ):
        return None
    return topic


def topic_key(topic: str) -> frozenset[str]:
    """Beginnings of the topic's content words."""
    return frozenset(word[:STEM] for word in content_words(topic)) or frozenset([topic])


def thai_topic(words: str) -> str | None:
    """The topic at the beginning of what follows a Thai verb of liking; None when there is none."""
    topic = _THAI_END.split(words.strip())[0].strip()
    if not 2 <= len(topic) <= LONGEST_THAI_TOPIC or topic in ("มัน", "นี้", "แบบนี้", "อันนี้"):
        return None
    return topic


def _thai_liking(bare: str) -> Liking | None:
    match, liked = _THAI_DISLIKED.search(bare), False
    if not match:
        match, liked = _THAI_LIKED.search(bare), True
    topic = thai_topic(match["topic"]) if match else None
    return Liking(topic, liked, "th") if topic else None
