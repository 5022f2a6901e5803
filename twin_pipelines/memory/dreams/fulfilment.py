"""Whether a dream came true: a later message has to say so, in the words of the dream.

A sentence counts when it tells of something done ("we went to …", "finally …", "ได้ไป…แล้ว"), is
not denied, hoped for or planned, and names what the dream is about. Of a dream with a goal the
deed must fit too: who dreamt of visiting a place must have gone there, not read of it. The subject
speaks for themselves; a partner of half of the sessions or more counts who says "we".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.foundation.words import words_of
from twin_pipelines.memory.extraction.short_term import topic_words
from twin_pipelines.persona.statements.find import split_sentences

STEM = 5  # characters of an English word that are compared
MOST_OF = 0.6  # share of the dream's words a sentence must hold
NEAR = 6  # words after an English deed in which what it was done to is named
MOST_WORDS = 8  # of a dream, the rarest first, where it is told at length
UNFULFILLABLE = ("gratitude", "question")
FULFILMENTS: dict[str, Any] = {
    "memory_id": pl.String,
    "fulfilled_at": pl.Datetime("us", "UTC"),
    "fulfilled_by": pl.List(pl.String),
}
_DEEDS: tuple[tuple[str, str], ...] = (  # verbs of a goal, and how it is told that it was done
    (
        r"go|visit|see|travel|move|live|return|come|ไป|เที่ยว|เห็น|ย้าย|กลับ",
        r"went|visited|saw|travell?ed|moved|been to|arrived|got (?:to|back|here|home)|live in|"
        r"flew|ไป|เที่ยว|เห็น|ย้าย|กลับ|มาถึง|ถึง",
    ),
    (
        r"learn|study|speak|play|master|understand|เรียน|พูด|เล่น|เข้าใจ",
        r"learn(?:ed|t)|studied|passed|mastered|can (?:now|finally|already)|know how|understood|"
        r"(?:now|finally) (?:speak|play)|เรียน|สอบผ่าน|พูดได้|เล่นได้|เข้าใจ",
    ),
    (
        r"get|buy|have|own|adopt|find|win|ซื้อ|มี|ได้|หา|ชนะ",
        r"got|bought|adopted|found|won|have (?:now|finally)|finally have|own|picked up|ซื้อ|มี|ได้|"
        r"เจอ|ชนะ",
    ),
    (
        r"be|become|work|graduate|finish|pass|เป็น|ทำงาน|จบ|สอบ",
        r"am (?:now|finally)|became|graduated|finished|passed|got (?:the|a|my|into|accepted|hired)|"
        r"start(?:ed)? work|im (?:now|finally|officially)|เป็น|ได้งาน|จบ|สอบผ่าน|ผ่าน",
    ),
    (
        r"write|build|make|create|start|open|เขียน|สร้าง|ทำ|เปิด|เริ่ม",
        r"wrote|written|published|built|made|created|started|opened|finished|launched|เขียน|สร้าง|"
        r"ทำ|เปิด|เริ่ม|เสร็จ",
    ),
    (r"marry|propose|engage|แต่งงาน|ขอแต่งงาน", r"married|engaged|proposed|said yes|แต่งงาน"),
)
_FINALLY = r"finally|at last|came true|come true|made it|did it|ในที่สุด|สำเร็จ|เป็นจริง|สมหวัง|สมใจ"
_DONE = re.compile(
    rf"\b(?:i|we|ive|weve|im|were|my|our)\b.*"
    rf"\b(?:{_FINALLY}|{'|'.join(done for _, done in _DEEDS)})\b"
    rf"|(?:{_FINALLY})|ได้.+แล้ว|มาแล้ว|เสร็จแล้ว|เรียบร้อย|ผ่านแล้ว|[ก-๙]แล้ว"
)
_NOT_SO = re.compile(
    r"\b(?:(?:i|we|then) can (?!now|finally|already)|not|never|no|nor|didnt|dont|"
    r"havent|hasnt|wasnt|cant|couldnt|want|wanted|wants|hope|"
    r"hoped|hoping|wish|if|will|would|ill|id|going to|gonna|might|maybe|may|almost|nearly|yet|"
    r"someday|one day|dream|dreams|dreamed|dreamt|plan|plans|planning|supposed|should|someone|"
    r"used to|when i was|as a kid)\b"
    r"|ยังไม่|ไม่ได้|ไม่เคย|อยาก|หวัง|ถ้า|อาจ|เกือบ|ฝันว่า|จะ(?!ๆ)|หรือยัง|ยัง$|วางแผน|ตอนเด็ก"
)
_FINALLY_SAID = re.compile(_FINALLY)
_QUESTION = re.compile(r"[?？]\s*\W*$|(?:ไหม|มั้ย|หรือยัง|รึยัง|เหรอ|หรอ)(?:คะ|ครับ)?\W*$")
_WE = re.compile(r"\b(?:we|weve|our)\b|เรา")
_THAI = re.compile(r"[\u0e00-\u0e7f]")
_LIGHT = (
    "go visit see travel move live return come learn study speak play master understand get buy "
    "have own adopt find win be become work graduate finish pass write build make create start "
    "open marry propose engage want wish hope day future ไป เที่ยว เห็น ย้าย กลับ เรียน พูด เล่น เข้าใจ "
    "ซื้อ มี ได้ หา ชนะ เป็น ทำงาน จบ สอบ เขียน สร้าง ทำ เปิด เริ่ม แต่งงาน ขอ ฝัน วัน"
)


@dataclass(frozen=True)
class _Goal:
    """What would have to be said of one dream."""

    memory_id: str
    words: frozenset[str]
    deed: re.Pattern[str] | None
    since: datetime
    about: str


def find_fulfilments(dreams: pl.DataFrame, turns: pl.DataFrame) -> pl.DataFrame:
    """FULFILMENTS: the first turn after each dream (MEMORIES) that says it came true.

    `turns` has the columns of `cleaned_messages`. What is fulfilled already, and kinds that cannot
    be, are passed over.
    """
    goals = [goal for dream in dreams.iter_rows(named=True) if (goal := _goal(dream))]
    by_word: dict[str, list[_Goal]] = {}
    for goal in goals:
        for word in goal.words:
            by_word.setdefault(word, []).append(goal)
    close = _companions(turns) if goals else frozenset()
    found: dict[str, tuple[datetime, list[str]]] = {}
    for said in _told(turns) if goals else ():
        words = _stems(said["sentence"])
        near = {goal.memory_id: goal for word in words for goal in by_word.get(word, ())}
        for goal in near.values():
            if goal.memory_id not in found and _says(said, words, goal, close):
                found[goal.memory_id] = (said["sent_at"], said["raw_ids"])
    return pl.DataFrame(
        [(memory_id, at, ids) for memory_id, (at, ids) in found.items()],
        schema=FULFILMENTS,
        orient="row",
    )


def _told(turns: pl.DataFrame) -> list[dict[str, Any]]:
    """Sentences that tell of something done, in order of time."""
    done = normal_text(pl.col("text")).str.contains(_DONE.pattern)
    telling = turns.filter(done).sort("sent_at")
    sentences = telling.select(
        "speaker",
        "sent_at",
        "raw_ids",
        pl.Series(
            "sentence", [split_sentences(text) for text in telling["text"]], pl.List(pl.String)
        ),
    ).explode("sentence", empty_as_null=False)
    return [
        said
        for said in sentences.with_columns(
            normal_text(pl.col("sentence")).alias("normal")
        ).iter_rows(named=True)
        if _DONE.search(said["normal"])
        and not _NOT_SO.search(said["normal"])
        and not _QUESTION.search(said["sentence"])
    ]


def _companions(turns: pl.DataFrame) -> frozenset[str]:
    """Who takes part in at least half of the sessions."""
    taking_part = turns.group_by("speaker").agg(pl.col("session_id").n_unique())
    most = turns["session_id"].n_unique() / 2
    return frozenset(taking_part.filter(pl.col("session_id") >= most)["speaker"])


def _says(said: dict[str, Any], words: frozenset[str], goal: _Goal, close: frozenset[str]) -> bool:
    if said["sent_at"] <= goal.since or not _done(said["normal"], goal):
        return False
    together = said["speaker"] in close and _WE.search(said["normal"])
    if said["speaker"] != goal.about and not together:
        return False
    return len(goal.words & words) >= MOST_OF * len(goal.words)


def _done(normal: str, goal: _Goal) -> bool:
    """Whether the deed is told: in English close before what it was done to."""
    if goal.deed is None or _FINALLY_SAID.search(normal):
        return _FINALLY_SAID.search(normal) is not None
    if _THAI.search(normal):
        return goal.deed.search(normal) is not None
    return any(
        goal.words & _stems(" ".join(normal[told.end() :].split()[:NEAR]))
        for told in goal.deed.finditer(normal)
    )


def _goal(dream: dict[str, Any]) -> _Goal | None:
    details = json.loads(dream["details"])
    if details.get("fulfilled_at") or dream["kind"] in UNFULFILLABLE:
        return None
    told = details.get("goal") or (" ".join(details.get("phrases", [])) or dream["title"])
    words = _stems(told) - _stems(_LIGHT)
    if not words or len(words) > MOST_WORDS:
        return None
    aimed = details.get("goal") or dream["origin"] == "imported"
    deed = _deed(told) if aimed else None
    return _Goal(dream["memory_id"], words, deed, dream["first_at"], dream["about"])


def _deed(goal: str) -> re.Pattern[str] | None:
    """How it is told that the goal was reached, by its verb; None: by "finally" alone."""
    first = goal.lower().split()[0] if goal.split() else ""
    for verbs, done in _DEEDS:
        if re.fullmatch(rf"(?:{verbs})(?:ing)?", first):
            return re.compile(rf"\b(?:{done})\b")
        if _THAI.search(first) and re.match(rf"(?:{verbs})", first):
            return re.compile(done)
    return None


def _stems(text: str) -> frozenset[str]:
    """Words that name something: Thai ones whole, others by their beginning."""
    named = topic_words([text])[0] or words_of(text)
    return frozenset(word if _THAI.match(word) else word[:STEM] for word in named)
