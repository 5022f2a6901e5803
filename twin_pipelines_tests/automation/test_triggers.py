"""Each trigger fires by itself, waits its turn, and says why or why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from twin_pipelines.automation.drift import Drift, Shift
from twin_pipelines.automation.triggers import Facts, decide
from twin_pipelines.settings import Automation

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SETTINGS = Automation()
CALM = Drift((Shift("lengths moved", 0.03, 0.02, 0.04),))
MOVED = Drift((Shift("lengths moved", 0.3, 0.02, 0.04),))
QUIET = Facts(
    release_id=3,
    dataset_version="abc123",
    new_pairs=10,
    corrections=0,
    erased=0,
    dropped=0,
    drift=None,
    last_training=NOW - timedelta(days=9),
    running=False,
)


def test_without_a_reason_nothing_is_trained_and_every_figure_is_told() -> None:
    decision = decide(replace(QUIET, dropped=2), SETTINGS, NOW)
    assert not decision.train
    for part in (
        "10 new pairs",
        "begins at 500",
        "0 corrections of 20",
        "drift is judged from 150",
    ):
        assert part in decision.words
    assert "2 pairs it learnt are no longer usable" in decision.words
    assert "within chance" in decide(replace(QUIET, drift=CALM), SETTINGS, NOW).words


@pytest.mark.parametrize(
    ("facts", "name", "told"),
    [
        (replace(QUIET, new_pairs=500), "volume", "500 new pairs since the champion's dataset"),
        (replace(QUIET, corrections=20), "corrections", "the owner corrected 20 answers"),
        (replace(QUIET, drift=MOVED, new_pairs=200), "drift", "writes differently now: lengths"),
        (replace(QUIET, erased=1), "erasure", "1 pairs the champion learnt were erased since"),
    ],
)
def test_each_reason_alone_is_enough(facts: Facts, name: str, told: str) -> None:
    decision = decide(facts, SETTINGS, NOW)
    assert decision.train
    assert [reason.name for reason in decision.reasons] == [name]
    assert told in decision.words
    again = decide(facts, SETTINGS, NOW, asked=[decision.key])
    assert not again.train
    assert "asked for already" in again.words


def test_a_training_waits_for_the_cool_down_but_an_erasure_does_not() -> None:
    facts = replace(QUIET, new_pairs=900, last_training=NOW - timedelta(hours=9))
    decision = decide(facts, SETTINGS, NOW)
    assert not decision.train
    assert "3.0 hours left" in decision.words
    assert decide(facts, SETTINGS, NOW + timedelta(hours=3)).train
    assert decide(replace(facts, erased=2), SETTINGS, NOW).train
    asked = ["erasure-3-2"]
    assert not decide(replace(facts, erased=2), SETTINGS, NOW, asked).train, "asked for once"
    assert decide(replace(facts, erased=3), SETTINGS, NOW, asked).train, "one more was erased"


def test_a_training_on_its_way_is_not_asked_for_twice_even_for_an_erasure() -> None:
    decision = decide(replace(QUIET, erased=2, running=True), SETTINGS, NOW)
    assert not decision.train
    assert "already on its way" in decision.words


def test_more_of_the_same_asks_again_at_the_next_threshold() -> None:
    first = decide(replace(QUIET, new_pairs=700), SETTINGS, NOW)
    assert not decide(replace(QUIET, new_pairs=999), SETTINGS, NOW, [first.key]).train
    assert decide(replace(QUIET, new_pairs=1_000), SETTINGS, NOW, [first.key]).train
