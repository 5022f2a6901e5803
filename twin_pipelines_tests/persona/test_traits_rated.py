"""Tendencies: told apart where somebody differs, and not where only their amount of text does."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from twin_pipelines.persona.traits import standing as traits
from twin_pipelines.persona.traits.standing import TRAITS, TooLittle, main_language, traits_of

NEUTRAL = ["table", "river", "stone", "blue", "paper", "garden", "window", "yellow", "bread"]
WARM = ["love", "friends", "family", "together", "thanks", "sweet", "home", "party"]
COLD = ["hate", "stupid", "damn", "angry"]


def talk(seed: int, turns: int, warm: float = 0.06, cold: float = 0.02) -> list[str]:
    """Turns of twelve words, some of them warm and some cold."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(3, p=[1 - warm - cold, warm, cold], size=(turns, 12))
    lists = (NEUTRAL, WARM, COLD)
    return [" ".join(str(rng.choice(lists[kind])) for kind in row) for row in kinds]


def frame(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "text": texts,
            "session_id": [f"s{at // 10}" for at in range(len(texts))],
            "raw_ids": [[f"m{at}"] for at in range(len(texts))],
        }
    )


@pytest.fixture(scope="module")
def people() -> dict[str, list[str]]:
    rng = np.random.default_rng(5)
    rates = zip(rng.uniform(0.02, 0.1, 16), rng.uniform(0.005, 0.035, 16), strict=True)
    return {f"p{n}": talk(n, 300, *rate) for n, rate in enumerate(rates)}


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traits, "DRAWS", 60)


def by_name(rated: pl.DataFrame) -> dict[str, dict[str, float]]:
    return {row["trait"]: row for row in rated.iter_rows(named=True)}


def test_somebody_warm_is_told_apart_and_the_messages_show_it(
    people: dict[str, list[str]],
) -> None:
    said = talk(99, 400, warm=0.25, cold=0.0)
    rated = traits_of(frame(said), people)
    assert rated.schema == pl.Schema(TRAITS)
    warm = by_name(rated)["agreeableness"]
    assert warm["low"] > 0
    assert "warmth" in str(warm["words"])
    assert "no diagnosis" in str(warm["words"])
    shown = [said[int(message.removeprefix("m"))] for message in warm["message_ids"]]  # type: ignore[attr-defined]
    assert all(any(word in text for word in WARM) for text in shown)


def test_writing_more_than_others_is_no_tendency(people: dict[str, list[str]]) -> None:
    """Rates of rare words rise with the length of a text, so only equal lengths are compared."""
    rated = by_name(traits_of(frame(talk(98, 3_000, warm=0.06, cold=0.02)), people))
    apart = [name for name, row in rated.items() if row["low"] > 0 or row["high"] < 0]
    assert len(apart) <= 2, apart
    assert abs(rated["agreeableness"]["value"]) < 0.8


def test_every_tendency_says_its_interval_and_how_little_it_says(
    people: dict[str, list[str]],
) -> None:
    rated = traits_of(frame(talk(97, 300)), people)
    assert rated.height == 15
    assert rated.filter(~pl.col("value").is_between("low", "high")).is_empty()
    assert all("95 %" in words and "r =" in words for words in rated["words"])


def test_too_little_of_either_side_is_said_instead_of_guessed(
    people: dict[str, list[str]],
) -> None:
    with pytest.raises(TooLittle, match="the subject wrote"):
        traits_of(frame(talk(1, 5)), people)
    with pytest.raises(TooLittle, match="other people wrote"):
        traits_of(frame(talk(1, 300)), {"p0": people["p0"], "p1": ["hi"]})


def test_the_language_of_a_page_is_the_one_written_most() -> None:
    assert main_language(pl.DataFrame({"language": ["th", "th+en", "en"]})) == "th"
    assert main_language(pl.DataFrame({"language": ["th", "en", "en", "none"]})) == "en"
    assert main_language(pl.DataFrame(schema={"language": pl.String})) == "en"
