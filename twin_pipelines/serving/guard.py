"""What the twin may not say, and what it must: rules on its answers, whoever writes them.

- Sincerely asked whether somebody talks with a machine, the twin says that it is one; no model is
  asked. A claim to be human is put right while it is told.
- The owner's never-says are taken out.
- Somebody's contact data, account numbers and keys are taken out, unless the one who asks wrote
  them in this chat.

All by rule, in English and Thai, without a database and without waiting. Of a stream only that is
held back which may still become part of something to take out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from twin_pipelines.generation.prompt import Message
from twin_pipelines.persona.never_says import MOST_SPACES, pattern_of
from twin_pipelines.serving.sincerity import asks_for_the_truth

NEVER_SAID = "never-says"
CLAIM = "a claim to be human"
TAKEN_OUT = "…"
SOMEBODY = {"en": "a person", "th": "คนคนหนึ่ง"}
DISCLOSURE = {
    "en": "I am an AI twin of {name}: a computer program that learnt from {name}'s messages. "
    "I am not {name} in person, and no human is writing this.",
    "th": "นี่คือฝาแฝด AI ของ {name} เป็นโปรแกรมคอมพิวเตอร์ที่เรียนรู้จากข้อความของ {name} "
    "ไม่ใช่ {name} ตัวจริง และไม่มีมนุษย์เป็นคนพิมพ์ข้อความนี้",
}
PRIVATE = {"en": "[private]", "th": "[ข้อมูลส่วนตัว]"}
HELD = 120  # characters of a run that may become an address or a number
_MACHINE = ("a bot", "a robot", "an ai", "a machine", "a chatbot", "a computer program")
_CLAIMS = (
    *(
        f"{am} {what}"
        for am in ("i'm not", "i am not", "im not", "i'm no", "i am no")
        for what in (*_MACHINE, "ai", "bot", "robot", "machine")
    ),
    *(
        f"{am} {what}"
        for am in ("i'm", "i am", "im")
        for what in ("a real human", "a human being", "a real person", "an actual person")
    ),
    *(
        f"{me}{what}"
        for me in ("ฉัน", "ผม", "เรา", "หนู")
        for what in ("ไม่ใช่บอท", "ไม่ใช่ ai", "ไม่ใช่หุ่นยนต์", "เป็นคนจริง ๆ", "เป็นคนจริงๆ", "เป็นมนุษย์")
    ),
)
_PUT_RIGHT = {"en": "I am an AI twin", "th": "นี่คือฝาแฝด AI"}
_THAI = re.compile("[\u0e00-\u0e7f]")
_DATE = r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})"
_NOBODYS = re.compile(rf"{_DATE}(?:[ -]+{_DATE})*(?: \d{{1,2}})?|(?:0|[1-9]\d{{0,2}})\.\d+")
_RULES = (
    ("an e-mail address", re.compile(r"[A-Za-z0-9_.+%-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")),
    (
        "a secret key",
        re.compile(
            r"(?<![\w-])(?:(?:sk|pk|rk|ghp|gho|xox[abp]|hf|api|key)[-_][A-Za-z0-9_-]{12,}"
            r"|AKIA[0-9A-Z]{12,}|eyJ[A-Za-z0-9_-]{16,}(?:\.[A-Za-z0-9_-]+)*)",
        ),
    ),
    (
        "a bank account number",
        re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
    ),
    ("a number of somebody's", re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()./-]{0,2}\d){8,18}(?!\w)")),
)
_RUN_ENDS = (
    re.compile(r"[A-Za-z0-9._%+@-]+$"),
    re.compile(r"(?:[A-Z]{2}\d{2}[A-Z0-9 ]*|[+(]{0,2}(?:\d[ ()./+-]*)+|\+?\()$"),
)


@dataclass(frozen=True)
class Rules:
    """What holds at the moment: what the twin is called, and what it never says."""

    name: str = ""
    never: tuple[str, ...] = ()


class Guard:
    """Answers what must be answered by rule, and watches over the words of every other answer."""

    def __init__(self, rules: Callable[[], Rules]) -> None:
        self._rules = rules

    def disclosure(self, messages: Sequence[Message]) -> str:
        """That it is an AI twin, where the last message sincerely asks; else empty."""
        asked = messages[-1]["content"] if messages else ""
        if not messages or messages[-1]["role"] != "user" or not asks_for_the_truth(asked):
            return ""
        language = _language(asked)
        return DISCLOSURE[language].format(name=self._rules().name or SOMEBODY[language])

    def watch(self, messages: Sequence[Message]) -> Watch:
        """Watches over one answer to these messages."""
        said = [part["content"] for part in messages if part["role"] == "user"]
        return Watch(self._rules().never, said)


class Watch:
    """Sees one answer while it is told; `changed` says what was taken out of it, in words."""

    def __init__(self, never: Sequence[str], said: Sequence[str]) -> None:
        self.changed: list[str] = []
        self._phrases = tuple(never)
        self._known = _bare(" ".join(said))
        self._language = _language(said[-1]) if said else "en"
        self._held = ""
        self._before = ""  # the last character told, for the edges of words

    def feed(self, piece: str) -> str:
        """Take more of the answer; returns what may be told now, often less, later more."""
        self._held += piece
        return self._settle(last=False)

    def rest(self) -> str:
        """What is still to be told once the answer is whole."""
        return self._settle(last=True)

    def whole(self, text: str) -> str:
        """An answer that is there at once."""
        return self.feed(text) + self.rest()

    def _settle(self, *, last: bool) -> str:
        told = []
        while True:
            text = self._before + self._held
            began = len(self._before)
            hold = len(text) if last else self._hold(text, began)
            found = min(self._found(text, began), default=None)
            if found is None or found[0] >= hold or not (last or found[1] <= hold):
                until = min(hold, found[0]) if found else hold
                told.append(self._tell(text[began:until]))
                return "".join(told)
            start, end, why, instead = found
            told += [self._tell(text[began:start]), instead]
            self._held = text[end:]
            self._before = instead[-1:]
            if why not in self.changed:
                self.changed.append(why)

    def _tell(self, text: str) -> str:
        self._held = self._held[len(text) :]
        self._before = text[-1:] or self._before
        return text

    def _found(self, text: str, began: int) -> Iterator[tuple[int, int, str, str]]:
        """The first finding of each rule: where, until where, what, and what stands there then."""
        for why, phrases, instead in (
            (CLAIM, _CLAIMS, _PUT_RIGHT[self._language]),
            (NEVER_SAID, self._phrases, TAKEN_OUT),
        ):
            pattern = pattern_of(phrases)
            if pattern and (match := pattern.search(text, began)):
                yield match.start(), match.end(), why, instead
        for why, pattern in _RULES:
            for match in pattern.finditer(text, began):
                if not self._may_tell(match[0]):
                    yield match.start(), match.end(), why, PRIVATE[self._language]
                    break

    def _may_tell(self, found: str) -> bool:
        """Whether the user wrote it themselves, or it is a date or a fraction."""
        return _bare(found) in self._known or _NOBODYS.fullmatch(found) is not None

    def _hold(self, text: str, began: int) -> int:
        """From where on the text may still become part of something to take out."""
        hold = len(text)
        for ending in _RUN_ENDS:
            run = ending.search(text, max(began, len(text) - HELD))
            hold = min(hold, run.start()) if run else hold
        beginnings, longest = _beginnings((*_CLAIMS, *self._phrases))
        for start in range(len(text) - 1, max(began, len(text) - longest) - 1, -1):
            if _plain(text[start:]) in beginnings:
                hold = min(hold, start)
        return hold


@lru_cache(maxsize=64)
def _beginnings(phrases: tuple[str, ...]) -> tuple[frozenset[str], int]:
    """Every beginning of the phrases, themselves among them, and how far back one may reach."""
    plain = [_plain(phrase) for phrase in phrases]
    starts = {one[:end] for one in plain for end in range(1, len(one) + 1)}
    spaced = {f"{start} " for start in starts if not start.endswith(" ")}
    longest = max((len(one) + MOST_SPACES * (one.count(" ") + 1) for one in plain), default=0)
    return frozenset(starts | spaced), longest


def _plain(text: str) -> str:
    """Small letters, plain apostrophes, one space for every run of them."""
    return re.sub(r"\s+", " ", re.sub("[’‘`]", "'", text)).lower()


def _bare(text: str) -> str:
    """What tells one address or number from another: letters and digits alone."""
    return re.sub(r"[^\w@]", "", text).lower()


def _language(text: str) -> str:
    return "th" if _THAI.search(text) else "en"
