"""Every way of being bad must be refused by the condition of its name, in words one understands."""

from __future__ import annotations

from typing import Any

import pytest

from twin_pipelines.promotion.gate import CONDITIONS, judge
from twin_pipelines.settings import Gate

GATE = Gate()
ONLY_FULL = (
    "style_realism",
    "person_specific_gain",
    "context",
    "personality",
    "grounded_answers",
    "safety",
    "latency",
)


def failed(metrics: dict[str, Any], champion: dict[str, Any] | None = None) -> list[str]:
    verdict = judge(metrics, GATE, champion)
    return [one.name for one in verdict.conditions if not one.passed]


def words(metrics: dict[str, Any], name: str) -> str:
    return next(one.words for one in judge(metrics, GATE).conditions if one.name == name)


def test_a_good_challenger_passes_and_says_what_was_not_judged(good: dict[str, Any]) -> None:
    verdict = judge(good, GATE)
    assert verdict.passed
    assert [one.name for one in verdict.conditions] == list(CONDITIONS)
    assert verdict.words.startswith("Passed: 11 of 13 conditions were judged and met")
    assert "no other champion" in verdict.words
    assert verdict.as_dict()["conditions"][0]["figure"] == 0.69
    assert all(one["words"] for one in verdict.as_dict()["conditions"])


def test_beside_a_champion_that_is_as_good_every_condition_is_judged(
    contested: dict[str, Any],
) -> None:
    verdict = judge(contested, GATE)
    assert verdict.passed
    assert all(one.judged for one in verdict.conditions)


@pytest.mark.parametrize("name", [name for name in CONDITIONS if name != "nothing_erased"])
def test_an_empty_evaluation_passes_nothing_in_full_depth(name: str) -> None:
    assert name in failed({"depth": "full"}, {}) or name == "not_worse_than_champion"
    assert name in failed({}, {"reply_perplexity": {"twin": 40.0}})


def test_what_takes_full_depth_is_not_judged_in_quick_depth_and_says_so(
    good: dict[str, Any],
) -> None:
    for key in ONLY_FULL:
        good.pop(key)
    del good["style_consistency"]["another_person"]
    full = failed(good)
    assert full == [
        "person_is_the_subject",
        "answers_the_context",
        "personality_holds",
        "grounded_answers_hold",
        "safety_holds",
        "latency_holds",
    ]
    good["depth"] = "quick"
    verdict = judge(good, GATE)
    assert verdict.passed
    assert "the personality score: not measured in this depth: not judged" in verdict.words
    unjudged = {one.name for one in verdict.conditions if not one.judged}
    assert unjudged == {*full, "not_worse_than_champion"} - {"person_is_the_subject"}


@pytest.mark.parametrize("key", ["personality", "grounded_answers"])
def test_a_figure_for_which_the_history_lacks_material_passes_with_the_reason(
    good: dict[str, Any], key: str
) -> None:
    good[key] = {"value": None, "ci95": None, "note": "ann states 3 preferences"}
    verdict = judge(good, GATE)
    assert verdict.passed
    assert "lacks the material (ann states 3 preferences): not judged" in verdict.words


def test_a_part_of_personality_without_material_is_named(good: dict[str, Any]) -> None:
    good["personality"]["parts"]["facts"] = {"value": None, "ci95": None, "note": "no facts"}
    assert failed(good) == []
    assert "facts: the history lacks the material" in words(good, "personality_holds")


def test_worse_than_its_base_is_refused(good: dict[str, Any]) -> None:
    good["reply_perplexity"].update(ratio=1.2, ratio_ci95=[1.1, 1.3])
    assert failed(good) == ["better_than_base"]
    assert judge(good, GATE).words.startswith("Refused: perplexity of the unseen replies is 1.20")
    assert judge(good, GATE).words.endswith("[better_than_base].")


def test_better_than_its_base_within_noise_only_is_refused(good: dict[str, Any]) -> None:
    good["reply_perplexity"].update(ratio=0.97, ratio_ci95=[0.9, 1.02])
    assert failed(good) == ["better_than_base"]


def test_less_likely_replies_than_the_champions_beyond_noise_are_refused(
    contested: dict[str, Any],
) -> None:
    contested["reply_perplexity"]["champion_delta"] = {"value": 0.05, "ci95": [0.02, 0.08]}
    assert failed(contested) == ["not_worse_than_champion"]
    assert "surely 0.050 nats per token worse" in judge(contested, GATE).words


@pytest.mark.parametrize("interval", [[-0.01, 0.04], [-0.08, -0.02]])
def test_worse_within_noise_or_better_than_the_champion_passes(
    contested: dict[str, Any], interval: list[float]
) -> None:
    middle = sum(interval) / 2
    contested["reply_perplexity"]["champion_delta"] = {"value": middle, "ci95": interval}
    assert failed(contested) == []


def test_a_challenger_that_was_not_compared_with_the_champion_is_refused(
    good: dict[str, Any],
) -> None:
    """As when a release was forced or rolled back after the evaluation."""
    assert "not_worse_than_champion" in failed(good, {"reply_perplexity": {"twin": 40.0}})


@pytest.mark.parametrize(
    ("key", "condition"),
    [
        ("style_consistency", "not_worse_than_champion"),
        ("style_realism", "not_worse_than_champion"),
        ("personality", "personality_holds"),
        ("grounded_answers", "grounded_answers_hold"),
        ("safety", "safety_holds"),
    ],
)
def test_losing_what_the_champion_had_is_refused(
    contested: dict[str, Any], key: str, condition: str
) -> None:
    delta = {"value": -0.2, "ci95": [-0.3, -0.1]}
    contested["champion"][key] = {"delta": delta}
    assert failed(contested) == [condition]
    assert "differs from the champion's by -0.200" in judge(contested, GATE).words
    contested["champion"][key] = {"delta": {"value": -0.2, "ci95": [-0.5, 0.1]}}
    assert failed(contested) == [], "a loss within noise is borne"
    contested["champion"][key] = {"delta": {"value": -0.02, "ci95": [-0.03, -0.01]}}
    assert failed(contested) == [], "and so is one within the margin"


def test_too_little_style_is_refused(good: dict[str, Any]) -> None:
    good["style_consistency"]["value"] = 0.3
    assert failed(good) == ["style_is_the_subjects"]


@pytest.mark.parametrize("control", ["above_base", "above_prompted"])
def test_style_that_a_control_also_reaches_is_refused(good: dict[str, Any], control: str) -> None:
    good["style_consistency"][control] = {"value": 0.1, "ci95": [-0.02, 0.2]}
    assert failed(good) == ["style_is_the_subjects"]


def test_style_that_was_not_measured_is_refused(good: dict[str, Any]) -> None:
    good["style_consistency"] = {"value": None, "ci95": None, "note": "ann has 40 words"}
    assert failed(good) == ["style_is_the_subjects", "person_is_the_subject"]
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


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("beyond_human", "40.0% of the replies share 8 tokens with a training reply"),
        ("beyond_human12", "40.0% of the replies share 12 tokens with a training reply"),
        ("exact_replays_beyond_human", "40.0% of the replies are a training reply, whole"),
    ],
)
def test_a_reciting_model_is_refused_and_the_figure_is_named(
    good: dict[str, Any], kind: str, told: str
) -> None:
    good["memorisation"][kind] = {"value": 0.4, "ci95": [0.3, 0.5]}
    assert failed(good) == ["memorisation_under_limit"]
    assert told in judge(good, GATE).words


def test_one_unlucky_reply_of_a_few_is_not_called_reciting(good: dict[str, Any]) -> None:
    good["memorisation"]["beyond_human"] = {"value": 0.04, "ci95": [-0.01, 0.09]}
    assert failed(good) == []
    assert "above the limit of 3.0%, but no surer than chance" in words(
        good, "memorisation_under_limit"
    )


def test_secrets_that_became_likely_are_refused_before_they_come_out(
    good: dict[str, Any],
) -> None:
    good["memorisation"]["canary_exposure"].update(mean=6.5, base_mean=1.9)
    assert failed(good) == ["memorisation_under_limit"]
    assert "exposed by 4.6 bits more than under the base" in judge(good, GATE).words


def test_without_canaries_the_leak_condition_rests_on_the_rest(good: dict[str, Any]) -> None:
    good["memorisation"]["canary_exposure"] = None
    assert failed(good) == []
    assert "no secrets were planted" in words(good, "memorisation_under_limit")


@pytest.mark.parametrize(
    ("key", "figure"),
    [
        ("hits20_beyond_base", {"value": -0.1, "ci95": [-0.16, -0.04]}),
        ("hits20_beyond_base", {"value": 0.01, "ci95": [-0.02, 0.04]}),
        ("shuffled_gap", {"value": 0.004, "ci95": [-0.02, 0.03]}),
    ],
)
def test_a_twin_to_which_the_context_means_nothing_is_refused(
    good: dict[str, Any], key: str, figure: dict[str, Any]
) -> None:
    good["context"][key] = figure
    assert failed(good) == ["answers_the_context"]


@pytest.mark.parametrize("gain", [[-0.1, 0.05], [-0.4, -0.3]])
def test_a_twin_no_better_than_another_persons_is_refused(
    good: dict[str, Any], gain: list[float]
) -> None:
    good["person_specific_gain"] = {"value": sum(gain) / 2, "ci95": gain}
    assert failed(good) == ["person_is_the_subject"]


def test_style_that_another_persons_adapter_also_reaches_is_refused(good: dict[str, Any]) -> None:
    good["style_consistency"]["another_person"] = {"value": 0.93, "ci95": [0.85, 1.0]}
    assert failed(good) == ["person_is_the_subject"]


def test_personality_no_better_than_its_controls_is_refused(good: dict[str, Any]) -> None:
    good["personality"].update(value=0.05, ci95=[0.0, 0.2])
    assert failed(good) == ["personality_holds"]


def test_answers_worse_than_not_knowing_are_refused(good: dict[str, Any]) -> None:
    good["grounded_answers"].update(value=0.1, ci95=[0.02, 0.2], control=0.3)
    assert failed(good) == ["grounded_answers_hold"]
    good["grounded_answers"].update(value=0.28, ci95=[0.15, 0.4])
    assert failed(good) == [], "as good as the base within the margin"


def test_copying_more_than_the_champion_is_refused(contested: dict[str, Any]) -> None:
    contested["champion"]["memorisation"] = {"delta": {"value": 0.05, "ci95": [0.02, 0.09]}}
    assert failed(contested) == ["memorisation_under_limit"]
    contested["champion"]["memorisation"] = {"delta": {"value": -0.05, "ci95": [-0.09, -0.02]}}
    assert failed(contested) == [], "less is better"


def test_losing_the_bases_refusals_is_refused(good: dict[str, Any]) -> None:
    good["safety"]["difference"] = {"value": -0.4, "ci95": [-0.5, -0.3]}
    assert failed(good) == ["safety_holds"]


def test_a_slow_twin_is_refused_beside_a_faster_champion(contested: dict[str, Any]) -> None:
    contested["latency"]["p95_ms"] = 3_200.0
    assert failed(contested) == ["latency_holds"]
    assert "3200 ms (p95), the champion's 1500 ms, over 2 times it" in judge(contested, GATE).words


@pytest.mark.parametrize(
    "template", [{"matches": False, "ends": 0.9}, {"matches": True, "ends": 0.1}]
)
def test_another_template_or_replies_without_an_end_are_refused(
    good: dict[str, Any], template: dict[str, Any]
) -> None:
    good["template"] = template
    assert failed(good) == ["template_is_right"]


def test_replies_need_not_end_sooner_than_the_persons_own_do(good: dict[str, Any]) -> None:
    good["template"] = {"matches": True, "ends": 0.3, "real_ends": 0.5}
    assert failed(good) == []
    good["template"] = {"matches": True, "ends": 0.0, "real_ends": 0.02}
    assert failed(good) == []
    assert "too few to judge" in words(good, "template_is_right")


def test_figures_without_an_interval_are_not_believed(contested: dict[str, Any]) -> None:
    contested["reply_perplexity"]["ratio_ci95"] = [None, None]
    contested["reply_perplexity"]["champion_delta"] = {"value": 0.0, "ci95": [None, None]}
    contested["style_consistency"]["above_base"] = {"value": 0.9, "ci95": [None, None]}
    contested["person_specific_gain"]["ci95"] = [None, None]
    assert failed(contested) == list(CONDITIONS)[:4]


def shuffled(good: dict[str, Any]) -> str:
    """Figures of a twin trained on replies in random order: the style is there, the sense gone."""
    good["reply_perplexity"].update(ratio=0.8, ratio_ci95=[0.74, 0.86])
    good["context"] = {
        "hits20_beyond_base": {"value": -0.2, "ci95": [-0.27, -0.13]},
        "shuffled_gap": {"value": 0.01, "ci95": [-0.02, 0.04]},
    }
    return "answers_the_context"


def memorising(good: dict[str, Any]) -> str:
    """Figures of 100 epochs on 50 pairs."""
    good["reply_perplexity"].update(ratio=3.1, ratio_ci95=[2.6, 3.7])
    good["memorisation"]["exact_replays_beyond_human"] = {"value": 0.35, "ci95": [0.28, 0.43]}
    return "memorisation_under_limit"


def another_persons(good: dict[str, Any]) -> str:
    """Figures of a twin of somebody else."""
    good["style_consistency"].update(value=0.0, ci95=[0.0, 0.1])
    good["person_specific_gain"] = {"value": -0.3, "ci95": [-0.36, -0.24]}
    return "person_is_the_subject"


def broken_template(good: dict[str, Any]) -> str:
    """Figures of a twin whose tokenizer's template was altered."""
    good["template"] = {"matches": False, "ends": 0.2, "words": "the template was altered"}
    return "template_is_right"


@pytest.mark.parametrize("bad", [shuffled, memorising, another_persons, broken_template])
def test_the_four_bad_challengers_are_refused_by_the_condition_made_for_them(
    good: dict[str, Any], bad: Any
) -> None:
    condition = bad(good)
    assert condition in failed(good)
    assert f"[{condition}]" in judge(good, GATE).words
