"""Which situation a partner's message makes, and what a reply looks like: documented rules.

Situations, the first that fits: *conflict* (reproach, disagreement, anger), *emotion* (the partner
tells of a feeling), *joke* (laughter, teasing), *greeting* (a short message that greets or takes
leave), *question* (asks something), *other*. English and Thai.

Of a reply are seen: *initiative* (asks back: its last line asks, it asks earlier, it does not ask),
*questions* and *exclamations* (none, one, more), *length* (words), *emoji* (emoji or emoticon),
*laughter*, and *opening* (which of the person's commonest first words, or another).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats
from twin_pipelines.persona.replies.situations import GREETING, JOKE, QUESTION

SITUATIONS = ("conflict", "emotion", "joke", "greeting", "question", "other")
OPENINGS = 8
LENGTHS = (3, 6, 10, 16, 26)  # upper bounds of all buckets but the last, in words
_CONFLICT = re.compile(
    r"\b(?:you(?:'re| are) (?:wrong|lying|mean|rude|annoying)|i disagree|that's not true|"
    r"(?:that|this) is (?:wrong|unfair|ridiculous)|stop (?:it|that)|shut up|how dare|"
    r"(?:mad|angry|upset) (?:at|with) you|your fault|don't believe you|leave me alone|"
    r"wtf|fight(?:ing)? with me)\b|โกรธ|โมโห|ไม่พอใจ|ไม่เห็นด้วย|น้อยใจ|โกหก",
    re.IGNORECASE,
)
_EMOTION = re.compile(
    r"\b(?:i(?:'m| am| was| feel| felt|'ve been)(?: \w+){0,2} (?:sad|happy|excited|scared|"
    r"afraid|stressed|lonely|nervous|proud|grateful|thankful|anxious|depressed|worried|"
    r"jealous|tired|exhausted|overwhelmed|frustrated|homesick|sick|bored|upset)|i miss|"
    r"i cried|breaks my heart|so hard for me|stress(?:ful|ing)|i (?:really )?(?:love|hate) "
    r"(?:my|this|it when)|omg|aw{2,}|yay+|ugh+|so (?:sad|happy|excited|proud|tired)|"
    r"that(?:'s| is)(?: so| really)? (?:sad|exciting|scary|terrible|awful))\b|:'?\("
    r"|เสียใจ|เศร้า|เหงา|เครียด|กังวล|ดีใจ|มีความสุข|คิดถึง|เหนื่อย|กลัว|ท้อ"
    r"|😢|😭|🥺|💔",
    re.IGNORECASE,
)
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("conflict", _CONFLICT),
    ("emotion", _EMOTION),
    ("joke", JOKE),
    ("greeting", GREETING),
    ("question", QUESTION),
)
_LAUGHTER = re.compile(
    r"\ba?(?:ha){2,}h?\b|\b(?:he){2,}\b|\blo+l\b|\blmao\b|555+|😂|🤣", re.IGNORECASE
)
_EMOJI = re.compile(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]|[:;=]-?[)(DPpO/]|<3|\bxD\b|\^\^")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_THAI = re.compile(r"[\u0e00-\u0e7f]+")
_GREETING_WORDS = 12  # a longer message only begins with a greeting


def situation(message: str) -> str:
    """The situation that a partner's message makes, one of SITUATIONS."""
    for name, rule in _RULES:
        if rule.search(message) and (name != "greeting" or len(message.split()) <= _GREETING_WORDS):
            return name
    return "other"


def common_openings(replies: Sequence[str], most: int = OPENINGS) -> tuple[str, ...]:
    """The person's commonest first words, in lower case: how their replies like to begin."""
    first = Counter(filter(None, map(_opening, replies)))
    return tuple(
        word for word, _ in sorted(first.items(), key=lambda one: (-one[1], one[0]))[:most]
    )


class ReplyFeatures:
    """Turns replies into rows of 0 and 1: one bucket of every feature."""

    def __init__(self, openings: Sequence[str]) -> None:
        self.openings = tuple(openings)
        sizes = [3, 3, 3, len(LENGTHS) + 1, 2, 2, len(self.openings) + 1]
        self.starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.width = int(sum(sizes))

    def rows(self, replies: Sequence[str]) -> Floats:
        """One row a reply (replies, width)."""
        table = np.zeros((len(replies), self.width))
        for row, reply in zip(table, replies, strict=True):
            row[self.starts + np.array(self._buckets(reply))] = 1
        return table

    def _buckets(self, reply: str) -> list[int]:
        questions = len(re.findall(r"[?？]+", reply)) or int(bool(QUESTION.search(reply)))
        last = (reply.strip().splitlines() or [""])[-1]
        initiative = 2 if QUESTION.search(last) else 1 if questions else 0
        first = _opening(reply)
        known = first in self.openings
        return [
            initiative,
            min(2, questions),
            min(2, len(re.findall(r"!+", reply))),
            int(np.searchsorted(LENGTHS, words_in(reply))),
            int(bool(_EMOJI.search(reply))),
            int(bool(_LAUGHTER.search(reply))),
            self.openings.index(first) if known else len(self.openings),
        ]


def words_in(text: str) -> int:
    """Words of a text; Thai counts four characters as one."""
    thai = sum(len(run) for run in _THAI.findall(text))
    return len(_WORD.findall(_THAI.sub(" ", text))) + -(-thai // 4)


def _opening(reply: str) -> str:
    found = _WORD.search(reply.lower())
    return found.group()[:12] if found else ""
