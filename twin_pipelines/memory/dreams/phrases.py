"""The few words of a memory that a dream can be made of, and the part they can play in it.

A memory that says nothing short and self-contained plays none: no dream is better than a garbled
one. Patterns read the normalised sentence (`details.bare`), and the words are handed on as they
were written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.persona.statements.find import content_words
from twin_pipelines.persona.statements.topics import liking_of, thai_topic, topic_key

Role = Literal["goal", "love", "dread", "place", "craft", "kin", "concept"]
LONGEST = 6  # words of an English phrase
LONGEST_CONCEPT = 40  # characters
_GOAL = re.compile(
    r"^(?:i (?:really |also |just |still |do )*(?:want|hope|plan|intend|aim) to|"
    r"i would (?:really )?(?:love|like) to|"
    r"(?:im|i am) (?:really |also |currently )*(?:planning|hoping|saving up|saving|trying) to|"
    r"i(?:ve| have) always (?:wanted|dreamed|dreamt) (?:to|of)|"
    r"my (?:biggest |ultimate |life )?(?:dream|goal|plan) (?:is|has always been|was) to) "
    r"(?P<phrase>(?!be able|have to|get to|know|talk|say|ask|tell|hear|find out|do |make sure|"
    r"get close|work hard)\w+ \w.*)$"
)
_PLACE = re.compile(
    r"^(?:i (?:currently |still |actually |also |now )*live in|"
    r"(?:im|i am) (?:originally |actually |also )*from|i (?:was born|grew up|was raised) in|"
    r"i (?:just |recently )?moved to|"
    r"i come from) (?P<phrase>\w.+)$"
)
_CRAFT = re.compile(
    r"^(?:(?:im|i am) (?:currently |also |still )*(?:studying|majoring in|minoring in)|"
    r"i (?:currently |also )*(?:study|studied|teach|major in|majored in)|"
    r"my (?:major|minor|degree|field) (?:is|was)(?: in)?) (?P<phrase>\w.+)$"
)
_KIN = re.compile(
    r"^(?:i (?:also |only )*have (?:an? |my )?|my )(?:\w+ )?(?P<phrase>mom|mum|mother|dad|father|"
    r"parents|brothers?|sisters?|siblings|grandma|grandpa|grandparents|wife|husband|boyfriend|"
    r"girlfriend|kids|children|sons?|daughters?|cousins?|roommates?|best friend|dogs?|cats?|puppy|"
    r"family)\b"
)
_ENGLISH_END = re.compile(
    r" (?:because|cause|cuz|but|when|if|that|which|who|so|since|though|too|while|where|what|how|i|"
    r"im|ive|you|we|they|he|she|its|haha|lol|and|or|then|after|before|someday|one day|soon|now|"
    r"right now|this|next|last|in (?:the|a|my)|for|at|on|also|just|eventually|again|instead|"
    r"called|growing|"
    r"anyway|actually|currently|originally|is|are|was|were|as|with you)\b.*$"
)
_VAGUE = re.compile(
    r"\b(?:it|that|this|them|those|these|him|her|you|your|stuff|things?|something|anything|there|"
    r"here|one|ones|more|better|so|whats|program|essentially|basically)\b|^be \w+ing\b"
)
_THAI_GOAL = re.compile(
    r"(?<!ไม่)(?<!ไม่ค่อย)(?:อยาก(?:จะ)?|(?:ตั้งใจ|วางแผน|ฝัน)(?:ว่า)?(?:จะ)?)(?P<phrase>.+)$"
)
_THAI_PLACE = re.compile(r"(?:อยู่ที่|อาศัยอยู่|พักอยู่|ย้ายไป|ย้ายมา|มาจาก|เกิดที่)(?:อยู่|ที่)?(?P<phrase>.+)$")
_THAI_CRAFT = re.compile(r"(?:เรียน|สอน|ทำงานเป็น|ทำงานด้าน)(?P<phrase>.+)$")
_THAI_KIN = re.compile(
    r"(?P<phrase>พี่ชาย|พี่สาว|น้องชาย|น้องสาว|แม่|พ่อ|แฟน|สามี|ภรรยา|ลูกชาย|ลูกสาว|ลูก|ครอบครัว|แมว|หมา)"
)
_PAUSE = re.compile(r"\s*(?:[,;:!?()\n…]|(?<=\w{3})\.)")
_LOOSE_END = re.compile(
    r"(?: (?:still|honestly|either|growing|like|to|up|a|an|the|of|in|my|every|every once|right|"
    r"sometimes))+$"
)
_EMPTY = re.compile(
    r"^(?:to .*|playing|feeling|learning|places|writing|reading|working|being|applied|thoughtful|"
    r"doing|talking|perfect|girls|guys|people|school|class|classes|work|life)$"
)
_THAI_HEARD = re.compile(r"[\u0e00-\u0e7f]")
_THAI_VAGUE = re.compile(r"^(?:ได้|รู้|ถาม|บอก|ให้|มี|ทำ|เป็น|คุย|ฟัง|แบบ|นั้น|นี้|มัน)")


@dataclass(frozen=True)
class Part:
    """What one memory can give to a dream."""

    memory_id: str
    role: Role
    phrase: str  # in the words of the memory
    thai: bool
    key: frozenset[str]  # beginnings of its content words
    importance: float
    sessions: frozenset[str]
    first_at: datetime
    last_at: datetime
    valid_until: datetime | None
    message_ids: tuple[str, ...]


def parts_of_memories(memories: pl.DataFrame) -> list[Part]:
    """The parts that memories (MEMORIES) can play, those without any left out, in their order."""
    normal = memories.select(normal_text(pl.col("content")))["content"].to_list()
    parts = []
    for memory, plain in zip(memories.iter_rows(named=True), normal, strict=True):
        details = json.loads(memory["details"])
        bare = details.get("bare") or plain
        found = next(_phrases(memory, bare), None)
        if found is None:
            continue
        role, phrase = found
        written = as_written(phrase, memory["content"])
        written = _LOOSE_END.sub("", _PAUSE.split(written)[0])
        if _EMPTY.match(written.lower()):
            continue
        parts.append(
            Part(
                memory["memory_id"],
                role,
                written,
                _THAI_HEARD.search(phrase) is not None,
                topic_key(normal_words(written)),
                memory["importance"],
                frozenset([str(details.get("session_id") or memory["memory_id"])]),
                memory["first_at"],
                memory["last_at"],
                memory["valid_until"],
                tuple(memory["message_ids"]),
            )
        )
    return parts


def _phrases(memory: dict[str, Any], bare: str) -> Iterator[tuple[Role, str]]:
    """Roles with their phrases, the most fitting first."""
    if memory["origin"] == "imported" and memory["type"] == "knowledge":
        title = memory["title"].strip()
        if 2 < len(title) <= LONGEST_CONCEPT and "…" not in title:
            yield "concept", title
        return
    reads = _READS_THAI if _THAI_HEARD.search(bare) else _READS
    for role, kinds, read in reads:
        if (memory["kind"] in kinds or memory["origin"] == "imported") and (phrase := read(bare)):
            yield role, phrase


def normal_words(text: str) -> str:
    """One text through `normal_text`."""
    return str(pl.select(normal_text(pl.lit(text))).item())


def as_written(phrase: str, content: str) -> str:
    """The phrase with the letters and apostrophes of the text it was normalised from."""
    letters = [r"['’`]?".join(map(re.escape, word)) for word in phrase.split()]
    found = re.search(r"[\W_]+".join(letters), content, re.IGNORECASE)
    written = " ".join(found.group().split()) if found else phrase
    return re.sub(r"^My\b", "my", written)


def _english(pattern: re.Pattern[str], least: int = 1) -> Callable[[str], str | None]:
    def read(bare: str) -> str | None:
        found = pattern.match(bare)
        if not found:
            return None
        phrase = _ENGLISH_END.sub("", f" {found['phrase']}").strip()
        usable = least <= len(phrase.split()) <= LONGEST and content_words(phrase)
        return phrase if usable and not _VAGUE.search(phrase) and len(phrase) > 2 else None

    return read


def _thai(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def read(bare: str) -> str | None:
        found = pattern.search(bare)
        phrase = thai_topic(found["phrase"]) if found else None
        return phrase if phrase and not _THAI_VAGUE.match(phrase) else None

    return read


def _liked(wanted: bool) -> Callable[[str], str | None]:
    def read(bare: str) -> str | None:
        liking = liking_of(bare)
        return liking.topic if liking and liking.liked == wanted else None

    return read


def _english_kin(bare: str) -> str | None:
    found = _KIN.match(bare)
    return f"my {found['phrase']}" if found else None


def _thai_kin(bare: str) -> str | None:
    found = _THAI_KIN.search(bare)
    return found["phrase"] if found else None


_Read = tuple[Role, tuple[str, ...], Callable[[str], str | None]]
_READS: tuple[_Read, ...] = (
    ("goal", ("Plans and promises", "Work and study"), _english(_GOAL, 2)),
    ("love", ("Likes", "Values and beliefs"), _liked(True)),
    ("dread", ("Dislikes and fears",), _liked(False)),
    ("place", ("Home", "Who I am"), _english(_PLACE)),
    ("craft", ("Work and study",), _english(_CRAFT)),
    ("kin", ("Family and relations",), _english_kin),
)
_READS_THAI: tuple[_Read, ...] = (
    ("goal", ("Plans and promises",), _thai(_THAI_GOAL)),
    ("love", ("Likes", "Values and beliefs"), _liked(True)),
    ("dread", ("Dislikes and fears",), _liked(False)),
    ("place", ("Home", "Who I am"), _thai(_THAI_PLACE)),
    ("craft", ("Work and study",), _thai(_THAI_CRAFT)),
    ("kin", ("Family and relations",), _thai_kin),
)
