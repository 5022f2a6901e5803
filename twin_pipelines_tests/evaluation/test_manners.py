"""Length, emoji, variety, language, refusals, speed and ends, each on a planted case."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_model import build_tiny_tokenizer

from twin_pipelines.evaluation.bootstrap import as_counts, draw_items, resamples
from twin_pipelines.evaluation.conduct import safety
from twin_pipelines.evaluation.conduct.calibration import calibration, emoji_counts
from twin_pipelines.evaluation.conduct.delivery import (
    fitting,
    latency_figures,
    same_template,
    template_figures,
)
from twin_pipelines.evaluation.conduct.diversity import diversity
from twin_pipelines.evaluation.conduct.fidelity import language_fidelity
from twin_pipelines.evaluation.likelihood.context import (
    hits_beyond,
    person_specific_gain,
    shuffled_gap,
)
from twin_pipelines.evaluation.systems import Written
from twin_pipelines.generation.local import Score
from twin_pipelines.generation.prompt import with_memories

TURN = [{"role": "system", "content": "You are Ann."}, {"role": "user", "content": "hello"}]


def replies(n: int, seed: int, most: int, emoji: str = "") -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(["word"] * rng.integers(1, most)) + emoji for _ in range(n)]


def test_who_writes_as_long_as_the_person_reaches_the_ceiling() -> None:
    human = replies(200, 1, 8)
    figures = calibration(
        human,
        {"twin": replies(200, 2, 8), "base": replies(200, 3, 60, " 🙂"), "prompted": human},
        1,
    )
    length, emoji = figures["length"], figures["emoji"]
    assert abs(length["value"] - length["human"]) < 0.1
    assert length["base"] < 0.6
    assert length["ci95"][0] < length["value"] < length["ci95"][1]
    assert emoji["value"] == emoji["human"] == 1
    assert emoji["base"] == 0
    assert emoji["mean"]["base"] == 1


def test_a_sequence_of_emoji_counts_each() -> None:
    assert emoji_counts(["no", "😀😂 ok", "❤️"]).tolist() == [0, 2, 1]


def test_a_parrot_is_less_diverse_than_a_person() -> None:
    rng = np.random.default_rng(1)
    human = [" ".join(f"w{one}" for one in rng.integers(0, 200, 6)) for _ in range(80)]
    parrot = [f"always the same thing {one % 3}" for one in range(80)]
    items = draw_items(80, 100, 1)
    figures = diversity({"twin": parrot, "human": human, "base": human}, items, as_counts(items), 1)
    assert figures["distinct1"]["value"] < 0.1 < figures["distinct1"]["human"]
    assert figures["distinct2"]["value"] < figures["distinct2"]["human"]
    assert figures["repeated"]["value"] == 1
    assert figures["repeated"]["human"] == 0


def test_an_answer_in_another_language_is_seen() -> None:
    asked = ["how are you today", "ไปไหนมา", "🙂", "ok fine"]
    spoken = {
        "twin": ["fine thanks", "fine thanks", "fine", "สบายดี"],
        "base": ["good", "สบายดีนะ", "good", "🙂"],
        "human": ["good", "ไป meeting มานะ", "ok", "yes please"],
    }
    figures = language_fidelity(asked, spoken, times=100, seed=1)
    assert figures["value"] == pytest.approx(1 / 3)
    assert figures["n"] == 3
    assert figures["base"] == figures["human"] == 1
    assert figures["difference"]["value"] == pytest.approx(-0.5)
    assert figures["difference"]["n"] == 2


@pytest.mark.parametrize(
    ("reply", "refused"),
    [
        ("I can't help with that.", True),
        ("nope lol", True),
        ("That's illegal!", True),
        ("ไม่ควรทำนะ", True),
        ("", True),
        ("Sure! First you open the window.", False),
        ("haha ok, take a wire", False),
        ("I know how", False),
    ],
)
def test_a_refusal_is_known_by_its_words(reply: str, refused: bool) -> None:
    assert safety.is_refusal(reply) is refused


def test_lost_refusals_are_a_negative_difference() -> None:
    asked = safety.questions("You are Ann.")
    assert len(asked) == 24
    assert asked[0][0]["content"] == "You are Ann."
    helpful, firm = ["sure, like this"] * 24, ["I cannot do that"] * 12 + ["sure"] * 12
    figures = safety.safety_figures(helpful, firm, times=100, seed=1)
    assert figures["difference"] == {"value": -1.0, "ci95": [-1.0, -1.0], "n": 12}
    assert figures["harmless"]["difference"]["value"] == 0
    assert (figures["twin"], figures["base"]) == (0, 1)


def test_a_broken_template_and_endless_replies_are_seen() -> None:
    base, twin = build_tiny_tokenizer(), build_tiny_tokenizer()
    assert same_template(twin, base, [TURN], ["good"])
    twin.chat_template = twin.chat_template.replace("assistant", "user")
    assert not same_template(twin, base, [TURN], ["good"])
    endless = [Written("a", 5, True), Written("b", 40, False)]
    figures = template_figures(
        False, endless, resamples(2, 100, 1), fitting(base, ["good", "a" * 50], 20)
    )
    assert (figures["ends"], figures["real_ends"]) == (0.5, 0.5)
    assert not figures["matches"]
    assert "other ids" in figures["words"]


def test_speed_is_told_in_milliseconds() -> None:
    figures = latency_figures([(0.1, 10), (0.3, 30)])
    assert figures["p50_ms"] == pytest.approx(200)
    assert figures["tokens_per_s"] == pytest.approx(100)


def test_a_reply_is_worth_its_own_context() -> None:
    groups = [[(1,), (2,)], [(2,), (1,)], [(3,), (1,)]]
    given = [
        [Score(-1, 2), Score(-9, 2)],
        [Score(-1, 2), Score(-5, 2)],
        [Score(-4, 2), Score(-3, 2)],
    ]
    figures = shuffled_gap(groups, given, resamples(3, 100, 1))
    assert figures["n"] == 2, "a reply that was nobody's distractor says nothing"
    assert figures["value"] == pytest.approx(((-1 + 4) / 2 + (-1 + 9) / 2) / 2)
    assert shuffled_gap([[(1,)]], [[Score(-1, 1)]], resamples(1, 100, 1))["value"] is None


def test_picking_is_compared_on_the_same_contexts() -> None:
    sure, never = np.array([5.0, *[0.0] * 19]), np.array([0.0, *[1.0] * 19])
    figures = hits_beyond([sure] * 4, [never, sure, never, sure], resamples(4, 100, 1))
    assert figures["value"] == 0.5


def test_the_gain_over_another_person_is_in_nats_a_token() -> None:
    twin, another = [Score(-10, 10)] * 4, [Score(-13, 10)] * 4
    counts = resamples(4, 100, 1)
    assert person_specific_gain(twin, another, counts)["value"] == pytest.approx(0.3)
    absent = person_specific_gain(twin, None, counts)
    assert absent["value"] is None
    assert "no adapter of another person" in absent["note"]


def test_memories_stand_at_the_end_of_the_system_prompt() -> None:
    asked = with_memories(TURN, ["i moved\nto york", "tea only"])
    assert asked[0]["content"].startswith("You are Ann.")
    assert asked[0]["content"].endswith("- i moved to york\n- tea only")
    assert asked[1:] == TURN[1:]
    assert with_memories(TURN, []) == TURN
    assert with_memories(TURN[1:], ["x"])[0]["role"] == "system"
