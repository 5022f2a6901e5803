"""The verifier must know a planted hand from strangers and from a machine, whatever the topic."""

from __future__ import annotations

import numpy as np
import pytest

from twin_pipelines.evaluation.style.consistency import (
    StyleTexts,
    draws_per_window,
    measure,
    style_consistency,
)
from twin_pipelines.evaluation.style.masking import common_words, mask
from twin_pipelines.evaluation.style.verifier import StyleVerifier, window_shares, word_counts

TOPICS = [
    *("tea", "rain", "music", "dogs", "work", "trains"),
    *("soup", "maths", "winter", "novels", "gardens", "chess"),
]


def writer(author: int, n: int, seed: int = 0) -> list[str]:
    """Replies in the hand of an author: casing, endings and fillers are theirs, topics are not."""
    rng = np.random.default_rng([author, seed])
    filler = ["well", "ya know", "honestly", "hm", "okay so", "oh"][author % 6]
    ending = ["!!", " :)", "...", ".", " lol", " xx", "?!"][author % 7]
    replies = []
    for _ in range(n):
        words = [str(word) for word in rng.choice(TOPICS, 4)]
        liked, disliked = " and ".join(words[:2]), " or ".join(words[2:])
        text = f"{filler} i like {liked} but not the {disliked}{ending}"
        replies.append(text.capitalize() if author % 2 else text)
    return replies


def machine(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng([99, seed])
    return [
        f"Certainly! I would be happy to help you with {rng.choice(TOPICS)}. Furthermore, please "
        f"consider {rng.choice(TOPICS)}."
        for _ in range(n)
    ]


def texts(twin: list[str], prompted: list[str] | None = None) -> StyleTexts:
    return StyleTexts(
        subject=writer(0, 400),
        people={f"person {number}": writer(number, 150) for number in range(1, 7)},
        ai=machine(120),
        unseen={f"stranger {number}": writer(number, 60) for number in (43, 46, 50)},
        human=writer(0, 60, seed=1),
        twin=twin,
        base=machine(60, seed=1),
        prompted=prompted or machine(60, seed=2),
    )


def test_the_planted_author_is_found_and_the_machine_is_not() -> None:
    figures = measure(texts(writer(0, 60, seed=2)), window_words=60, times=100, seed=1).figures
    assert figures["value"] == 1
    assert figures["ci95"][0] > 0.9
    assert figures["a_human"] > 0.95
    assert figures["base"]["value"] == figures["prompted"]["value"] == 0
    assert figures["above_base"]["ci95"][0] > 0.5
    assert figures["a_unseen_people"] < 0.5
    assert figures["n"] == 60


def test_another_persons_hand_is_not_the_subjects() -> None:
    figures = measure(texts(writer(3, 60, seed=2)), window_words=60, times=100, seed=1).figures
    assert figures["value"] == 0


def test_a_half_taught_twin_lies_between_with_an_honest_interval() -> None:
    mixed = writer(0, 30, seed=2) + machine(30, seed=3)
    figures = measure(texts(mixed), window_words=40, times=200, seed=1).figures
    low, high = figures["ci95"]
    assert low < figures["value"] < high
    assert high - low > 0.05


def test_the_same_texts_and_seed_give_the_same_figures() -> None:
    some = texts(writer(0, 30, seed=2) + machine(30, seed=3))
    first = measure(some, window_words=40, times=50, seed=1).figures
    assert first == measure(some, window_words=40, times=50, seed=1).figures
    assert first["verifier"]["fingerprint"]


def test_masking_the_topic_leaves_the_hand_recognisable() -> None:
    figures = style_consistency(
        texts(writer(0, 60, seed=2)), window_words=60, times=100, seed=1
    ).figures
    assert figures["masked"]["value"] > 0.9
    assert figures["masked"]["base"]["value"] == 0


def test_a_mute_twin_is_nobody() -> None:
    figures = measure(texts([""] * 60), window_words=60, times=50, seed=1).figures
    assert figures["a_twin"] == 0
    assert figures["value"] == 0


def test_a_ceiling_below_the_controls_gives_no_figure() -> None:
    some = texts(writer(0, 60, seed=2))
    upside_down = StyleTexts(**{**vars(some), "human": machine(60), "base": writer(0, 60)})
    figures = measure(upside_down, window_words=60, times=50, seed=1).figures
    assert np.isnan(figures["value"])
    assert np.isnan(figures["ci95"][0])


def test_too_little_text_is_said_rather_than_measured() -> None:
    with pytest.raises(ValueError, match="a window takes 60"):
        StyleVerifier(60, 1).fit({"ann": writer(1, 100), "bob": ["hi there"]})
    with pytest.raises(ValueError, match="two authors"):
        StyleVerifier(60, 1).fit({"ann": writer(1, 100)})


def test_two_authors_are_told_apart_too() -> None:
    verifier = StyleVerifier(30, 1).fit({"ann": writer(1, 100), "bob": writer(2, 100)})
    for place, author in enumerate((1, 2)):
        replies = verifier.read(writer(author, 20, seed=5))
        picks = np.tile(np.arange(8), (5, 1))
        assert (verifier.attribute(replies, picks) == place).all()


def test_windows_have_exactly_their_words_and_cut_the_last_reply() -> None:
    words = word_counts(["one two three", "four five", "six seven eight nine"])
    assert words.tolist() == [3, 2, 4]
    shares = window_shares(words, np.array([[0, 2, 1], [1, 1, 1]]), 5)
    assert shares.tolist() == [[1.0, 0.0, 0.5], [0.0, 2.5, 0.0]]
    assert (shares @ words == 5).all()


def test_attribution_by_sums_equals_attribution_of_the_joined_text() -> None:
    verifier = StyleVerifier(40, 1).fit(
        {f"person {number}": writer(number, 120) for number in range(4)}
    )
    replies = writer(2, 12, seed=4)
    picks = np.random.default_rng(0).integers(0, 12, (30, 4))
    whole = [" ".join([]) + "\n".join(replies[place] for place in row) for row in picks]
    summed = verifier.attribute(verifier.read(replies), picks)
    long = StyleVerifier.read(verifier, whole)
    verifier.window_words = 10_000
    joined = verifier.attribute(long, np.arange(30)[:, None])
    assert (summed == joined).mean() > 0.95


def test_emoji_alone_count_as_a_word_and_nothing_as_none() -> None:
    assert word_counts(["😂😂", "", "  ", "ok"]).tolist() == [1, 0, 0, 1]


def test_enough_replies_are_drawn_to_fill_a_window() -> None:
    words = np.array([2.0, 30.0, 5.0, 1.0])
    length = draws_per_window(words, 150)
    picks = np.random.default_rng(0).integers(0, 4, (2_000, length))
    full = (window_shares(words, picks, 150) @ words) >= 150 - 1e-9
    assert full.mean() > 0.99


def test_masking_keeps_function_words_casing_signs_and_emoji() -> None:
    people = {
        "a": ["the cat is on the mat, I think lol"] * 3,
        "b": ["I think the dog is late lol"] * 3,
        "c": ["the moon is big lol I think"] * 3,
    }
    kept = common_words(people)
    assert {"the", "is", "i", "think", "lol"} <= kept
    assert "cat" not in kept
    masked = mask("LOL the Moon is 40 km AWAY, I think... 🙂\nvery Far", kept)
    assert masked == "LOL the W is 0 w WW, I think... 🙂\nw W"


def test_masking_counts_every_person_alike() -> None:
    people = {"a": ["whale whale whale"] * 50, "b": ["the sea"], "c": ["the sun"], "d": ["the sky"]}
    assert common_words(people) == {"the"}
