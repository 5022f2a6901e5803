"""Which of the things somebody said of themselves cannot both be true: the newer one is current.

Two facts conflict when they fill one slot with different values:

- age, relation (single, dating, engaged, married, divorced), liking (a topic liked or disliked) and
  denial (the same words affirmed or denied) hold one value at a time, and the latest said counts.
- home and job may have several answers ("Thailand", "Bangkok"; two jobs), so one replaces another
  only when it was never said before the last time the other was, was not said in one session with
  it, and names nothing of it.

Nothing is forgotten: the older fact keeps the time until which it held and what replaced it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from twin_pipelines.persona.statements.find import content_words
from twin_pipelines.persona.statements.topics import liking_of

DENIED = (
    r"\b(?:not|no|never|none|cannot|(?:do|does|did|is|are|was|were|have|has|had|ca|ai|wo|would|"
    r"could|should)nt)\b|ไม่"
)
WISHED = r"\b(?:want|wish|hope|plan|gonna|going to|will)\b|อยาก|จะ"
PAST = r"\bused to\b|เคย"
OPEN = ("home", "job at", "job as")
TELLING = ("origin", "age", "home", "study", "relation", "job at", "job as")
DENIABLE = ("Who I am", "Family and relations", "Work and study", "Values and beliefs")
LONGEST_NAME = 5  # words
_ADVERBS = r"(?:(?:now|currently|still|actually|also|just|recently|happily|officially|newly) )*"
_AGE = re.compile(
    rf"^(?:im|i am) {_ADVERBS}(\d\d)(?: (?:years|yrs|yo|now|too|as well|and)\b|$)"
    r"|^i (?:just )?turned (\d\d)\b|อายุ\s*(\d\d)(?!\d)"
)
_HOME = re.compile(
    rf"^(?:i {_ADVERBS}live (?:\w+ )?in|i {_ADVERBS}moved (?:\w+ )?to|(?:im|i am) {_ADVERBS}living "
    r"in) (?:the )?(?P<en>.+)$"
    r"|(?<!เคย)(?:อยู่ที่|อาศัยอยู่(?:ที่)?|พักอยู่(?:ที่)?|ย้าย(?:ไป|มา)(?:อยู่)?(?:ที่)?)\s*(?P<th>\S+)"
)
_JOB = re.compile(
    rf"^i {_ADVERBS}work (?:part time |full time )?(?P<how>at|for|as) (?:an? |the )?(?P<en>.+)$"
    r"|(?<!เคย)ทำงาน(?P<thow>เป็น|ที่)\s*(?P<th>\S+)"
)
_ORIGIN = re.compile(
    rf"^(?:(?:im|i am) {_ADVERBS}(?:originally )?from|i come from|i grew up in|i was born in) "
    r"(?:the )?(?P<en>.+)$|(?:มาจาก|เกิดที่|เกิดใน)\s*(?P<th>\S+)"
)
_STUDY = re.compile(
    rf"^(?:i {_ADVERBS}study|(?:im|i am) {_ADVERBS}(?:studying|majoring in)|i major in|"
    r"my (?:major|field) is|(?:im|i am) an? (?=.+ major$)) (?P<en>.+?)(?: major)?$"
    r"|เรียน(?:อยู่)?(?:คณะ|สาขา|เอก|วิชา)\s*(?P<th>\S+)"
)
_RELATION = (
    ("single", r"^(?:im|i am) (?:single)\b|โสด"),
    ("divorced", r"^(?:im|i am) (?:divorced)\b|^i (?:just )?got divorced\b|หย่า(?:แล้ว|กับ)"),
    (
        "married",
        r"^(?:im|i am) (?:married)\b|^i (?:just )?got married\b|^ive been married\b"
        r"|^i have an? (?:\w+ )?(?:wife|husband)\b|แต่งงาน(?:แล้ว|กับ)|มี(?:สามี|ภรรยา)",
    ),
    ("engaged", r"^(?:im|i am) (?:engaged)\b|^i (?:just )?got engaged\b|หมั้น(?:แล้ว|กับ)"),
    (
        "dating",
        r"^(?:im|i am) dating\b|^i have an? (?:\w+ )?(?:boyfriend|girlfriend)\b|มีแฟน",
    ),
)
_RELATIONS = tuple((name, re.compile(form)) for name, form in _RELATION)
_ADVERB = re.compile(rf"^(im|i am|i) {_ADVERBS}")
_PLACE_END = re.compile(
    r" (?:with|but|because|for|since|right|by|near|so|now|when|while|which|where|that|to|too|"
    r"my|as|at|in|on|from|and i|and im|and my|though|lol|haha|currently|during|after|before|about|"
    r"until|again|last|this|if|then)\b.*$"
)
_THAI_END = re.compile(r"(?:ค่ะ|คะ|ครับ|นะ|จ้า|แล้ว|เลย|กับ|ด้วย|เหมือนกัน|อะ|อ่ะ).*$")
_NOWHERE = re.compile(
    r"^(?:a|an|my|his|her|their|our|own|home|here|there|same|dorms?|apartment|house|parents|out|"
    r"different|small|big|little|really|very|with|together|to|one|two|three|"
    r"new (?:place|house|home|apartment|room|town|state|dorm))\b|^(?:กับ|บ้าน|นี่|ที่นี่)"
)
_LIMITING = re.compile(
    r" (?:that|which|who|when|if|while|where|how|what|more|most|as|than|like|for|in|at|on|during|"
    r"with|without|or|until|after|before|from|of|by)\b"
)
_AND_THEN = re.compile(r"\band \w+ed\b")
_DOUBLED = re.compile(r"([bdfgmnprt])\1$")
Value = frozenset[str]


@dataclass(frozen=True)
class Slot:
    """What a fact answers (`name`) and how (`value`: roots of words, or one word of a few)."""

    name: str
    value: Value


def root(word: str) -> str:
    """What is left of an English word without its endings, so that "studying" and "study" are one.

    Plural, past and -ing forms and -er of longer words, by rule; other languages pass unchanged.
    """
    if len(word) < 4 or not word.isascii():
        return word
    if word.endswith("ies"):
        return word[:-2]
    for ending, shortest in (("ing", 6), ("ed", 5), ("ers", 8), ("er", 7)):
        if word.endswith(ending) and len(word) >= shortest:
            stem = word[: -len(ending)]
            return _root_end(_DOUBLED.sub(r"\1", stem))
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return _root_end(word)


def _root_end(stem: str) -> str:
    if stem.endswith("e") and len(stem) >= 4:
        return stem[:-1]
    if stem.endswith("y") and len(stem) >= 4 and stem[-2] not in "aeiou":
        return stem[:-1] + "i"
    return stem


def slots_of(kind: str, bare: str, gist: Sequence[str]) -> list[Slot]:
    """The slots a statement fills; most fill none but that of its own words (`denial`).

    `bare` is the normalised sentence, `gist` its content words, as in `persona.statements.find`.
    """
    found = list(_single(kind, bare))
    if (liking := liking_of(bare)) and not _LIMITING.match(bare.partition(liking.topic)[2]):
        topic = " ".join(sorted({root(word) for word in content_words(liking.topic)}))
        found.append(Slot(f"liking {topic}", _value("liked" if liking.liked else "disliked")))
    if kind in DENIABLE and not found and not re.search(f"{WISHED}|{PAST}", bare):
        denied = re.search(DENIED, bare) is not None
        words = sorted({root(word) for word in gist if not re.fullmatch(DENIED, word)})
        if words:
            name = f"denial {kind} {' '.join(words)}"
            found.append(Slot(name, _value("denied" if denied else "affirmed")))
    return found


def _single(kind: str, bare: str) -> Iterable[Slot]:
    if kind == "Who I am" and (age := _AGE.search(bare)):
        yield Slot("age", _value(next(part for part in age.groups() if part)))
    elif kind == "Who I am" and (origin := _ORIGIN.search(bare)):
        if value := _named(origin["en"], origin["th"]):
            yield Slot("origin", value)
    elif kind == "Home" and (home := _HOME.search(bare)) and not _AND_THEN.search(bare):
        if value := _named(home["en"], home["th"]):
            yield Slot("home", value)
    elif kind == "Work and study" and (study := _STUDY.search(bare)):
        if value := _named(study["en"], study["th"]):
            yield Slot("study", value)
    elif kind == "Work and study" and (job := _JOB.search(bare)):
        how = "as" if job["how"] == "as" or job["thow"] == "เป็น" else "at"
        if value := _named(job["en"], job["th"]):
            yield Slot(f"job {how}", value)
    elif kind == "Family and relations":
        plain = _ADVERB.sub(r"\1 ", bare)
        if relation := next((name for name, form in _RELATIONS if form.search(plain)), None):
            yield Slot("relation", _value(relation))


def _named(english: str | None, thai: str | None) -> Value | None:
    """What a place or an employer is known by; None where it has no name."""
    if english is None:
        name = _THAI_END.sub("", thai or "")
        return _value(name) if len(name) >= 2 and not _NOWHERE.match(name) else None
    name = _PLACE_END.sub("", english)
    if _NOWHERE.match(name) or len(name.split()) > LONGEST_NAME:
        return None
    return frozenset(root(word) for word in content_words(name)) or None


def _value(word: str) -> Value:
    return frozenset([word])


@dataclass(frozen=True)
class Told:
    """One saying of a fact: when, in which session, in which slot and with which value."""

    fact: str
    slot: Slot
    said_at: datetime
    session_id: str


@dataclass(frozen=True)
class Superseded:
    """A fact that ceased to hold when `by` was first said."""

    fact: str
    by: str
    slot: str
    held_from: datetime
    held_until: datetime
    by_from: datetime


CONFLICTS: dict[str, Any] = {
    "memory_id": pl.String,
    "valid_from": pl.Datetime("us", "UTC"),
    "valid_until": pl.Datetime("us", "UTC"),
    "superseded_by": pl.String,
    "slot": pl.String,
}


def conflicts_of(
    told: Sequence[tuple[str, Told]], refused: Callable[[str, str], bool] = lambda _fact, _by: False
) -> pl.DataFrame:
    """Validity of every fact in a conflict (CONFLICTS), the older with what supersedes it.

    `told` are pairs (speaker, saying) in any order; `refused` tells of a fact and another whether
    the owner took it back that the second supersedes the first.
    """
    by_slot: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for about, one in told:
        by_slot[about, one.slot.name].append(one)
    ended: dict[str, Superseded] = {}
    for (_, name), sayings in by_slot.items():
        if name not in ("origin", "study") and len({one.slot.value for one in sayings}) > 1:
            for found in _ended(name, sorted(sayings, key=lambda one: (one.said_at, one.fact))):
                if not refused(found.fact, found.by) and (
                    found.fact not in ended or found.held_until < ended[found.fact].held_until
                ):
                    ended[found.fact] = found
    return _frame(list(ended.values()))


def _frame(ended: list[Superseded]) -> pl.DataFrame:
    since: dict[str, datetime] = {}
    for one in ended:
        since[one.by] = min(one.by_from, since.get(one.by, one.by_from))
    rows: list[tuple[Any, ...]] = [
        (one.fact, one.held_from, one.held_until, one.by, one.slot) for one in ended
    ]
    old = {one.fact for one in ended}
    rows += [(by, start, None, None, "") for by, start in since.items() if by not in old]
    return pl.DataFrame(rows, schema=CONFLICTS, orient="row").sort("memory_id")


def _ended(name: str, sayings: list[Told]) -> Iterable[Superseded]:
    """The facts of one slot that later sayings with another value ended; `sayings` by time."""
    of_fact: dict[str, list[Told]] = defaultdict(list)
    for one in sayings:
        of_fact[one.fact].append(one)
    begun = {fact: own[0].said_at for fact, own in of_fact.items()}
    together = _said_together(sayings) if name in OPEN else set()
    first_of: dict[Value, datetime] = {}
    last_of: dict[Value, datetime] = {}
    for one in sayings:
        first_of.setdefault(one.slot.value, one.said_at)
        last_of[one.slot.value] = one.said_at
    for fact, own in of_fact.items():
        last = own[-1]
        for later in sayings:
            value = later.slot.value
            if later.said_at <= last.said_at or value == last.slot.value or later.fact == fact:
                continue
            if name in OPEN and (
                first_of[value] <= last_of[last.slot.value]
                or (last.slot.value, value) in together
                or value <= last.slot.value
                or last.slot.value <= value
            ):
                continue
            yield Superseded(fact, later.fact, name, begun[fact], later.said_at, begun[later.fact])
            break


def _said_together(sayings: list[Told]) -> set[tuple[Value, Value]]:
    by_session: dict[str, set[Value]] = defaultdict(set)
    for one in sayings:
        by_session[one.session_id].add(one.slot.value)
    return {(a, b) for values in by_session.values() for a in values for b in values if a != b}
