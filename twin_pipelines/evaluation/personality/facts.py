"""Facts about self: questions whose answers the history holds.

Mined from the person's train sentences by `slots`. A question has every answer the person gave; one
of them, the most often given, stands in a forced choice against distractors: what other
people or the person said in the same pool, never anything that shares a word with an answer.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from twin_pipelines.evaluation.personality.sayings import Saying
from twin_pipelines.evaluation.personality.slots import SLOTS, THAI_SLOTS, Slot
from twin_pipelines.persona.statements.find import content_words
from twin_pipelines.persona.statements.topics import STEM

MOST = 30
DISTRACTORS = 3
LONGEST_ANSWER = 4  # words
_END = re.compile(
    r" (?:because|becuase|cause|cuz|but|when|if|that|which|who|so|since|though|too|as|than|while|"
    r"where|what|how|i|im|ive|you|we|it|its|they|a lot|is|are|was|were|then|also|lol|haha|now|"
    r"or|and|just|right now|for|with|until|after|before|at the|last|this|next|every|on|about|most|"
    r"all|my|by|during|one day|actually|though|at|in general|as well|again|over|once|once|"
    r"doing|today|usually|like)\b.*$"
)
_NO_ANSWER = re.compile(
    r"^(?:it|that|this|them|those|these|him|her|you|there|here|out|in|on|a|the|an|one|all|both|"
    r"some|to|too|so|not|no|what|how|when|where|their|his|your|people|things|something|someone|"
    r"anything|everything|other|another|more|most|same|with|around|being|having|getting|going|"
    r"doing|just|really|very|always|back|way|idea|me|my|time|like)$"
)
_ADVERB = re.compile(r"^(?:definitely|probably|actually|the actual|currently|mostly|still) ")
_LEADING = re.compile(r"^(?:in|at|from|of|about|with|so|right|different|whats|the best|as|by|to)\b")
_PLACE = re.compile(
    r"^(?!an? )(?!the (?!south|north|east|west|us|uk|usa|states|netherlands|philippines|bahamas|"
    r"country|coast|midwest|city|bay|caribbean|dominican)).+"
)
_VAGUE = re.compile(
    r"^(?:some|many|several|any|a lot|(?:the|an?) (?:latest|movies?|shows?|news|books?|games?|"
    r"videos?|good|new|break|lot|article|whole|same))\b"
)
_VAGUE_KINDS = frozenset(("right now", "part", "thing", "things", "one", "so far", "time"))
_POINTING = re.compile(
    r"\b(?:it|them|they|he|she|him|that|this|those|these|you|your|there|here|their|his|her|i|im|"
    r"going|getting|having|coming|trying)\b"
)
_THAI = re.compile(r"[\u0e00-\u0e7f]")
_THAI_END = re.compile(r"ค่ะ|คะ|ครับ|นะ|จ้า|แล้ว|มาก|เลย|ด้วย|อยู่|และ|แต่")


@dataclass(frozen=True)
class Answer:
    """An answer the person gave to a slot's question, and where."""

    slot: Slot
    kind: str  # what the group `k` of the slot caught
    value: str
    said: Saying


@dataclass(frozen=True)
class FactQuestion:
    """A question about the person, with its answers and what could be mistaken for them."""

    question: str
    answer: str  # a sentence with {v}
    golds: tuple[str, ...]  # the most frequent first
    pool: str
    statement: str  # a sentence of the person that answers it
    sessions: tuple[str, ...]
    distractors: tuple[str, ...] = ()

    @property
    def question_id(self) -> str:
        """Identity of the question, by its words."""
        return f"fact/{hashlib.sha256(self.question.encode()).hexdigest()[:12]}"

    @property
    def choices(self) -> tuple[str, ...]:
        """Sentences to choose from, the true one first."""
        return tuple(self.answer.replace("{v}", value) for value in self._values)

    @property
    def _values(self) -> tuple[str, ...]:
        return (self.golds[0], *self.distractors)

    def answered_by(self, text: str) -> bool:
        """Whether a text holds one of the answers: all its content words, or the whole answer."""
        said = text.lower().replace("'", "").replace("’", "")
        words = _stems(said)
        return any(
            gold in said if _THAI.search(gold) else bool(_stems(gold)) and _stems(gold) <= words
            for gold in self.golds
        )


def answers(said: Sequence[Saying]) -> list[Answer]:
    """Every answer to a slot's question in the sayings, in order."""
    found = []
    for one in said:
        slots = THAI_SLOTS if _THAI.search(one.bare) else SLOTS
        for slot in slots:
            match = slot.pattern.match(one.bare) or (
                slot.pattern.search(one.bare) if slots is THAI_SLOTS else None
            )
            if not match:
                continue
            value = answer_value(_caught(match, "v"))
            kind = _caught(match, "k")
            if value and kind not in _VAGUE_KINDS and (slot.pool != "place" or _PLACE.match(value)):
                found.append(Answer(slot, kind, value, one))
            break
    return found


def answer_value(words: str) -> str | None:
    """The answer at the beginning of what a pattern caught; None where it alone says nothing."""
    if _THAI.search(words):
        value = _THAI_END.split(words)[0].strip()
        return value if 2 <= len(value) <= 24 else None
    value = _ADVERB.sub("", _END.sub("", words).strip())
    parts = value.split()
    if not parts or len(parts) > LONGEST_ANSWER or _NO_ANSWER.match(value):
        return None
    if (
        _VAGUE.match(value)
        or _POINTING.search(value)
        or _LEADING.match(value)
        or not _stems(value)
        or _NO_ANSWER.match(parts[-1])
    ):
        return None
    return value


def questions(said: Sequence[Saying], most: int = MOST) -> list[FactQuestion]:
    """At most `most` questions the sayings answer, those answered in most sessions first."""
    grouped: dict[str, list[Answer]] = {}
    for one in answers(said):
        grouped.setdefault(one.slot.question.replace("{k}", one.kind), []).append(one)
    made = [_question(words, group) for words, group in grouped.items()]
    made.sort(key=lambda one: (-len(one.sessions), one.question_id))
    return made[:most]


def with_distractors(
    asked: Sequence[FactQuestion], said: Sequence[Saying], others: Iterable[Sequence[Saying]]
) -> list[FactQuestion]:
    """The questions with distractors; those without enough are left out.

    Distractors are what `others` said of the same pool, then what the person said of it in answer
    to another question.
    """
    own = Counter((one.slot.pool, one.value) for one in answers(said))
    foreign = Counter((one.slot.pool, one.value) for person in others for one in answers(person))
    kept = []
    for one in asked:
        forbidden = set().union(*map(_stems, one.golds))
        pool = [
            *_ordered(one, (value for kind, value in foreign if kind == one.pool)),
            *_ordered(one, (value for kind, value in own if kind == one.pool)),
        ]
        chosen = [value for value in dict.fromkeys(pool) if not _stems(value) & forbidden]
        if len(chosen) >= DISTRACTORS:
            kept.append(replace(one, distractors=tuple(chosen[:DISTRACTORS])))
    return kept


def _question(words: str, group: Sequence[Answer]) -> FactQuestion:
    """One question; its first gold is the answer of most sessions, then the earliest."""
    spoken = Counter(one.value for one in {(a.value, a.said.session_id): a for a in group}.values())
    golds = tuple(spoken)
    best = max(golds, key=lambda value: (spoken[value], -golds.index(value)))
    first = next(one for one in group if one.value == best)
    return FactQuestion(
        question=words,
        answer=first.slot.answer.replace("{k}", first.kind),
        golds=(best, *(gold for gold in golds if gold != best)),
        pool=first.slot.pool,
        statement=first.said.text,
        sessions=tuple(dict.fromkeys(one.said.session_id for one in group)),
    )


def _caught(match: re.Match[str], letter: str) -> str:
    groups = match.groupdict().items()
    return next((caught for name, caught in groups if name[0] == letter and caught), "")


def _ordered(question: FactQuestion, values: Iterable[str]) -> list[str]:
    """Of the length of the answer first, then by a hash, so that the choice is not by length."""
    length = len(question.golds[0].split())
    return sorted(
        values,
        key=lambda value: (
            abs(len(value.split()) - length),
            hashlib.sha256(f"{question.question}/{value}".encode()).hexdigest(),
        ),
    )


def _stems(text: str) -> frozenset[str]:
    if _THAI.search(text):
        return frozenset([text])
    kept = content_words(re.sub(r"[^\w\s]", " ", text.lower()))
    return frozenset(word if word.isdigit() else word[: STEM + 1] for word in kept)
