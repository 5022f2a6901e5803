"""Importance is a mean of named parts, and each part moves the way its name says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.foundation.similarity import normal_text
from twin_pipelines.memory.importance import (
    EXPLICIT,
    KIND_WEIGHT,
    OF_ONE,
    PARTS,
    UNKNOWN,
    combine,
    measure,
    novelty,
    parts_of,
    weigh,
)
from twin_pipelines.persona.statements.patterns import KINDS
from twin_pipelines.settings import ImportanceWeights, TwinError

WEIGHTS = ImportanceWeights()
SAID = datetime(2018, 5, 1, tzinfo=UTC)


def told(*rows: tuple[str, str] | tuple[str, str, str | None]) -> pl.DataFrame:
    """Statements of (kind, text) or (kind, text, answer), measured."""
    full = [(*row, "ok")[:3] for row in rows]
    frame = pl.DataFrame(
        full, schema={"kind": pl.String, "text": pl.String, "answer": pl.String}, orient="row"
    )
    return measure(frame.with_columns(normal_text(pl.col("text")).alias("bare")))


def part(name: str, *rows: tuple[str, str] | tuple[str, str, str | None]) -> list[float | None]:
    return told(*rows)[name].to_list()


def test_every_kind_of_statement_has_a_weight() -> None:
    assert set(KIND_WEIGHT) == set(KINDS)


def test_what_is_no_statement_is_weighed_by_its_feeling_however_long_it_is() -> None:
    (row,) = told(("session", "I love it! So happy!")).iter_rows(named=True)
    assert row["self_reference"] is row["specificity"] is None
    assert row["emotion"] > 0.3
    plain = part("emotion", ("session", "I was happy once. " + "We walked on and on. " * 40))
    assert plain[0] < 0.1  # type: ignore[operator]


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (("Work and study", "I am a nurse"), ("Likes", "I like sushi")),
        (("Likes", "I love painting"), ("Likes", "I love pizza")),
        (("Home", "I live in Khon Kaen"), ("Home", "I live in Khon Kaen tonight")),
        (("Family and relations", "My mom has cancer"), ("Family and relations", "My mom saw it")),
        (("Likes", "ผมชอบเล่นกีตาร์"), ("Likes", "ผมชอบกินส้มตำ")),
        (("Family and relations", "แม่ของผมเป็นมะเร็ง"), ("Family and relations", "แม่ของผมหลับ")),
        (("Plans and promises", "หนูอยากไปเรียนต่อที่เยอรมัน"), ("Plans and promises", "หนูอยากไปนอน")),
        (("Habits and skills", "I play chess"), ("Habits and skills", "I never heard that story")),
    ],
)
def test_what_shapes_a_life_says_more_than_what_is_consumed_or_passes(
    more: tuple[str, str], less: tuple[str, str]
) -> None:
    high, low = part("self_reference", more, less)
    assert high is not None
    assert low is not None
    assert high > low


def test_names_and_numbers_are_specific_and_pointing_words_are_not() -> None:
    named, plain, pointing = part(
        "specificity",
        ("Likes", "I like Chiang Mai in 2018"),
        ("Likes", "I like rain"),
        ("Likes", "I like it there"),
    )
    assert named > plain > pointing  # type: ignore[operator]
    named, plain, pointing = part(
        "specificity",
        ("Likes", "ผมชอบปีนเขากับพี่สาวที่เชียงดาว"),
        ("Likes", "ผมชอบแมว"),
        ("Likes", "ผมชอบอันนี้"),
    )
    assert named > plain > pointing  # type: ignore[operator]


def test_feeling_is_read_in_both_languages_and_from_emoji() -> None:
    calm, mild, strong, thai, emoji = part(
        "emotion",
        ("Feelings", "I walked home"),
        ("Feelings", "I am happy"),
        ("Feelings", "I cried when my dog died"),
        ("Feelings", "เราร้องไห้ คิดถึงแม่มาก"),
        ("Feelings", "home 😭"),
    )
    assert calm == 0
    assert 0 < mild < strong < 1  # type: ignore[operator]
    assert thai > mild  # type: ignore[operator]
    assert emoji > mild  # type: ignore[operator]


def test_an_answer_that_takes_up_asks_and_feels_counts_and_none_says_nothing() -> None:
    statement = ("Work and study", "I teach piano")
    reactions = part(
        "partner_reaction",
        (*statement, None),
        (*statement, "k"),
        (*statement, "piano is hard"),
        (*statement, "Wow, piano! Since when?"),
    )
    assert reactions == [None, 0, 0.4, 1.0]
    assert part("partner_reaction", ("Likes", "ผมชอบแมว", "แมวน่ารัก ชื่ออะไรคะ?")) == [1.0]


def test_asking_to_remember_outweighs_and_not_asking_costs_nothing() -> None:
    asked, plain = told((EXPLICIT, "remember that I hum"), ("Home", "I live in Rome")).iter_rows(
        named=True
    )
    assert asked["explicit"] == 1
    assert plain["explicit"] is None
    without = weigh(pl.DataFrame([{name: plain[name] for name in OF_ONE}]), WEIGHTS)
    asked_too = weigh(
        pl.DataFrame([{name: plain[name] for name in OF_ONE} | {"explicit": 1.0}]), WEIGHTS
    )
    assert asked_too["importance"][0] > without["importance"][0] + 0.05


def test_the_same_said_in_more_sessions_weighs_more_and_twice_in_one_does_not() -> None:
    one = told(("Home", "I live in Rome")).with_columns(group=pl.lit(1), session_id=pl.lit("a"))
    other = one.with_columns(session_id=pl.lit("b"))
    once, twice, again = (
        weigh(combine(pl.concat(rows)), WEIGHTS).row(0, named=True)
        for rows in ([one], [one, one], [one, other])
    )
    assert (once["sessions"], twice["sessions"], again["sessions"]) == (1, 1, 2)
    assert once["importance"] == twice["importance"] < again["importance"]
    assert (once["repetition"], again["repetition"]) == (0, 0.5)


def test_the_best_of_all_times_it_was_said_counts() -> None:
    rows = told(("Home", "I live in Rome", None), ("Home", "I live in Rome", "Rome! Since when?"))
    evidence = rows.with_columns(group=pl.lit(1), session_id=pl.lit("a"))
    assert combine(evidence)["partner_reaction"].to_list() == [1.0]


def test_what_is_said_later_changes_no_earlier_novelty() -> None:
    groups = pl.DataFrame(
        {
            "group": [1, 2, 3, 4],
            "about": ["sue", "sue", "bob", "sue"],
            "said_at": [SAID + timedelta(days=day) for day in (0, 1, 2, 3)],
            "gist": [["piano"], ["piano", "teach"], ["piano"], []],
        },
        schema_overrides={"gist": pl.List(pl.String)},
    )
    assert novelty(groups).rows() == [(1, 1.0), (2, 0.75), (3, 1.0), (4, None)]
    assert novelty(groups.head(2)).rows() == novelty(groups).rows()[:2]
    assert novelty(groups.reverse()).sort("group").rows() == novelty(groups).rows()
    assert novelty(groups.clear()).height == 0


def test_parts_survive_being_written_down_and_read_again() -> None:
    frame = pl.DataFrame([{"emotion": 0.25, "specificity": None, "explicit": 1.0}])
    weighed = weigh(frame, WEIGHTS)
    assert json.loads(weighed["importance_parts"][0]) == {"emotion": 0.25, "explicit": 1.0}
    read = parts_of(weighed.select("importance", "importance_parts"))
    assert weigh(read, WEIGHTS)["importance"][0] == weighed["importance"][0]
    unknown = parts_of(pl.DataFrame({"importance_parts": ["{}"]})).row(0, named=True)
    assert [unknown[name] for name in PARTS] == [None] * 7


def test_weights_of_nothing_are_refused_and_nothing_known_is_middling() -> None:
    nothing = ImportanceWeights(**dict.fromkeys(PARTS, 0.0))
    with pytest.raises(TwinError, match=r"memory\.weights"):
        weigh(pl.DataFrame({"emotion": [0.5]}), nothing)
    unknown = weigh(pl.DataFrame({"emotion": [None]}, schema={"emotion": pl.Float64}), WEIGHTS)
    assert unknown.row(0) == (None, UNKNOWN, "{}")
    assert weigh(pl.DataFrame({"other": [1]}), WEIGHTS)["importance"].to_list() == [UNKNOWN]


_PART = st.none() | st.floats(0, 1)


@given(st.fixed_dictionaries(dict.fromkeys(PARTS, _PART)))
def test_importance_lies_between_its_least_and_greatest_known_part(
    parts: dict[str, float | None],
) -> None:
    frame = pl.DataFrame([parts], schema=dict.fromkeys(PARTS, pl.Float64))
    row = weigh(frame, WEIGHTS).row(0, named=True)
    known = [value for value in parts.values() if value is not None]
    if known:
        assert min(known) - 1e-3 <= row["importance"] <= max(known) + 1e-3
    assert set(json.loads(row["importance_parts"])) == {
        name for name, value in parts.items() if value is not None
    }


@given(st.sampled_from(KINDS), st.text(max_size=80), st.none() | st.text(max_size=40))
def test_any_statement_can_be_measured(kind: str, text: str, answer: str | None) -> None:
    row = told((kind, text, answer)).row(0, named=True)
    values = [row[name] for name in OF_ONE if row[name] is not None]
    assert all(0 <= value <= 1 for value in values)


def test_nothing_measured_is_nothing() -> None:
    empty = told(("Likes", "x")).clear().select("kind", "text", "bare", "answer")
    assert measure(empty).height == 0
    assert weigh(measure(empty), WEIGHTS).height == 0
