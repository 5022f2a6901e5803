"""Each part tells a perfect imitator from an impostor, and says nothing where there is too little.

Made-up people differ in how often they use kinds of words and how they reply; nobody is a model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.evaluation.personality.agreement import (
    Drawn,
    Part,
    mean_of,
    paired_difference,
    relative_part,
    unmeasured,
)
from twin_pipelines.evaluation.personality.comparison import sample_by_group, sample_to_size
from twin_pipelines.evaluation.personality.manner import manner_parts
from twin_pipelines.evaluation.personality.others import Said
from twin_pipelines.evaluation.personality.situations import (
    SITUATIONS,
    ReplyFeatures,
    common_openings,
    situation,
)
from twin_pipelines.evaluation.personality.traits import trait_parts
from twin_pipelines.persona.traits import markers
from twin_pipelines.persona.traits.rater import Rater, count_markers

TIMES = 100
PEOPLE = 10
NEUTRAL = ("table", "river", "stone", "blue", "paper", "garden", "window", "yellow", "bread")
KINDS = {name: [w for w in words.split() if w.isalpha()] for name, words in markers.ENGLISH.items()}


class Person:
    """Somebody who uses each category at a rate, and has a way of replying, of their own."""

    def __init__(self, number: int) -> None:
        self.dice = random.Random(number)
        self.rates = {name: self.dice.choice([0.05, 1.0, 4.0]) for name in KINDS}
        self.asks = self.dice.choice([0.02, 0.3, 0.9])
        self.laughs = self.dice.choice([0.0, 0.2, 0.8])
        self.words = self.dice.choice([8, 11, 15])
        self.opening = self.dice.choice(["well", "oh", "so", "right", "yes"])

    def reply(self, message: str) -> str:
        """A reply; a joke is laughed at, if at all."""
        kinds = self.dice.choices(list(self.rates), list(self.rates.values()), k=self.words)
        said = [
            self.dice.choice(KINDS[kind] if self.dice.random() < 0.5 else NEUTRAL) for kind in kinds
        ]
        laughter = " haha" if "haha" in message and self.dice.random() < self.laughs else ""
        return f"{self.opening} {' '.join(said)}{laughter}{'?' * (self.dice.random() < self.asks)}"

    def talk(self, n: int) -> list[Said]:
        """Exchanges: half of the messages are jokes."""
        messages = ["haha that is it" if place % 2 else "the river is long" for place in range(n)]
        return [Said(message, self.reply(message)) for message in messages]


@pytest.fixture(scope="module")
def population() -> tuple[list[Said], list[Said], dict[str, list[Said]]]:
    """The person's unseen and earlier exchanges, and other people's."""
    person = Person(0)
    others = {str(number): Person(number).talk(400) for number in range(1, PEOPLE + 1)}
    return person.talk(160), person.talk(500), others


def replies(said: Sequence[Said]) -> list[str]:
    return [one.reply for one in said]


@pytest.mark.parametrize("part", ["traits", "manner"])
def test_an_imitator_reaches_the_ceiling_and_an_impostor_the_control(
    population: tuple[list[Said], list[Said], dict[str, list[Said]]], part: str
) -> None:
    real, earlier, others = population
    mine = Person(0)
    mine.dice = random.Random(99)
    systems = {"imitator": replies(mine.talk(160))}
    systems |= {f"impostor {n}": replies(Person(n + 50).talk(160)) for n in range(6)}
    if part == "traits":
        people = {who: replies(said) for who, said in others.items()}
        found = trait_parts(replies(real), systems, replies(earlier), people, times=TIMES, seed=1)
    else:
        found = manner_parts(real, systems, earlier, others, times=TIMES, seed=1)
    values = {name: one.relative.value for name, one in found.items() if one.relative}
    impostors = [value for name, value in values.items() if name != "imitator"]
    assert values["imitator"] > 0.8
    assert np.mean(impostors) < 0.35, "some person is nearer than most, but not all"
    figure = found["imitator"].as_dict()
    assert figure["ceiling"] > figure["control"]
    assert figure["ci95"][0] <= figure["value"] <= figure["ci95"][1]
    assert figure["n"] == 160


def test_manner_is_judged_by_situation(
    population: tuple[list[Said], list[Said], dict[str, list[Said]]],
) -> None:
    real, earlier, others = population
    misplaced = replies(real)
    misplaced[::2], misplaced[1::2] = misplaced[1::2], misplaced[::2]
    systems = {"in place": replies(real), "misplaced": misplaced}
    found = manner_parts(real, systems, earlier, others, times=TIMES, seed=1)
    assert found["in place"].x is not None and found["misplaced"].x is not None
    assert found["in place"].x > found["misplaced"].x + 0.01, "the same replies, elsewhere"


def test_too_little_text_is_no_figure() -> None:
    few = Person(0).talk(20)
    people = {str(n): Person(n).talk(260) for n in range(1, 8)}
    texts = {who: replies(said) for who, said in people.items()}
    traits = trait_parts(
        replies(few), {"twin": replies(few)}, replies(few), texts, times=TIMES, seed=1
    )["twin"]
    manner = manner_parts(few, {"twin": replies(few)}, few, people, times=TIMES, seed=1)["twin"]
    for part in (traits, manner):
        assert part.as_dict()["value"] is None and part.note and "needed" in part.note
    enough = Person(0).talk(160)
    lonely = manner_parts(
        enough, {"twin": replies(enough)}, Person(0).talk(500), {}, times=TIMES, seed=1
    )["twin"]
    assert lonely.relative is None and lonely.note


def test_the_rater_is_relative_to_the_population() -> None:
    people = [count_markers(replies(Person(n).talk(200))).sum(axis=0)[None] for n in range(12)]
    samples = [np.concatenate([one, one * 1.01]) for one in people]
    rater = Rater.of(samples, np.array(samples))
    profiles = rater.profiles(np.concatenate(people))
    assert np.allclose(profiles.mean(axis=0), 0, atol=0.05)
    alike = rater.agreement(people[0], people[0])
    average = np.concatenate(people).mean(axis=0)[None]
    assert alike[0, 0] == 1.0
    distinct = int(np.argmax(np.abs(profiles).sum(axis=1)))
    assert rater.agreement(average, people[distinct])[0, 0] < 0.5, "the average person wins nothing"


def test_the_rater_is_frozen_and_knows_thai() -> None:
    assert markers.fingerprint() == "cf2662002a22", "raise markers.VERSION when the lists change"
    thai = count_markers(["แม่กับเพื่อนไม่ชอบฝน เสียใจมาก"])[0]
    named = dict(zip([*markers.CATEGORIES, "words"], thai, strict=True))
    assert [named[kind] for kind in ("family", "friends", "negations", "sadness")] == [1, 1, 1, 1]
    assert named["words"] > 3
    for signs in markers.SIGNS.values():
        assert set(signs) <= set(markers.CATEGORIES)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("I'm so sad today, my dog died", "emotion"),
        ("วันนี้เหนื่อยมากเลย", "emotion"),
        ("hahaha you are funny", "joke"),
        ("5555 ตลกมาก", "joke"),
        ("Hey! How are you?", "greeting"),
        ("สวัสดีค่ะ", "greeting"),
        ("Where do you live?", "question"),
        ("ไปไหนมั้ย", "question"),
        ("you're wrong and rude", "conflict"),
        ("the meeting is at five", "other"),
        ("", "other"),
    ],
)
def test_situations_follow_the_rules(message: str, expected: str) -> None:
    assert situation(message) == expected


@given(st.lists(st.text(max_size=60), min_size=1, max_size=20))
def test_every_reply_has_one_bucket_of_every_feature(texts: list[str]) -> None:
    features = ReplyFeatures(common_openings(texts))
    rows = features.rows(texts)
    sums = np.add.reduceat(rows, features.starts, axis=1)
    assert (sums == 1).all()
    assert all(situation(text) in SITUATIONS for text in texts)


@given(st.lists(st.floats(0, 30), min_size=1, max_size=30), st.floats(1, 50), st.integers(0, 9))
def test_samples_are_as_large_as_asked_for(sizes: list[float], target: float, seed: int) -> None:
    rows = np.array(sizes)[:, None]
    drawn = sample_to_size(rows, rows[:, 0], target, 5, np.random.default_rng(seed))
    if sum(sizes) < target:
        assert drawn is None
    elif drawn is not None:
        assert (drawn >= target - 1e-9).all() and (drawn <= target + max(sizes) + 1e-9).all()


def test_samples_hold_as_many_of_each_situation() -> None:
    groups = np.array([0, 0, 0, 1, 1, 2])
    rows = np.eye(3)[groups]
    drawn = sample_by_group(rows, groups, {0: 2, 1: 1}, 4, np.random.default_rng(1))
    assert drawn is not None and (drawn == [2, 1, 0]).all()
    assert sample_by_group(rows, groups, {2: 2}, 4, np.random.default_rng(1)) is None


def drawn(value: float, spread: float = 0.01, seed: int = 0) -> Drawn:
    return Drawn(value, np.random.default_rng(seed).normal(value - 0.2, spread, TIMES))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_relative_agreement_is_a_share_or_nothing(x: float, low: float, high: float) -> None:
    part = relative_part(drawn(x), drawn(low), drawn(high), 9)
    if high > low:
        assert part.relative is not None and 0 <= part.relative.value <= 1
    else:
        assert part.relative is None and part.note


def test_resamples_are_moved_to_where_the_figure_is() -> None:
    part = relative_part(drawn(0.5, seed=1), drawn(0.0, seed=2), drawn(1.0, seed=3), 9)
    assert part.relative is not None
    assert abs(float(np.median(part.relative.draws)) - 0.5) < 0.01


def test_the_total_says_which_parts_it_lacks() -> None:
    part = relative_part(drawn(0.5), drawn(0.0), drawn(1.0), 9)
    total = mean_of({"traits": part, "facts": unmeasured(3, "3 questions")})
    assert total.relative is not None and total.relative.value == part.relative.value  # type: ignore[union-attr]
    assert total.note is not None and "facts" in total.note
    assert mean_of({"facts": unmeasured(3, "")}).as_dict()["value"] is None


def test_two_systems_are_compared_resample_by_resample() -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, TIMES)
    better, worse = (Part(9, Drawn(v, v + noise)) for v in (0.6, 0.5))
    delta = paired_difference(better, worse)["delta"]
    assert delta["ci95"][0] > 0.09, "noise they share does not hide the difference"
    assert paired_difference(better, unmeasured(0, ""))["delta"]["value"] is None
