"""From the turns of sessions to pairs: context, the partner's message, the subject's real reply.

Everyone but the subject is the user. The context is what the session held before, within
`settings.context_turns` and an estimated `settings.context_tokens`; a session ends with a long
pause, and no context reaches across one. A reply ends with the day it began on, so that a day's
pairs never change because the next day arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

import polars as pl

from twin_pipelines.foundation.budget import estimated_tokens
from twin_pipelines.instruct.exclusions import with_exclusions
from twin_pipelines.instruct.people import NameMask, has_contact, pseudonym, without_contact
from twin_pipelines.instruct.quality import QUALITY_PARTS, with_quality
from twin_pipelines.settings import Pairs

_MESSAGE = pl.Struct({"role": pl.String, "content": pl.String})
_EXCHANGE_SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "day": pl.Date,
    "source": pl.String,
    "conversation_id": pl.String,
    "session_id": pl.String,
    "partner": pl.String,
    "replied_at": pl.Datetime("us", "UTC"),
    "context": pl.List(_MESSAGE),
    "input": pl.String,
    "reply": pl.String,
    "language": pl.String,
    "message_ids": pl.List(pl.String),
    "words": pl.Int64,
    "contact": pl.Boolean,
    "wait": pl.Float64,
}
PAIR_SCHEMA: dict[str, Any] = {
    **{
        name: kind
        for name, kind in _EXCHANGE_SCHEMA.items()
        if name not in ("words", "contact", "wait")
    },
    "quality": pl.Float32,
    "quality_parts": pl.Struct(dict.fromkeys(QUALITY_PARTS, pl.Float32)),
    "excluded": pl.String,
}


@dataclass(frozen=True)
class Turn:
    """One row of the turns table."""

    id: str
    source: str
    conversation_id: str
    session_id: str
    speaker: str
    text: str
    sent_at: datetime
    ended_at: datetime
    day: date
    place: int
    language: str
    words: int
    raw_ids: list[str]


_TURN_COLUMNS = tuple(Turn.__dataclass_fields__)


def build_pairs(
    turns: pl.DataFrame, subject: str, settings: Pairs, near_duplicate: float
) -> pl.DataFrame:
    """Every reply of the subject to a partner's turn of the same session, as PAIR_SCHEMA.

    `turns` has the columns of `cleaned_messages` and holds whole sessions up to some day. Rows are
    ordered by time. Pairs that may not be trained on are kept, with the reason in `excluded`;
    `near_duplicate` is the Jaccard similarity from which a repeated reply counts as one.
    """
    ordered = turns.sort("session_id", "sent_at", "place").select(_TURN_COLUMNS)
    rows = [
        pair
        for _, session in groupby(map(_turn, ordered.iter_rows()), key=lambda turn: turn.session_id)
        for pair in _session_pairs(list(session), subject, settings)
    ]
    exchanges = pl.DataFrame(rows, schema=_EXCHANGE_SCHEMA, orient="row")
    scored = with_exclusions(with_quality(exchanges), settings, near_duplicate)
    return scored.select(list(PAIR_SCHEMA)).sort("replied_at", "id")


def _turn(row: tuple[Any, ...]) -> Turn:
    return Turn(*row)


@dataclass(frozen=True)
class Run:
    """Turns of one side that follow each other: one message of the chat."""

    role: str
    turns: list[Turn]
    text: str  # as others may see it: without contact data and without names


def _session_pairs(
    turns: Sequence[Turn], subject: str, settings: Pairs
) -> Iterator[dict[str, Any]]:
    """The pairs of one session, whose turns come in order of time."""
    masks = {
        day: NameMask({turn.speaker for turn in turns if turn.day <= day}, subject)
        for day in {turn.day for turn in turns}
    }
    runs = []
    for own, group in groupby(turns, key=lambda turn: turn.speaker == subject):
        run = list(group)
        text = masks[run[-1].day](without_contact(_joined(run)))
        runs.append(Run("assistant" if own else "user", run, text))
    for position in range(1, len(runs)):
        if runs[position].role == "assistant":
            asked = position - 1
            earlier = runs[max(0, asked - settings.context_turns) : asked]
            context = _within(earlier, settings.context_tokens)
            day = runs[position].turns[0].day
            yield _pair(runs[position], runs[asked], context, subject, masks[day])


def _pair(
    run: Run, asked: Run, context: Sequence[Run], subject: str, mask: NameMask
) -> dict[str, Any]:
    first = run.turns[0]
    reply = [turn for turn in run.turns if turn.day == first.day]
    said = _joined(reply)
    used = [turn for part in (*context, asked) for turn in part.turns] + reply
    return {
        "id": first.id,
        "day": first.day,
        "source": first.source,
        "conversation_id": first.conversation_id,
        "session_id": first.session_id,
        "partner": pseudonym(asked.turns[-1].speaker, subject),
        "replied_at": first.sent_at,
        "context": [{"role": part.role, "content": part.text} for part in context],
        "input": asked.text,
        "reply": mask(without_contact(said)),
        "language": _language(turn.language for turn in reply),
        "message_ids": list(dict.fromkeys(raw for turn in used for raw in turn.raw_ids)),
        "words": sum(turn.words for turn in reply),
        "contact": has_contact(said),
        "wait": (first.sent_at - asked.turns[-1].ended_at).total_seconds(),
    }


def _within(earlier: Sequence[Run], budget: int) -> list[Run]:
    """The latest runs that together stay within `budget` tokens; the oldest are cut first."""
    kept: list[Run] = []
    spent = 0.0
    for run in reversed(earlier):
        spent += estimated_tokens(run.text)
        if spent > budget:
            break
        kept.insert(0, run)
    return kept


def _joined(turns: Sequence[Turn]) -> str:
    return "\n".join(turn.text for turn in turns)


def _language(languages: Iterable[str]) -> str:
    """The language of several texts: th+en as soon as both occur; `none` says nothing."""
    found = set(languages) - {"none"}
    if "th+en" in found or {"th", "en"} <= found:
        return "th+en"
    return min(found, default="none")
