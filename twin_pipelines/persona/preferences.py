"""Preferences of everybody who speaks: likes, dislikes, favourites, habits, values and plans.

What was said of one thing is one preference, with every message that says it. Its confidence is
Laplace's rule of succession, (s + 1) / (s + a + 2), for s sessions that say it and a that say the
opposite; a session counts half where it speaks of a passing moment, and less where it is hedged.

When somebody says the opposite, or names another favourite, both are kept: the older one is valid
until the newer was first said, and names it. Said in one breath, both hold, with less confidence.
From a sentence that reads like instructions to a machine (`suspicion`) nothing is learnt.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import polars as pl

from twin_pipelines.persona.statements.stances import (
    CUE,
    LONGEST_KEY,
    Stance,
    StanceFinder,
    clauses_of,
    normal_clauses,
)
from twin_pipelines.persona.statements.suspicion import suspicion

_TIME = pl.Datetime("us", "UTC")
PREFERENCES: dict[str, Any] = {
    "preference_id": pl.String,
    "category": pl.String,
    "preference_key": pl.String,
    "preference_value": pl.String,
    "learned_from": pl.String,
    "confidence": pl.Float64,
    "created_at": _TIME,
    "speaker": pl.String,
    "polarity": pl.Int16,
    "sessions": pl.Int32,
    "last_said_at": _TIME,
    "valid_until": _TIME,
    "contradicted_by": pl.String,
    "message_ids": pl.List(pl.String),
}
STANCES: dict[str, Any] = {
    "speaker": pl.String,
    "session_id": pl.String,
    "said_at": _TIME,
    "text": pl.String,
    "category": pl.String,
    "slot": pl.String,
    "key": pl.String,
    "value": pl.String,
    "polarity": pl.Int16,
    "weight": pl.Float64,
    "ended": pl.Boolean,
    "message_ids": pl.List(pl.String),
}


def find_stances(turns: pl.DataFrame, names: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """What each clause of the turns (`features.turns.TURNS`) says of its speaker, as STANCES.

    `names` are what speakers call themselves besides "I", by speaker.
    """
    said = turns.filter(pl.col("text").str.contains(CUE)).select(
        "speaker",
        "session_id",
        pl.col("sent_at").alias("said_at"),
        pl.col("raw_ids").alias("message_ids"),
        pl.col("text").map_elements(_clauses, return_dtype=pl.List(_CLAUSE)).alias("clauses"),
    )
    clauses = said.explode("clauses", empty_as_null=False).unnest("clauses")
    clauses = clauses.filter(pl.col("clause").str.contains(CUE))
    clauses = clauses.filter([suspicion(text) is None for text in clauses["text"]])
    normal = normal_clauses(clauses["clause"])
    finders: dict[str, StanceFinder] = {}
    stances = []
    for speaker, clause, plain in zip(clauses["speaker"], clauses["clause"], normal, strict=True):
        if speaker not in finders:
            finders[speaker] = StanceFinder((speaker, *names.get(speaker, ())))
        stances.append(finders[speaker](clause, plain))
    return (
        clauses.with_columns(_columns(stances))
        .filter(pl.col("category").is_not_null())
        .select(pl.col(name).cast(dtype) for name, dtype in STANCES.items())
    )


def settled(stances: pl.DataFrame) -> pl.DataFrame:
    """Preferences (PREFERENCES) made of stances (STANCES): one of a thing, contradictions dated."""
    order = ["speaker", "slot", "said_at", "polarity", "value", "session_id"]
    ordered = stances.sort(order).rows(named=True)
    made = [
        one
        for _, about in groupby(ordered, lambda row: (row["speaker"], row["slot"]))
        for one in _contradictions(list(about))
    ]
    rows = pl.DataFrame([one.row() for one in made], schema=PREFERENCES, orient="row")
    return rows.sort(
        ["confidence", "last_said_at", "preference_id"], descending=[True, True, False]
    )


@dataclass
class _Held:
    """One preference under way: all that says it."""

    identity: str
    said: list[dict[str, Any]]
    against: float = 0.0
    valid_until: datetime | None = None
    contradicted_by: str | None = None
    sessions: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, said: list[dict[str, Any]]) -> _Held:
        first = said[0]
        parts = (first["speaker"], first["category"], first["slot"], _stand(first))
        held = cls(str(uuid.uuid5(uuid.NAMESPACE_OID, "\x1f".join(map(str, parts)))), said)
        for one in said:
            known = held.sessions.get(one["session_id"], 0.0)
            held.sessions[one["session_id"]] = max(known, one["weight"])
        return held

    @property
    def last_said_at(self) -> datetime:
        return self.said[-1]["said_at"]

    @property
    def weight(self) -> float:
        return sum(self.sessions.values())

    def row(self) -> dict[str, Any]:
        latest = self.said[-1]
        keys = [one["key"] for one in self.said]
        ended = latest["said_at"] if latest["ended"] else None
        return {
            "preference_id": self.identity,
            "category": latest["category"],
            "preference_key": max(keys, key=lambda key: (keys.count(key), -len(key), key))[
                :LONGEST_KEY
            ],
            "preference_value": latest["value"],
            "learned_from": latest["text"],
            "confidence": (self.weight + 1) / (self.weight + self.against + 2),
            "created_at": self.said[0]["said_at"],
            "speaker": latest["speaker"],
            "polarity": latest["polarity"],
            "sessions": len(self.sessions),
            "last_said_at": self.last_said_at,
            "valid_until": self.valid_until or ended,
            "contradicted_by": self.contradicted_by,
            "message_ids": list(
                dict.fromkeys(message for one in self.said for message in one["message_ids"])
            ),
        }


def _contradictions(about: list[dict[str, Any]]) -> Iterator[_Held]:
    """The preferences of one speaker about one thing; each but the latest ends with the next."""
    by_stand: dict[object, list[dict[str, Any]]] = {}
    for said in about:
        by_stand.setdefault(_stand(said), []).append(said)
    held = [_Held.of(said) for said in by_stand.values()]
    held.sort(key=lambda one: (one.last_said_at, one.identity))
    whole = sum(one.weight for one in held)
    for place, one in enumerate(held):
        one.against = whole - one.weight
        newer = next((other for other in held[place + 1 :] if _later(other, one)), None)
        if newer:
            one.contradicted_by = newer.identity
            one.valid_until = min(
                said["said_at"] for said in newer.said if said["said_at"] > one.last_said_at
            )
        yield one


def _stand(said: dict[str, Any]) -> object:
    """What must be equal for two statements about one thing to agree."""
    return said["value"] if said["category"] == "favourite" else said["polarity"]


def _later(one: _Held, other: _Held) -> bool:
    return one.last_said_at > other.last_said_at


_CLAUSE = pl.Struct({"text": pl.String, "clause": pl.String})


def _clauses(text: str) -> list[dict[str, str]]:
    return [{"text": sentence, "clause": clause} for sentence, clause in clauses_of(text)]


def _columns(stances: Sequence[Stance | None]) -> list[pl.Series]:
    names = ("category", "slot", "key", "value", "polarity", "weight", "ended")
    return [
        pl.Series(name, [one and getattr(one, name) for one in stances], dtype=STANCES[name])
        for name in names
    ]
