"""Conversations and questions of a file in LoCoMo's own schema.

A. Maharana et al., "Evaluating Very Long-Term Conversational Memory of LLM Agents", ACL 2024.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from twin_pipelines.retrieval.ranking.views import TURNS
from twin_pipelines.settings import TwinError

_SESSION = re.compile(r"session_(\d+)")
_TURN_ID = re.compile(r"D(\d+):0*(\d+)")
_TIME = "%I:%M %p on %d %B, %Y"  # 1:56 pm on 8 May, 2023


@dataclass(frozen=True)
class Question:
    """A question, its category id and the turns (normalised ids) that hold its evidence."""

    text: str
    category: int
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Conversation:
    """One conversation: turns (views.TURNS, in order) and what is asked about them.

    `dropped` counts the questions none of whose evidence is a turn of the conversation.
    """

    name: str
    turns: pl.DataFrame
    questions: tuple[Question, ...]
    dropped: int


def read_conversations(files: Sequence[Path]) -> list[Conversation]:
    """All conversations of the files, each file one of them or a list of several.

    Raises TwinError, naming the file and the conversation, when one is not of the schema.
    """
    found = []
    for file in files:
        try:
            held = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = "not found" if isinstance(error, FileNotFoundError) else str(error).rstrip(".")
            raise TwinError(
                f"{file} cannot be read as JSON ({reason}); give a file in LoCoMo's schema."
            ) from error
        for number, sample in enumerate(held if isinstance(held, list) else [held], start=1):
            try:
                found.append(_conversation(sample, f"{file.stem}-{number}"))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise TwinError(
                    f"Conversation {number} of {file} is not in LoCoMo's schema "
                    f"({type(error).__name__}: {error}); it needs `conversation` with session_N "
                    "and session_N_date_time, and `qa` with question, category and evidence."
                ) from error
    if not any(conversation.questions for conversation in found):
        raise TwinError(
            f"No question of {', '.join(map(str, files))} has evidence among its turns, so there "
            "is nothing to measure; give a file whose `qa` names turns by their dia_id."
        )
    return found


def normalised_ids(text: str) -> list[str]:
    """Turn ids of a text in order, without leading zeros: "D8:06; D9:17" gives D8:6 and D9:17."""
    return [f"D{int(session)}:{turn}" for session, turn in _TURN_ID.findall(text)]


def _conversation(sample: Mapping[str, Any], fallback: str) -> Conversation:
    turns = _turns(sample["conversation"])
    known = set(turns["turn"])
    questions = []
    for asked in sample["qa"]:
        told = asked.get("evidence") or []
        ids = normalised_ids(told if isinstance(told, str) else " ".join(map(str, told)))
        evidence = tuple(dict.fromkeys(turn for turn in ids if turn in known))
        questions.append(Question(str(asked["question"]), int(asked["category"]), evidence))
    kept = tuple(question for question in questions if question.evidence)
    name = str(sample.get("sample_id") or fallback)
    return Conversation(name, turns, kept, len(questions) - len(kept))


def _turns(held: Mapping[str, Any]) -> pl.DataFrame:
    sessions = sorted(int(found[1]) for key in held if (found := _SESSION.fullmatch(key)))
    rows = []
    for session in sessions:
        said = held[f"session_{session}"]
        if not said:
            continue
        moment = datetime.strptime(held[f"session_{session}_date_time"].strip(), _TIME)
        for turn in said:
            ids = normalised_ids(turn["dia_id"]) or [turn["dia_id"]]
            text, caption = turn.get("text") or "", turn.get("blip_caption")
            moment_utc = moment.replace(tzinfo=UTC)
            rows.append((ids[0], str(session), turn["speaker"], text, caption, moment_utc))
    if not rows:
        raise ValueError("no session has a turn")
    return pl.DataFrame(rows, schema=TURNS, orient="row")
