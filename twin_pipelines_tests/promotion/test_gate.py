"""Every way of being bad must be refused, in words a person understands."""

from __future__ import annotations

from typing import Any

import pytest

from twin_pipelines.promotion.gate import CONDITIONS, judge
from twin_pipelines.settings import Gate

GATE = Gate()


def failed(metrics: dict[str, Any], **champion: Any) -> list[str]:
    verdict = judge(metrics, GATE, champion or None)
    return [one.name for one in verdict.conditions if not one.passed]


def test_a_good_challenger_passes_and_says_why(good: dict[str, Any]) -> None:
    verdict = judge(good, GATE)
    assert verdict.passed
    assert [one.name for one in verdict.conditions] == list(CONDITIONS)
    assert "no other champion" in verdict.words
    assert verdict.as_dict()["conditions"][0]["figure"] == 0.69


def test_worse_than_its_base_is_refused(good: dict[str, Any]) -> None:
    good["reply_perplexity"].update(ratio=1.2, ratio_ci95=[1.1, 1.3])
    assert failed(good) == ["better_than_base"]
    assert judge(good, GATE).words.startswith("Refused: perplexity of the unseen replies is 1.20")


def test_better_than_its_base_within_noise_only_is_refused(good: dict[str, Any]) -> None:
    good["reply_perplexity"].update(ratio=0.97, ratio_ci95=[0.9, 1.02])
    assert failed(good) == ["better_than_base"]


def test_worse_than_the_champion_beyond_noise_is_refused(good: dict[str, Any]) -> None:
    good["reply_perplexity"]["champion_delta"] = {"value": 0.05, "ci95": [0.02, 0.08]}
    assert failed(good) == ["not_worse_than_champion"]
    assert "surely 0.050 nats per token worse" in judge(good, GATE).words


@pytest.mark.parametrize("interval", [[-0.01, 0.04], [-0.08, -0.02]])
def test_worse_within_noise_or_better_than_the_champion_passes(
    good: dict[str, Any], interval: list[float]
) -> None:
    middle = sum(interval) / 2
    good["reply_perplexity"]["champion_delta"] = {"value": middle, "ci95": interval}
    assert failed(good) == []


def test_losing_the_style_the_champion_had_is_refused(good: dict[str, Any]) -> None:
    good["reply_perplexity"]["champion_delta"] = {"value": -0.1, "ci95": [-0.2, -0.05]}
    good["style_consistency"].update(value=0.6, ci95=[0.5, 0.7])
    champion = {"style_consistency": {"ci95": [0.9, 1.0]}}
    assert failed(good, **champion) == ["not_worse_than_champion"]


def test_too_little_style_is_refused(good: dict[str, Any]) -> None:
    good["style_consistency"]["value"] = 0.3
    assert failed(good) == ["style_is_the_subjects"]


@pytest.mark.parametrize("control", ["above_base", "above_prompted"])
def test_style_that_a_control_also_reaches_is_refused(good: dict[str, Any], control: str) -> None:
    good["style_consistency"][control] = {"value": 0.1, "ci95": [-0.02, 0.2]}
    assert failed(good) == ["style_is_the_subjects"]


def test_style_that_was_not_measured_is_refused(good: dict[str, Any]) -> None:
    good["style_consistency"] = {"value": None, "ci95": None, "note": "ann has 40 words"}
    assert failed(good) == ["style_is_the_subjects"]
    assert "ann has 40 words" in judge(good, GATE).words


def test_a_test_set_that_was_trained_on_is_a_leak(good: dict[str, Any]) -> None:
    good["frozen_set"]["leaks"].update(sessions=2, words="2 sessions stand in train")
    assert failed(good) == ["no_leak"]
    assert "2 sessions stand in train" in judge(good, GATE).words


def test_a_planted_secret_that_comes_out_is_a_leak(good: dict[str, Any]) -> None:
    good["memorisation"]["canary_exposure"]["extracted"] = 1
    assert failed(good) == ["no_leak"]


def test_an_address_of_the_training_replies_is_a_leak(good: dict[str, Any]) -> None:
    good["memorisation"]["pii"] = {"replies": 3, "from_train": 1}
    assert failed(good) == ["no_leak"]


@pytest.mark.parametrize("kind", ["beyond_human", "beyond_human12", "exact_replays_beyond_human"])
def test_a_reciting_model_is_refused(good: dict[str, Any], kind: str) -> None:
    good["memorisation"][kind] = {"value": 0.4, "ci95": [0.3, 0.5]}
    assert failed(good) == ["memorisation_under_limit"]
    assert "40.0% of the replies copy a training reply" in judge(good, GATE).words


def test_without_canaries_the_leak_condition_rests_on_the_rest(good: dict[str, Any]) -> None:
    good["memorisation"]["canary_exposure"] = None
    assert failed(good) == []


def test_figures_without_an_interval_are_not_believed(good: dict[str, Any]) -> None:
    good["reply_perplexity"]["ratio_ci95"] = [None, None]
    good["reply_perplexity"]["champion_delta"] = {"value": 0.0, "ci95": [None, None]}
    good["style_consistency"]["above_base"] = {"value": 0.9, "ci95": [None, None]}
    assert failed(good) == list(CONDITIONS)[:3]
