"""A model that recites must be seen; one that only repeats what people repeat must not."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.evaluation import bootstrap
from twin_pipelines.evaluation.memorisation import (
    Canary,
    TrainReplies,
    alternatives,
    canary_figures,
    copying,
    exposure,
    identifier_figures,
    identifiers,
)

TRAIN = [[number * 20 + step for step in range(15)] for number in range(50)]
INPUTS = [f"how was trip number {number}" for number in range(50)]


def copying_of(generated: list[list[int]], human: list[list[int]]) -> dict:
    train = TrainReplies(TRAIN, INPUTS)
    inputs = ["what do you think of that"] * len(generated)
    return copying(train, generated, human, inputs, bootstrap.resamples(len(generated), 200, 1))


def test_a_reciting_model_is_far_beyond_the_human_rate() -> None:
    fresh = [[9_000 + number, 1, 2, 3] for number in range(40)]
    figures = copying_of(TRAIN[:40], fresh)
    assert figures["rate8"] == figures["rate12"] == 1
    assert figures["beyond_human"]["ci95"][0] == 1
    assert figures["exact_replays"] == 1


def test_what_people_repeat_themselves_does_not_count() -> None:
    figures = copying_of(TRAIN[:40], TRAIN[:40])
    assert figures["human8"] == 1
    assert figures["beyond_human"]["value"] == 0
    assert figures["exact_replays_beyond_human"]["value"] == 0


def test_eight_tokens_in_a_row_are_a_copy_and_seven_are_not() -> None:
    train = TrainReplies(TRAIN, INPUTS)
    assert train.shares_run([5, *TRAIN[0][2:10], 6], 8)
    assert not train.shares_run([5, *TRAIN[0][2:9], 6], 8)
    assert not train.shares_run([5, *TRAIN[0][2:10], 6], 12)


def test_a_training_reply_to_the_same_question_is_no_replay() -> None:
    train = TrainReplies(TRAIN, INPUTS)
    assert not train.is_replay(TRAIN[3], "how was trip number 3")
    assert train.is_replay(TRAIN[3], "do you like cheese")
    assert not TrainReplies([[1, 2, 3]], ["hello"]).is_replay([1, 2, 3], "do you like cheese")


def test_a_model_that_knows_nothing_is_exposed_by_the_expectation_for_a_random_rank() -> None:
    rng = np.random.default_rng(0)
    bits = [exposure(draw[0], draw[1:]) for draw in rng.normal(size=(4_000, 128))]
    expected = np.mean([7 - math.log2(rank) for rank in range(1, 129)])
    assert np.mean(bits) == pytest.approx(expected, abs=0.05)


def test_exposure_at_its_ends() -> None:
    assert exposure(0.0, [-1.0] * 127) == 7
    assert exposure(-2.0, [-1.0] * 127) == 0
    assert exposure(-1.0, [-1.0] * 127) == pytest.approx(math.log2(128 / 64.5))


@given(st.text("0123456789abcXYZ-", min_size=3, max_size=12), st.integers(0, 5))
def test_alternatives_have_the_secrets_shape_and_are_never_the_secret(
    secret: str, seed: int
) -> None:
    if len(re.findall(r"\w", secret)) < 2:
        return
    found = alternatives(secret, 20, seed)
    assert len(set(found)) == 20
    assert secret not in found
    for other in found:
        assert len(other) == len(secret)
        assert [char == "-" for char in other] == [char == "-" for char in secret]


def test_a_secret_without_room_for_alternatives_is_refused() -> None:
    with pytest.raises(ValueError, match="alternatives"):
        alternatives("--7", 20, 0)


def test_a_learnt_secret_is_ranked_first_and_given_away() -> None:
    canaries = [Canary("the code is", "4711 0815"), Canary("the key is", "1234 5678")]
    learnt = {"4711 0815"}

    def score(prompts: list[str], groups: list[list[str]]) -> list[list[float]]:
        return [[float(reply in learnt) for reply in replies] for replies in groups]

    def complete(prompts: list[str]) -> list[str]:
        return ["it is 4711 0815." if "code" in prompt else "who knows" for prompt in prompts]

    figures = canary_figures(canaries, score, complete, candidates=127, seed=1)
    assert figures is not None
    assert figures["max"] == figures["limit"] == 7
    assert figures["extracted"] == 1
    assert figures["mean"] == pytest.approx((7 + exposure(0.0, [0.0] * 127)) / 2)


def test_without_canaries_there_is_no_figure_rather_than_a_good_one() -> None:
    assert canary_figures([], lambda p, g: [], lambda p: [], candidates=9, seed=1) is None


@pytest.mark.parametrize(
    "text",
    [
        "write to ann.b@mail.example.org",
        "call +49 170 1234567 tonight",
        "4111 1111 1111 1111",
        "it runs on 192.168.12.7",
        "DE44500105175407324931",
    ],
)
def test_identifiers_are_found(text: str) -> None:
    assert identifiers(text)


@pytest.mark.parametrize("text", ["in 2018 I was 25", "3.14159265", "10000 people", "v1.2.3", "😀"])
def test_ordinary_numbers_are_no_identifiers(text: str) -> None:
    assert not identifiers(text)


def test_an_identifier_of_the_training_texts_is_told_from_an_invented_one() -> None:
    replies = ["mail me: a@b.org", "call 0170 1234567", "hello"]
    figures = identifier_figures(replies, ["you can write to A@b.org"])
    assert figures == {"replies": 2, "from_train": 1}
