"""Questions made up about turns, whose answers are known: what the shipped weights are fitted on.

A question is made of a turn as a person who remembers half of it would ask: in the third person,
some words lost, some said otherwise, now and then with the time, sometimes naming the wrong one of
the two. The turn it was made of is its answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from twin_pipelines.foundation.words import words_of
from twin_pipelines.retrieval.ranking.compounds import is_thai
from twin_pipelines.retrieval.ranking.lexical import STOP_WORDS, terms_of

LEFT_OUT, SAID_OTHERWISE = 0.35, 0.35  # shares of the words that carry meaning
DATED, MISTAKEN = 0.2, 0.25  # shares of the questions
FEWEST_TERMS = 5  # of a sentence a question is made of; of what answers one, one less
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_ASKS_YOU = re.compile(
    r"^\W*(?:what|when|where|why|how|who|which|do|does|did|are|were|have|can|will|would|is)\b.*"
    r"\byour?\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"\b(?:i|my|i'm|im|i've|i'll|i'd|me|we|our)\b", re.IGNORECASE)
_OPENINGS = (
    *("What did {} say about", "When did {}", "Where did {}", "Why did {}", "How did {}"),
    *("What does {} think of", "What happened when {}", "Who was it when {}", "What"),
)
_ASKS_THAI = re.compile(r"\?|ไหม|มั้ย|อะไร|ทำไม|เมื่อไหร่|เมื่อไร|ที่ไหน|ใคร|ยังไง|อย่างไร")
_OWN_THAI = frozenset(["ฉัน", "ผม", "หนู", "เรา", "ดิฉัน", "กู", "ข้า", "ชั้น", "เค้า"])
_OPENINGS_THAI = (
    "{}เล่าอะไรเรื่อง ",
    "{}พูดถึงอะไรตอน ",
    "ตอนไหนที่{} ",
    "ใครคือคนที่{}บอกว่า ",
    "{}คิดยังไงเรื่อง ",
)
# What a sentence tells may be what is asked for: then it is no word of the question.
_TIME = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|last|next|ago|week(?:end)?s?|months?|years?|days?"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|june|july|august"
    r"|september|october|november|december|morning|evening|since|recently|soon|spring|summer"
    r"|autumn|winter|birthday|\d{4}|\d+(?:st|nd|rd|th))\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\b(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|twice|couple|few|several|dozen)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[a-z,'’] )[A-Z][a-z]+")
_ASKED_FOR: tuple[tuple[re.Pattern[str], int, tuple[str, ...]], ...] = (  # sign, how often, words
    (_TIME, 3, ("When did {}", "When was {}", "How long ago did {}")),
    (_NUMBER, 2, ("How many", "How much did {}", "How often does {}")),
    (_NAME, 2, ("Which", "Who did {}", "Where did {}", "What was the name {}")),
)
_THIRD: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), form)
    for pattern, form in (
        (r"\b(?:do|don't) you\b", "does {}"),
        (r"\bare you\b", "is {}"),
        (r"\bhave you\b", "has {}"),
        (r"\bwere you\b", "was {}"),
        (r"\byour\b", "{}'s"),
        (r"\b(?:you|u)\b", "{}"),
    )
)


@dataclass(frozen=True)
class MadeQuestion:
    """A made-up question and the rows of the turns that answer it."""

    text: str
    rows: tuple[int, ...]


def made_questions(
    turns: pl.DataFrame,
    count: int,
    otherwise: Mapping[str, Sequence[str]],
    rng: random.Random,
) -> list[MadeQuestion]:
    """At most `count` questions about turns (views.TURNS) of two speakers, in random order.

    `otherwise` maps lower-case words to words of like meaning.
    """
    rows = turns.to_dicts()
    last: datetime = turns["sent_at"].max()  # type: ignore[assignment]
    names = turns["speaker"].unique(maintain_order=True).to_list()
    found = []
    for place, row in enumerate(rows):
        other = next((name for name in names if name != row["speaker"]), row["speaker"])
        name = other if rng.random() < MISTAKEN else row["speaker"]
        made = _of_thai if is_thai_text(row["text"]) else _of_statement
        asked = [made(row["text"], name, otherwise, rng)]
        before = rows[place - 1] if place else row
        if before["session"] == row["session"] and before["speaker"] != row["speaker"]:
            asked.append(_of_exchange(before["text"], row["text"], name, otherwise, rng))
        found += [
            MadeQuestion(f"{text}{_time_told(row, last, rng)}?", (place,)) for text in asked if text
        ]
    rng.shuffle(found)
    return found[:count]


def _of_statement(
    text: str, name: str, otherwise: Mapping[str, Sequence[str]], rng: random.Random
) -> str:
    """A question about a sentence the speaker said of themselves; empty without one."""
    own = [
        sentence
        for sentence in _SENTENCE.findall(text)
        if not sentence.rstrip().endswith("?")
        and _OWN.search(sentence)
        and len(set(terms_of(sentence))) >= FEWEST_TERMS
    ]
    if not own:
        return ""
    sentence = rng.choice(own).strip(" .!")
    kept = [word for word in sentence.split() if not _OWN.fullmatch(word)]
    ways = [way for way in _ASKED_FOR for _ in range(way[1]) if way[0].search(sentence)]
    way = rng.choice([*ways, None])
    if way:
        hidden = set(way[0].findall(sentence))
        kept = [word for word in kept if word.strip(".,!?;:'") not in hidden]
    opening = rng.choice(way[2] if way else _OPENINGS)
    told = opening.format(name) if "{}" in opening else f"{opening} {name}"
    return f"{told} {half_remembered(kept, otherwise, rng)}"


def is_thai_text(text: str) -> bool:
    """Whether most letters of a text are Thai."""
    letters = [sign for sign in text if sign.isalpha()]
    return 2 * sum(is_thai(sign) for sign in letters) > len(letters)


def _of_thai(
    text: str, name: str, otherwise: Mapping[str, Sequence[str]], rng: random.Random
) -> str:
    """A question about what was said in Thai, word by word; empty about a question or few words."""
    words = words_of(text)
    if _ASKS_THAI.search(text) or len(set(words) - STOP_WORDS) < FEWEST_TERMS:
        return ""
    kept = [word for word in words if word not in _OWN_THAI]
    return rng.choice(_OPENINGS_THAI).format(name) + half_remembered(kept, otherwise, rng)


def _of_exchange(
    question: str, reply: str, name: str, otherwise: Mapping[str, Sequence[str]], rng: random.Random
) -> str:
    """The partner's own question, asked again of the one who answered; empty without one."""
    asked = [
        sentence
        for sentence in _SENTENCE.findall(question)
        if sentence.rstrip().endswith("?")
        and _ASKS_YOU.search(sentence)
        and len(set(terms_of(sentence))) >= 2
    ]
    if not asked or len(set(terms_of(reply))) < FEWEST_TERMS - 1:
        return ""
    text = asked[-1].strip(" ?")
    for pattern, form in _THIRD:
        text = pattern.sub(form.format(name), text)
    return half_remembered(text.split(), otherwise, rng)


def half_remembered(
    words: Sequence[str], otherwise: Mapping[str, Sequence[str]], rng: random.Random
) -> str:
    """The words, of which some that carry meaning are lost and some said otherwise."""
    kept = []
    for word in words:
        plain = word.lower().strip(".,!?;:")
        chance = rng.random()
        if plain in STOP_WORDS or chance > LEFT_OUT + SAID_OTHERWISE:
            kept.append(word)
        elif chance > LEFT_OUT and otherwise.get(plain):
            kept.append(rng.choice(otherwise[plain]))
    return " ".join(kept)


def _time_told(row: Mapping[str, Any], last: datetime, rng: random.Random) -> str:
    """Now and then the time of a turn, as it is told on the last day; else nothing."""
    if rng.random() >= DATED:
        return ""
    sent: datetime = row["sent_at"]
    weeks, months = (last - sent).days // 7, (last.year - sent.year) * 12 + last.month - sent.month
    told = [f" in {sent:%B}", f" in {sent:%B %Y}", f" on {sent.day} {sent:%B}"]
    if months == 1:
        told.append(" last month")
    if 1 <= weeks <= 10:
        told.append(f" {weeks} weeks ago" if weeks > 1 else " last week")
    return rng.choice(told)
