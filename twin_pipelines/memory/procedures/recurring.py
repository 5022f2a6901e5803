"""Procedural memories: how the subject does things, learnt from what they did again and again.

*Ways of answering.* For each situation the partner makes, the moves (`persona.replies.moves`) that
the subject makes more often there than elsewhere: by a two-proportion z of
`LEAST_Z` or more, in `LEAST_SESSIONS` sessions or more. They are the steps, in the order in which
they come in the replies. A situation without such moves has no procedure.

*Ways of doing.* What the subject tells step by step ("first …, then …", "ก่อนอื่น … จากนั้น …"), and
what they say they always do when they write code.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from twin_pipelines.features.language import detect_languages
from twin_pipelines.memory.importance import KIND_WEIGHT, weigh
from twin_pipelines.memory.procedures.words import ENGLISH, THAI
from twin_pipelines.memory.records import MEMORIES, memory_identity
from twin_pipelines.memory.suspicion import quarantine
from twin_pipelines.persona.replies.moves import COMMENT, MOVES, moves_of
from twin_pipelines.persona.replies.situations import SITUATIONS, situation
from twin_pipelines.settings import ImportanceWeights

LEAST_Z = 2.5
LEAST_SESSIONS = 3
LEAST_SHARE = 0.05  # of the replies in the situation that make the move
MOST_STEPS = 4
_LONGEST_EXAMPLE, _GOOD_LENGTH = 160, 50  # characters
_FEWEST_STEP_WORDS, _MOST_STEP_WORDS = 2, 15
_THAI = re.compile(r"[\u0e00-\u0e7f]")
_NO_SITUATION = "other"
KINDS = {
    "conflict": "settling a quarrel",
    "sad news": "comforting",
    "good news": "sharing joy",
    "affection": "showing affection",
    "farewell": "parting",
    "greeting": "greeting",
    "code": "coding",
    "request": "helping",
    "question": "answering",
    "thanks": "being thanked",
    "apology": "forgiving",
    "compliment": "being praised",
    "joke": "joking",
    "assent": "going on",
}
DOING, CODING = "way of doing", "coding"
_STEP_MARK = re.compile(
    r"[,.;]?\s*\b(?:and then|but first|first(?: of all|ly)?|then|next|after that|afterwards|"
    r"finally|and finally|lastly|second(?:ly)?|third(?:ly)?)\b,?\s*|(?:ก่อนอื่น|ขั้นแรก|อันดับแรก|"
    r"เริ่มจาก|จากนั้น(?:ก็)?|หลังจากนั้น(?:ก็)?|ต่อมา|แล้วค่อย|สุดท้าย(?:ก็)?)\s*",
    re.IGNORECASE,
)
_FIRST = re.compile(
    r"\bfirst(?: of all|ly)?,? (?:you|just|put|take|make|get|go|open|write|cut|add|mix|heat|"
    r"start)\b|\b(?:you (?:just |can |always |usually )?|i (?:always|usually|normally|like to) "
    r")(?:first|start (?:by|with))\b|ก่อนอื่น|ขั้นแรก|อันดับแรก|เริ่มจาก",
    re.IGNORECASE,
)
_ONCE = re.compile(
    r"\b(?:was|were|had|did|went|got|said|told|came|\w{3,}ed|gonna|yesterday|today|tomorrow)\b|"
    r"เมื่อวาน|เมื่อกี้|วันนี้|พรุ่งนี้",
    re.IGNORECASE,
)
_THEN = re.compile(
    r"\b(?:then|next|after that|afterwards)\b|จากนั้น|หลังจากนั้น|ต่อมา|แล้วค่อย", re.IGNORECASE
)
_CUE = r"(?i)\bfirst|\bstart (?:by|with)|ก่อนอื่น|ขั้นแรก|อันดับแรก|เริ่มจาก|(?m)^\s*(?:1[.)]|step 1|ขั้นที่ 1)"
_NUMBERED = re.compile(r"^\s*(?:\d{1,2}[.)]|step \d+:?|ขั้นที่ \d+)\s*(\S.*)$", re.I | re.MULTILINE)


@dataclass(frozen=True)
class _Move:
    name: str
    cases: int
    share: float
    elsewhere: float
    place: float


def procedures_of(
    replies: pl.DataFrame,
    habits: pl.DataFrame,
    speaker: str,
    name: str,
    weights: ImportanceWeights,
) -> pl.DataFrame:
    """Procedural memories (MEMORIES) of the subject, weightiest first.

    `replies` are theirs (`exchanges.REPLIES`), `habits` their stances of that category
    (`persona.preferences.STANCES`); `name` is how they are called in the words.
    """
    rows = [
        *_ways_of_answering(replies, speaker, name),
        *_told(replies, speaker, name),
        *_coding_habits(habits, speaker, name),
    ]
    if not rows:
        return pl.DataFrame(schema=MEMORIES)
    once = {row["memory_id"]: row for row in rows}
    frame = weigh(pl.DataFrame(list(once.values()), infer_schema_length=None), weights)
    texts = frame["content"]
    filled = frame.with_columns(pl.Series("language", detect_languages(texts), pl.String))
    typed = filled.select(
        pl.col(column).cast(dtype) if column in filled.columns else _default(column, dtype)
        for column, dtype in MEMORIES.items()
    )
    return quarantine(typed).sort(["importance", "memory_id"], descending=[True, False])


def _ways_of_answering(replies: pl.DataFrame, speaker: str, name: str) -> Iterator[dict[str, Any]]:
    made = replies.with_columns(
        pl.Series("moves", [moves_of(reply) for reply in replies["reply"]], pl.List(pl.String))
    )
    everywhere = _counts(made)
    for about in SITUATIONS:
        cases = made.filter(pl.col("situation") == about)
        steps = _steps(cases, everywhere, made.height)
        if about != _NO_SITUATION and steps:
            yield _way_of_answering(about, cases, steps, speaker, name)


def _counts(made: pl.DataFrame) -> dict[str, int]:
    moves = made["moves"].explode(empty_as_null=False)
    return dict(moves.value_counts().iter_rows())


def _steps(cases: pl.DataFrame, everywhere: dict[str, int], whole: int) -> list[_Move]:
    """The moves that these replies make more often than the others do, in their order."""
    here, size = _counts(cases), cases.height
    placed = cases.select("session_id", "moves", pl.col("moves").list.len().alias("length"))
    found = []
    for move in MOVES:
        count, other = here.get(move, 0), everywhere.get(move, 0) - here.get(move, 0)
        if move == COMMENT or _excess(count, size, other, whole - size) < LEAST_Z:
            continue
        with_it = placed.filter(pl.col("moves").list.contains(move))
        if with_it["session_id"].n_unique() < LEAST_SESSIONS or count < LEAST_SHARE * size:
            continue
        places = [
            moves.index(move) / length
            for moves, length in with_it.select("moves", "length").iter_rows()
        ]
        share, usual = count / size, other / max(1, whole - size)
        found.append(_Move(move, count, share, usual, sum(places) / len(places)))
    strongest = sorted(found, key=lambda one: one.elsewhere - one.share)[:MOST_STEPS]
    return sorted(strongest, key=lambda one: (one.place, one.name))


def _excess(count: int, size: int, other: int, others: int) -> float:
    """z of two proportions, count of size against other of others; 0 where there is none."""
    if not size or not others:
        return 0.0
    pooled = (count + other) / (size + others)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / size + 1 / others))
    return (count / size - other / others) / spread if spread else 0.0


def _way_of_answering(
    about: str, cases: pl.DataFrame, steps: Sequence[_Move], speaker: str, name: str
) -> dict[str, Any]:
    names = [step.name for step in steps]
    shown = cases.filter(pl.col("moves").list.set_intersection(names).list.len() > 0)
    example = _example(shown, names)
    wording = THAI if _mostly_thai(shown) else ENGLISH
    words = [wording.step(one.name, one.cases, cases.height, one.elsewhere) for one in steps]
    distinct = sum(1 - step.elsewhere / step.share for step in steps) / len(steps)
    details = {
        "situation": about,
        "steps": [wording.moves[step] for step in names],
        "moves": [
            {
                "move": one.name,
                "cases": one.cases,
                "share": round(one.share, 3),
                "elsewhere": round(one.elsewhere, 3),
            }
            for one in steps
        ],
        "cases": cases.height,
        "example": example,
    }
    row = _row(
        speaker,
        KINDS[about],
        about,
        shown,
        title=wording.title[about],
        content=wording.content(about, name, words, example["reply"]),
        details=details,
    )
    return row | {"specificity": distinct}


def _example(shown: pl.DataFrame, names: Sequence[str]) -> dict[str, str]:
    """The reply that makes most of the steps and little else; of equals one to a short turn."""

    def fits(row: tuple[str, str, list[str]]) -> tuple[int, int, int, str]:
        partner, reply, moves = row
        held = len(set(moves) & set(names))
        return -held, len(moves) - held, len(partner) + abs(len(reply) - _GOOD_LENGTH), reply

    rows = shown.select("partner", "reply", "moves").rows()
    partner, reply, _ = min(rows, key=fits)
    return {"partner": partner[-_LONGEST_EXAMPLE:], "reply": _clipped(reply)}


def _clipped(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST_EXAMPLE else plain[: _LONGEST_EXAMPLE - 1] + "…"


def _mostly_thai(replies: pl.DataFrame) -> bool:
    thai = int(replies["language"].is_in(["th", "th+en"]).sum())
    return thai > replies.height / 2


def _told(replies: pl.DataFrame, speaker: str, name: str) -> Iterator[dict[str, Any]]:
    for row in replies.filter(pl.col("reply").str.contains(_CUE)).iter_slices(1):
        reply = row["reply"].item()
        steps = told_steps(reply)
        if not steps:
            continue
        wording = THAI if _THAI.search(reply) else ENGLISH
        details = {"situation": situation(row["partner"].item()), "steps": steps, "cases": 1}
        key = " / ".join(steps).lower()
        yield _row(
            speaker,
            DOING,
            key,
            row,
            title=steps[0][:60],
            content=wording.told(name, steps),
            details=details,
        )


def told_steps(text: str) -> list[str]:
    """The steps that a text tells in order, two or more; none where it tells no procedure."""
    numbered = [" ".join(step.split()) for step in _NUMBERED.findall(text)]
    if len(numbered) >= 3:
        return numbered
    return next(filter(None, map(_steps_of_line, text.splitlines())), [])


def _steps_of_line(line: str) -> list[str]:
    first = _FIRST.search(line)
    if not first or not _THEN.search(line, first.end()) or "?" in line or _ONCE.search(line):
        return []
    parts = [part.strip(" ,.;!") for part in _STEP_MARK.split(line[first.start() :])]
    steps = [" ".join(part.split()) for part in parts if part]
    sizes = [_words(step) for step in steps]
    fits = all(_FEWEST_STEP_WORDS <= size <= _MOST_STEP_WORDS for size in sizes)
    return steps if len(steps) >= 2 and fits else []


def _words(step: str) -> int:
    return len(step.split()) + len(_THAI.findall(step)) // 6


def _coding_habits(habits: pl.DataFrame, speaker: str, name: str) -> Iterator[dict[str, Any]]:
    about_code = [situation(text) == "code" for text in habits["text"]]
    found = habits.filter(about_code).unique("slot", keep="last", maintain_order=True)
    if found.is_empty():
        return
    steps = found["value"].to_list()
    wording = THAI if _THAI.search(" ".join(steps)) else ENGLISH
    details = {"situation": "code", "steps": steps, "cases": found.height}
    yield _row(
        speaker,
        CODING,
        "habits",
        found,
        title=wording.title["code"],
        content=wording.coding(name, steps),
        details=details,
    )


def _row(
    speaker: str,
    kind: str,
    key: str,
    evidence: pl.DataFrame,
    *,
    title: str,
    content: str,
    details: dict[str, Any],
) -> dict[str, Any]:
    sessions = evidence["session_id"].n_unique()
    messages = evidence["message_ids"].explode(empty_as_null=False).unique().sort()
    return {
        "memory_id": memory_identity("procedural", speaker, kind, key),
        "type": "procedural",
        "kind": kind,
        "title": title,
        "content": content,
        "about": speaker,
        "people": [speaker],
        "self_reference": KIND_WEIGHT["Habits and skills"],
        "repetition": 1 - 2.0 ** (1 - sessions),
        "specificity": None,
        "confidence": sessions / (sessions + 2),
        "sessions": sessions,
        "first_at": evidence["said_at"].min(),
        "last_at": evidence["said_at"].max(),
        "status": "active",
        "status_reason": "",
        "pinned": False,
        "origin": "extracted",
        "message_ids": messages.to_list(),
        "source_ids": [],
        "details": json.dumps(details, ensure_ascii=False),
    }


def _default(column: str, dtype: Any) -> pl.Expr:
    return pl.lit(None, dtype=dtype).alias(column)
