"""What one clause says its speaker likes, dislikes, does, values or plans, English and Thai.

Likings and favourites by patterns of their own (`topics` reads what they are about), habits, values
and plans as `statements` finds them. Of questions, hypotheses, quotations and jokes nothing is
learnt, and in Thai, which leaves the speaker unsaid, nothing where somebody else is named before
the verb.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.persona.statements.find import (
    MOST_WORDS,
    StatementFinder,
    content_words,
    patterns,
    split_sentences,
)
from twin_pipelines.persona.statements.topics import english_topic, liking_of, thai_topic

Category = Literal["like", "dislike", "favourite", "habit", "value", "plan"]
CATEGORIES: tuple[Category, ...] = ("like", "dislike", "favourite", "habit", "value", "plan")
_OF_KIND: dict[str, Category] = {
    "Habits and skills": "habit",
    "Values and beliefs": "value",
    "Plans and promises": "plan",
}
LONGEST_KEY = 100  # characters, as the table holds
_KEY_WORDS = 3
_NO_KEY = frozenset(["every", "learning"])
_FEWEST_WORDS = {"habit": 2, "plan": 1}  # of content: "I play" is no habit, "I play chess" is
_PASSING = 0.5  # what a clause about a passing moment counts
_HEDGED = 0.75
# A clause without any of these words can say nothing of the kind.
CUE = (
    r"(?i)\b(?:lov|lik|enjoy|ador|appreciat|valu|believ|care|fan|into|obsess|interested|passion|"
    r"fascinat|favou?rite|prefer|hobb|hat|dislik|despis|detest|stand|fear|afraid|scared|terrified|"
    r"peeve|important|faith|never|always|usually|often|tend|rarely|hardly|every|used to|play|"
    r"speak|plan|hop|want|dream|goal|promise|learning|going to|gonna|intend|will|can|own|drive|"
    r"run|cook|read|writ|sing|swim|hik|ski|collect|volunteer)|ชอบ|รัก|หลง|โปรด|เกลียด|รำคาญ|เบื่อ|"
    r"เชื่อ|นับถือ|สำคัญ|ศรัทธา|ยึดมั่น|สัญญา|ตั้งใจ|วางแผน|ฝัน|อยาก|จะ|มัก|ตื่น|เคย|เล่น|พูด|"
    r"ออกกำลัง"
)
_CLAUSE_END = re.compile(r"[,;:()]\s|\s[-–—]\s|\.{2,}")
_LISTING = re.compile(
    r"(?P<verb>.*\bI (?:\w+ )?(?:love|like|enjoy|hate|dislike|prefer|don'?t like) |.*(?:ชอบ|"
    r"เกลียด))(?P<what>\S.*)$",
    re.IGNORECASE,
)
_NO_ITEM = (
    r"(?!.*\b(?:i|i'm|im|you|it|its|it's|is|are|was|he|she|they|we|but|so|haha|lol|yeah|because|"
    r"then|not|too|though|especially|actually|love|like|hate|enjoy|prefer)\b|ชอบ|เกลียด)"
)
_WORD = r"[\w\u0e00-\u0e7f'-]+"
_ITEM = re.compile(
    rf"{_NO_ITEM}\W*(?:(?:and|or) |และ)?{_WORD}(?: {_WORD}){{0,2}}\W*$", re.IGNORECASE
)
_LAST_ITEM = re.compile(r"\W*(?:(?:and|or) |และ)\S", re.IGNORECASE)
_AND = re.compile(r"^\W*(?:(?:and|or) |และ)", re.IGNORECASE)
_PAIR = re.compile(
    rf"{_NO_ITEM}{_WORD}(?: {_WORD})?(?: and |\s*และ\s*)(?P<second>{_WORD}(?: {_WORD})?)\W*$",
    re.IGNORECASE,
)
_FAVOURITE = re.compile(
    r"^my (?:all time |absolute |personal )?favou?rite (?P<kind>\w+(?: \w+)?) (?:is|was|has to "
    r"be) (?:definitely |probably |still |the |a |an |called )*(?P<value>.+)$"
)
_IS_FAVOURITE = re.compile(
    r"^(?:i think )?(?P<value>(?:\w+ ){1,4})(?:is|are) (?:definitely |still |by far |also )*my "
    r"(?:all time |absolute )?favou?rite (?P<kind>\w+(?: \w+)?)$"
)
_THAI_FAVOURITE = re.compile(
    r"(?P<kind>[\u0e00-\u0e7f]{2,12}?)(?:ที่)?(?:โปรด(?:ปราน)?|(?:ผม|ฉัน|ดิฉัน|หนู|"
    r"เรา)?ชอบ(?:มาก)?ที่สุด)(?:ของ(?:ผม|ฉัน|ดิฉัน|หนู|เรา))?\s*(?:คือ|เป็น|ก็)\s*(?P<value>.+)$"
)
_PREFERRED = re.compile(
    r"^i (?:\w+ )?prefer (?P<value>.+?) (?:over|to|rather than|instead of|than) (?P<other>.+)$"
)
_THAI_PREFERRED = re.compile(r"ชอบ(?P<value>\S+?)มากกว่า(?P<other>\S+)")
_NO_KIND = re.compile(
    r"\b(?:thing|things|part|one|ones|time|way|bit|person|type|kind|guy|i|is|was|so|right|too|"
    r"also|honestly|though|ever|now|lol|haha|of|for|to|in|ones)\b"
)
_VALUED = re.compile(r"^i (?:\w+ ){0,3}?(?:value|believe in|care (?:\w+ )?about)\b")
_PAST_VIEW = re.compile(r"^i (?:\w+ )?(?:didnt|did not|wasnt|never)\b|^i was\b")
_ENDED = re.compile(r"^i used to\b|เคย(?!\S*ไม่)(?=.*แต่|.*เมื่อก่อน)|เมื่อก่อน")
_AGAINST = re.compile(
    r"^i (?:\w+ ){0,2}?(?:never|rarely|hardly|dont|do not|would never)\b|ไม่(?:เคย|ค่อย)?"
)
_SOMEBODY = re.compile(
    r"(?:คุณ|เธอ|มึง|เขา|ใคร|ทุกคน|คนอื่น|พวก|เพื่อน|แฟน|แม่|พ่อ|พี่|น้อง|ลูก|แมว|หมา|ยาย|ตา|"
    r"ผู้ชาย|ผู้หญิง)\s?[^\s]{0,12}?\s?(?:ไม่|ก็|จะ|เลย|ยัง|ค่อย|คง)*(?:ชอบ|รัก|เกลียด|หลง|เบื่อ|"
    r"รำคาญ)"
)
_IN_THAI = re.compile(r"[\u0e00-\u0e7f]")
_THAI_ME = re.compile("|".join(patterns.THAI_ME))
_THAI_MINE = re.compile(f"ของ(?:{'|'.join(patterns.THAI_ME)})")
_HEDGES = re.compile(
    r"\b(?:kind of|kinda|sort of|sorta|a bit|a little|mostly|i think|i guess|usually)\b|ค่อนข้าง|"
    r"นิดหน่อย|คิดว่า"
)
# Of the statements of a kind (English) those that tell of a lasting habit, value or plan.
_LASTING: dict[Category, re.Pattern[str]] = {
    "habit": re.compile(
        r"^(?:i (?:\w+ )?(?:always|usually|never|often|rarely|tend to|hardly ever|used to) "
        r"(?:actually |really |ever |even |just |like )*+(?!\w+ed\b|been|seen|had|heard|done|met|"
        r"got|gotten|made|went|knew|saw|took|felt|broken|broke|chose|said|told|gave|came|found|"
        r"bought|lost|won|ran|wrote|before\b|when\b)|every \w+ i\b|i (?:can |know how to |also |"
        r"still )*(?:play|speak|sing|dance|draw|paint|cook|bake|swim|ski|hike|run|code|knit|sew|"
        r"climb|surf|garden|meditate|pray|collect|volunteer|drink|smoke|drive|own|write|read|go "
        r"to the gym|go running|go hiking|wake up|snowboard)\b(?! (?:some|something|stuff|the|"
        r"about|a|an|from|for|out|into|in|at|on|to|my|up|down|under|when|with)\b)|i(?:ve| have) "
        r"(?:(?:played|lived) (?=.*\b(?:for|since)\b)|always ))"
    ),
    "value": re.compile(
        r"^(?:\w+ (?:is|are) (?:very |really |so |most )?important to me|my (?:faith|religion|"
        r"beliefs?|testimony)\b|i have (?:a )?(?:strong )?(?:faith|testimony)|(?:im|i am) "
        r"(?:against|in favor of|pro)\b|i stand for\b)"
    ),
    "plan": re.compile(
        r"^(?:i (?:really |also |still )*(?:want|plan|hope|intend|dream)(?: to| of| on)\b|(?:i |"
        r"ive |i have )always wanted\b|(?:im|i am) (?:planning (?:on|to)|hoping to|saving (?:up "
        r")?(?:for|to)|training for|learning|going to (?:become|graduate|get married|study|learn|"
        r"move|travel))\b|my (?:\w+ )?(?:dream|goal|plan)(?: \w+)? is\b|i promise (?:to|that|"
        r"you)\b)"
    ),
}
# What points back to the conversation or tells of one event.
_UNTOLD = re.compile(
    r"\b(?:it|them|they|he|she|him|that|this|those|these|you|your|there|here|one day|one$|anyone|"
    r"mine|her|his|their|sometime|make sure|have to|need to|be able to|sign off|go to bed)\b|นั่น|"
    r"นี่|แบบนี้|แบบนั้น"
)
_AFTERTHOUGHT = re.compile(
    r" (?:but|because|cause|cuz|since|so|until|though|although|when i|now|lol|haha)\b.*$|"
    r"\s*(?:แต่|เพราะ|นะ|ค่ะ|คะ|ครับ).*$"
)
_ENDING = re.compile(r"(?<=[a-z]{3})(?:ings?|ers?|es|ed|s|e|y|ies)$")
_LEADING = re.compile(r"^(?:i (?:have |am |was )?|im |ive |my |(?:ดิฉัน|ฉัน|ผม|หนู|เรา)(?:ก็)?)")


@dataclass(frozen=True)
class Stance:
    """One thing a clause says of its speaker.

    `slot` is what two stances about one thing share, `polarity` 1 for and -1 against it, `weight`
    how much the clause counts (0 to 1), `ended` whether it says that this is over.
    """

    category: Category
    slot: str
    key: str
    value: str
    polarity: int
    weight: float
    ended: bool = False


def clauses_of(text: str) -> list[tuple[str, str]]:
    """(sentence, clause) of a turn, for those sentences that may say something lasting."""
    return [
        (sentence, clause)
        for sentence in split_sentences(text)
        if not (patterns.QUESTION.search(sentence) or patterns.ASIDE.search(sentence))
        for clause in _listed(_CLAUSE_END.split(sentence))
    ]


def _listed(clauses: list[str]) -> Iterator[str]:
    """The clauses, and of "I like a, b and c" one for each thing listed."""
    for place, clause in enumerate(clauses):
        yield clause
        found = _LISTING.match(clause)
        if not found:
            continue
        rest = clauses[place + 1 :]
        if rest and _LAST_ITEM.match(rest[-1]) and all(_ITEM.match(item) for item in rest):
            items = [_AND.sub("", item) for item in rest]
        elif pair := _PAIR.match(found["what"]):
            items = [pair["second"]]
        else:
            continue
        yield from (f"{found['verb']}{item}" for item in items)


def normal_clauses(clauses: pl.Series) -> pl.Series:
    """The clauses normalised, as `StanceFinder` wants them."""
    return pl.DataFrame({"text": clauses}).select(normal_text(pl.col("text"))).to_series()


class StanceFinder:
    """Reads the stances of one speaker, who may call themselves by one of `names`."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._statements = StatementFinder(names)
        own = [re.escape(name.lower()) for name in names if len(name) >= 2]
        self._own = re.compile("|".join(own)) if own else None

    def __call__(self, clause: str, normal: str) -> Stance | None:
        """What the clause says; None when it says nothing. `normal` is the clause normalised."""
        if len(normal.split()) > MOST_WORDS or patterns.UNSURE.search(normal):
            return None
        fillers = patterns.FILLERS.match(f"{normal} ")
        bare = normal[fillers.end() :] if fillers else normal
        if self._of_somebody_else(bare):
            return None
        return next(self._stances(clause, normal, bare), None)

    def _stances(self, clause: str, normal: str, bare: str) -> Iterator[Stance]:
        weight = _weight(bare)
        if favourite := _favourite(bare, weight):
            yield favourite
        elif liking := _liking(bare, weight):
            yield liking
        elif told := self._statements(clause, normal):
            category = _OF_KIND.get(told.kind)
            passing = category == "plan" and patterns.PASSING.search(told.bare)
            if category and not passing and _lasts(category, told.bare):
                yield from _told(category, told.bare, weight)

    def _of_somebody_else(self, bare: str) -> bool:
        found = _SOMEBODY.search(bare)
        if not found:
            return False
        said = _THAI_MINE.sub("", found.group())
        return not (_THAI_ME.search(said) or (self._own and self._own.search(said)))


def _favourite(bare: str, weight: float) -> Stance | None:
    found = _FAVOURITE.match(bare) or _IS_FAVOURITE.match(bare)
    thai = None if found else _THAI_FAVOURITE.search(bare)
    if thai:
        kind, value = thai["kind"], thai_topic(thai["value"])
    elif found and not _NO_KIND.search(found["kind"]):
        kind, value = found["kind"], english_topic(re.sub(r"^the ", "", found["value"].strip()))
    else:
        return None
    if not value:
        return None
    return Stance("favourite", f"favourite/{kind}", kind, value, 1, weight)


def _liking(bare: str, weight: float) -> Stance | None:
    preferred = _PREFERRED.match(bare)
    if preferred or (preferred := _THAI_PREFERRED.search(bare)):
        topic = english_topic(preferred["value"]) or thai_topic(preferred["value"])
        if not topic:
            return None
        words = f"{topic} > {preferred['other']}"
        return Stance(
            "like", f"liking/{_joined(content_words(topic) or [topic])}", topic, words, 1, weight
        )
    liking = liking_of(bare)
    if liking is None or _PAST_VIEW.search(bare):
        return None
    polarity = 1 if liking.liked else -1
    category: Category = "like" if liking.liked else "dislike"
    about = "liking"
    if _VALUED.match(bare):
        category, about = "value", "value"
    value = _LEADING.sub("", bare[: bare.find(liking.topic) + len(liking.topic)])
    slot = f"{about}/{_joined(content_words(liking.topic) or [liking.topic])}"
    return Stance(category, slot, liking.topic[:LONGEST_KEY], value, polarity, weight)


def _lasts(category: Category, bare: str) -> bool:
    """Whether a statement tells more than the moment; Thai leaves tense and person unsaid."""
    thai = _IN_THAI.search(bare) is not None
    return not _UNTOLD.search(bare) and (thai or _LASTING[category].match(bare) is not None)


def _told(category: Category, bare: str, weight: float) -> Iterator[Stance]:
    value = _AFTERTHOUGHT.sub("", _LEADING.sub("", bare))
    words = [word for word in content_words(value) if word not in _NO_KEY]
    if len(words) >= _FEWEST_WORDS.get(category, 1) or (words and _IN_THAI.search(value)):
        yield Stance(
            category,
            f"{category}/{_joined(words)}",
            _key(value, words),
            value,
            -1 if category != "plan" and _AGAINST.search(bare) else 1,
            weight,
            ended=category == "habit" and _ENDED.search(bare) is not None,
        )


def _weight(bare: str) -> float:
    passing = _PASSING if patterns.PASSING.search(bare) else 1.0
    return passing * (_HEDGED if _HEDGES.search(bare) else 1.0)


def _key(bare: str, gist: list[str]) -> str:
    """The first words of content; of Thai, the words from the first one on."""
    first = gist[0]
    if first.isascii():
        return " ".join(gist[:_KEY_WORDS])[:LONGEST_KEY]
    return bare[bare.find(first) :].split(maxsplit=1)[0][:24]


def _joined(words: Sequence[str]) -> str:
    """The words in any order and form: "hike", "hikes" and "hiking" are one."""
    return " ".join(sorted({_ENDING.sub("", word) for word in words}))
