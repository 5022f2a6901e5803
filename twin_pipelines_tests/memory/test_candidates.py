"""Candidates are what is known and still true of the subject; what somebody chose counts more."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from told import frame, said

from twin_pipelines.memory.consolidation.candidates import (
    CANDIDATES,
    core_candidates_of,
    main_partner,
)
from twin_pipelines.promotion.release import admitted
from twin_pipelines.settings import Memory

SETTINGS = Memory()
KNOWN = {"type": "knowledge", "origin": "consolidated", "sessions": 3, "importance": 0.8}


def contents(*rows: dict[str, Any], partner: str | None = None) -> list[str]:
    return core_candidates_of(frame(*rows), "sue", SETTINGS, partner)["content"].to_list()


def test_knowledge_and_what_was_said_once_are_candidates_weightiest_first() -> None:
    assert contents(said("I like rain"), said("I am from Rome", **KNOWN)) == [
        "I am from Rome",
        "I like rain",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "merged"},
        {"status": "archived", "pinned": True},
        {"status": "quarantined"},
        {"type": "dream", "origin": "reflected", "pinned": True},
        {"type": "short_term", "kind": "session"},
        {"kind": "session"},
        {"type": "emotional", "kind": "joy"},
        {"type": "knowledge", "origin": "imported"},
        {"about": "bob"},
        {"valid_until": said("")["first_at"], "superseded_by": said("")["memory_id"]},
    ],
)
def test_what_is_retired_imagined_no_longer_true_or_of_others_is_none(
    changed: dict[str, Any],
) -> None:
    assert contents(said("I like rain", **changed)) == []


def test_what_was_pinned_or_imported_as_core_is_admitted_and_what_was_said_once_is_not() -> None:
    rows = core_candidates_of(
        frame(
            said("I like rain"),
            said("I like tea", pinned=True, importance=0.1),
            said("We met in Rome", type="core", kind="milestone", importance=0.2, sessions=0),
        ),
        "sue",
        SETTINGS,
    )
    assert admitted(rows, SETTINGS)["content"].to_list() == ["I like tea", "We met in Rome"]
    parts = {row["content"]: row["parts"]["explicit"] for row in rows.to_dicts()}
    assert parts == {"I like rain": None, "I like tea": 1.0, "We met in Rome": 1.0}


def test_a_partner_of_half_of_all_sessions_is_known_too_and_named() -> None:
    rows = said("I like rain"), said("ผมชอบฝน", about="david", importance=0.3)
    assert contents(*rows, partner="david") == ["I like rain", "david: ผมชอบฝน"]
    assert main_partner([("david", 5), ("bob", 4)], 10) == "david"
    assert main_partner([("david", 4), ("bob", 4)], 10) is None
    assert main_partner([], 0) is None


def test_the_parts_are_those_of_the_memory() -> None:
    weighed = json.dumps({"emotion": 0.25, "repetition": 0.75})
    (row,) = core_candidates_of(
        frame(said("I like rain", importance_parts=weighed)), "sue", SETTINGS
    ).to_dicts()
    known = {name: part for name, part in row["parts"].items() if part is not None}
    assert known == {"emotion": 0.25, "repetition": 0.75}
    assert row["message_ids"] == said("I like rain")["message_ids"]


def test_nothing_gives_nothing() -> None:
    nothing = core_candidates_of(frame(), "sue", SETTINGS)
    assert nothing.is_empty()
    assert dict(nothing.schema) == CANDIDATES
    assert nothing.equals(pl.DataFrame(schema=CANDIDATES))
