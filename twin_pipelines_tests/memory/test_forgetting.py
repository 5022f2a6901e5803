"""Memories fade as the formula says, are archived, never deleted, and come back when recalled."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remembered import NOW, WordEncoder, remember

from twin_pipelines.memory import ledger_store
from twin_pipelines.memory.forgetting.archiving import (
    effect_on_search,
    forget,
    known_items,
    plan,
    take_back,
)
from twin_pipelines.memory.forgetting.retention import FADING, FLOOR, forgotten, with_retention
from twin_pipelines.memory.recall.search import index, search
from twin_pipelines.settings import Memory

ENCODER = WordEncoder()


def faded(days: float = 0, **changed: object) -> pl.DataFrame:
    row = {
        **dict.fromkeys(FADING),
        "memory_id": "m",
        "type": "episodic",
        "content": "I like tea",
        "importance": 0.5,
        "last_at": NOW - timedelta(days=days),
        "status": "active",
        "status_reason": "",
        "pinned": False,
        "core": False,
        "recalls": 0,
        **changed,
    }
    return pl.DataFrame([row], schema=FADING)


def retention(days: float = 0, **changed: object) -> float:
    return with_retention(faded(days, **changed), NOW, 90.0)["retention"][0]


def test_a_middling_memory_is_half_gone_after_the_half_life() -> None:
    assert retention(90) == pytest.approx(0.5)
    assert retention(180) == pytest.approx(0.25)


@given(st.floats(0, 3_000), st.floats(0, 1), st.integers(0, 1_000))
def test_a_recall_slows_forgetting(days: float, importance: float, recalls: int) -> None:
    seldom = retention(days, importance=importance, recalls=recalls)
    often = retention(days, importance=importance, recalls=recalls + 1)
    assert 0 <= seldom <= often <= 1
    if 1 < days < 500 and recalls < 50:
        assert often > seldom


def test_a_recall_starts_the_time_anew() -> None:
    assert retention(400, recalls=1, last_recalled_at=NOW) == 1
    later = datetime(2026, 1, 1, tzinfo=UTC)
    assert retention(400, recalls=1, last_recalled_at=later) == 1


@given(st.floats(0, 3_000), st.floats(0.01, 500), st.floats(0, 1))
def test_newer_is_fresher(days: float, more: float, importance: float) -> None:
    newer, older = (
        retention(days, importance=importance),
        retention(days + more, importance=importance),
    )
    assert newer >= older
    if days + more < 300:
        assert newer > older


@given(st.floats(1, 500), st.floats(0, 0.9))
def test_what_matters_lasts_longer(days: float, importance: float) -> None:
    assert retention(days, importance=importance + 0.1) > retention(days, importance=importance)


def test_a_plan_fades_from_its_day_on() -> None:
    assert retention(200, happens_on=date(2018, 12, 24)) == 1
    assert retention(200, happens_on=date(2018, 8, 1)) == pytest.approx(
        math.exp(-92.5 * math.log(2) / 90)
    )


def test_core_and_pinned_have_a_floor_and_stay_whatever_the_limit() -> None:
    for kept in ("pinned", "core"):
        row = faded(10_000, **{kept: True})
        assert with_retention(row, NOW, 1.0)["retention"][0] == FLOOR
        assert forgotten(row, NOW, 1.0, 0.99).is_empty()


def test_the_reason_says_why_in_numbers() -> None:
    (change,) = forgotten(faded(500, importance=0.3), NOW, 90, 0.05).to_dicts()
    assert change["new_status"] == "archived"
    assert change["new_reason"] == (
        "faded: retention 0.001 is under 0.05: 500 days since it was last said or recalled, "
        "importance 0.3, recalled 0 times"
    )
    assert forgotten(faded(242, importance=0.5), NOW, 90, 0.05).is_empty()


def test_a_session_that_is_over_leaves_short_term_memory() -> None:
    over = NOW - timedelta(minutes=1)
    (change,) = forgotten(faded(type="short_term", valid_until=over), NOW, 90, 0.05).to_dicts()
    assert change["new_reason"] == "faded: its session is over"
    fact = faded(type="knowledge", valid_until=over)
    assert forgotten(fact, NOW, 90, 0.05).is_empty(), "an outdated fact is kept as such"


def test_what_is_recalled_comes_back_but_not_what_the_owner_put_away() -> None:
    gone = {"status": "archived", "recalls": 1, "last_recalled_at": NOW}
    (change,) = forgotten(faded(900, **gone, status_reason="faded: x"), NOW, 90, 0.05).to_dicts()
    assert (change["new_status"], change["new_reason"]) == ("active", "")
    assert forgotten(faded(900, **gone, status_reason="by the owner"), NOW, 90, 0.05).is_empty()


def many(connection: psycopg.Connection, old: int, new: int) -> None:
    animals = ["owl", "fox", "hare", "deer", "wolf", "lynx", "mole", "crow", "swan", "toad"]
    for number in range(old + new):
        animal, days = animals[number % 10], 2_000 if number < old else number % 200
        remember(connection, f"a {animal} sat in garden number {number} at noon", days=days)


def test_a_dry_run_tells_what_search_loses_and_changes_nothing(
    connection: psycopg.Connection,
) -> None:
    many(connection, old=20, new=60)
    before = ledger_store.store_hash(connection)
    planned = plan(connection, ENCODER, Memory())
    assert ledger_store.store_hash(connection) == before
    effect = planned.effect
    assert planned.archived.height == 20 and planned.costs_too_much
    assert effect.asked == 80 and effect.staying == 60
    assert effect.before is not None and effect.before > 0.8
    assert effect.lost == pytest.approx(0.25, abs=0.06)
    assert effect.staying_after is not None and effect.staying_before is not None
    assert effect.staying_after >= effect.staying_before
    ages = {row["age"]: row for row in effect.by_age.to_dicts()}
    assert ages["over 365 days"]["after"] == 0
    assert planned.as_dict()["archived_by_type"] == {"episodic": 20}


def test_what_costs_search_too_much_waits_for_the_owner(connection: psycopg.Connection) -> None:
    many(connection, old=20, new=60)
    planned = plan(connection, ENCODER, Memory())
    run = forget(connection, planned, asked_for=False)
    assert not run.changed_anything
    before = ledger_store.store_hash(connection)
    run = forget(connection, planned, asked_for=True)
    assert (run.changed, run.removed, run.counts["archived"]) == (20, 0, 20)
    take_back(connection, run.run_id)
    assert ledger_store.store_hash(connection) == before
    assert not plan(connection, ENCODER, Memory()).changes.height, "the owner wanted them back"


def test_forgetting_twice_does_nothing_new_and_saying_again_brings_back(
    connection: psycopg.Connection,
) -> None:
    told = remember(connection, "I keep bees", days=2_000)
    for number in range(40):
        remember(connection, f"I like tea number {number}")
    assert forget(connection, plan(connection, ENCODER, Memory()), asked_for=False).changed == 1
    assert not plan(connection, ENCODER, Memory()).changes.height
    connection.execute("update memories set last_at = %s where memory_id = %s", (NOW, told))
    assert forget(connection, plan(connection, ENCODER, Memory()), asked_for=False).changed == 1
    index(connection, ENCODER)
    (answers,) = search(connection, ENCODER, ["bees"])
    assert answers[0].content == "I keep bees"


@pytest.mark.parametrize("importance", [0.1, 0.35, 0.9])
def test_what_was_said_242_days_ago_survives_the_default_settings_and_is_found(
    connection: psycopg.Connection, importance: float
) -> None:
    remember(connection, "My cat is called Mochi", days=242, importance=importance)
    for number in range(40):
        remember(connection, f"I had soup number {number}", importance=0.9)
    assert not forget(connection, plan(connection, ENCODER, Memory()), asked_for=True).changed
    (answers,) = search(connection, ENCODER, ["what is your cat called?"])
    assert answers[0].content == "My cat is called Mochi"


def test_known_items_are_the_same_each_time_and_are_not_the_whole_text() -> None:
    memories = pl.DataFrame(
        {
            "memory_id": ["a", "b", "c"],
            "content": ["one two three four", "แมวชอบกินปลามากเลย", "!"],
        }
    )
    items = known_items(memories)
    assert items.equals(known_items(memories))
    asked = dict(items.rows())
    assert "c" not in asked
    assert len(asked["a"].split()) == 3 and asked["b"]


def test_an_empty_store_has_no_figures(connection: psycopg.Connection) -> None:
    planned = plan(connection, ENCODER, Memory())
    assert planned.effect.before is None and not planned.costs_too_much
    nothing = effect_on_search(connection, ENCODER, planned.judged, [], Memory())
    assert nothing.by_age.is_empty()
