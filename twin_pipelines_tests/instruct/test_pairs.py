"""Pairs are what the subject answered, to whom it was answered, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin_pipelines.instruct import exclusions
from twin_pipelines.instruct.pairs import PAIR_SCHEMA, build_pairs
from twin_pipelines.instruct.people import NameMask, has_contact, pseudonym, without_contact
from twin_pipelines.settings import Pairs

Talk = Callable[..., pl.DataFrame]
SUBJECT = "sue"


def made(turns: pl.DataFrame, **knobs: int) -> pl.DataFrame:
    return build_pairs(turns, SUBJECT, Pairs(**knobs), 0.8)


def only(turns: pl.DataFrame, **knobs: int) -> dict:
    return made(turns, **knobs).row(0, named=True)


def test_a_reply_carries_its_context_its_message_and_all_their_messages(talk: Talk) -> None:
    turns = talk(
        [("bob", "hi there"), ("sue", "hey you"), ("bob", "had lunch?"), ("sue", "not yet")]
    )
    pair = made(turns).row(1, named=True)
    assert pair["context"] == [
        {"role": "user", "content": "hi there"},
        {"role": "assistant", "content": "hey you"},
    ]
    assert (pair["input"], pair["reply"]) == ("had lunch?", "not yet")
    assert pair["message_ids"] == turns["id"].to_list()
    assert pair["id"] == turns["id"][3]
    assert pair["excluded"] is None


def test_what_one_side_says_in_two_turns_is_one_message(talk: Talk) -> None:
    turns = talk(
        [("bob", "hello"), ("bob", "you there?"), ("sue", "yes I am"), ("sue", "what's up?", 5)]
    )
    pair = only(turns)
    assert pair["input"] == "hello\nyou there?"
    assert pair["reply"] == "yes I am\nwhat's up?"
    assert made(turns).height == 1


def test_everyone_but_the_subject_is_the_user(talk: Talk) -> None:
    turns = talk(
        [("bob", "who comes?"), ("eve", "me!"), ("sue", "I come too"), ("eve", "nice one")]
    )
    pair = only(turns)
    assert pair["input"] == "who comes?\nme!"
    assert pair["partner"] == pseudonym("eve", SUBJECT)


def test_context_is_limited_in_turns_and_tokens_oldest_cut_first(talk: Talk) -> None:
    said = [("bob" if n % 2 == 0 else "sue", f"turn number {n} " + "x" * 20) for n in range(12)]
    last = made(talk(said), context_turns=3).row(-1, named=True)
    assert [part["content"].split()[2] for part in last["context"]] == ["7", "8", "9"]
    last = made(talk(said), context_tokens=27).row(-1, named=True)
    assert [part["content"].split()[2] for part in last["context"]] == ["8", "9"]
    assert len(last["message_ids"]) == 4
    assert made(talk(said), context_turns=0).row(-1, named=True)["context"] == []


def test_a_monologue_and_an_empty_history_give_no_pairs(talk: Talk) -> None:
    assert made(talk([("sue", "dear diary"), ("sue", "it rained", 5)])).is_empty()
    assert made(talk([("bob", "anyone?"), ("bob", "hello?", 5)])).is_empty()
    nothing = made(talk([]))
    assert nothing.is_empty()
    assert dict(nothing.schema) == PAIR_SCHEMA


def test_a_session_that_the_subject_opens_has_no_pair_before_somebody_answers(talk: Talk) -> None:
    pairs = made(talk([("sue", "good morning all"), ("bob", "morning"), ("sue", "coffee at ten?")]))
    assert pairs["input"].to_list() == ["morning"]
    assert pairs["context"].to_list() == [[{"role": "assistant", "content": "good morning all"}]]


def test_a_day_never_depends_on_the_next(talk: Talk) -> None:
    night = datetime(2018, 5, 1, 23, 50, tzinfo=UTC)
    said = [
        ("bob", "still up?"),
        ("sue", "yes why?"),
        ("sue", "can't sleep", 10),
        ("bob", "me too"),
        ("eve", "hi sue"),
        ("sue", "eve is here too"),
    ]
    turns = talk(said, night)
    whole = made(turns)
    alone = made(turns.filter(pl.col("day") == night.date()))
    assert whole.filter(pl.col("day") == night.date()).equals(alone)
    assert alone["reply"].to_list() == ["yes why?"]
    assert whole["context"].to_list()[1][1]["content"] == "yes why?\ncan't sleep"


def test_thai_replies_are_kept_with_their_language(talk: Talk) -> None:
    turns = talk([("bob", "กินข้าวหรือยัง"), ("sue", "กินแล้วค่ะ อร่อยมากเลย")], language="th")
    pair = only(turns)
    assert (pair["language"], pair["excluded"]) == ("th", None)
    mixed = talk([("bob", "ok?"), ("sue", "ok ค่ะ"), ("sue", "see you", 5)]).with_columns(
        language=pl.Series(["en", "th", "en"])
    )
    assert only(mixed)["language"] == "th+en"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("yes", "the reply has fewer than 2 words"),
        ("hahaha nice", "the reply has fewer than 2 words"),
        ("look at https://example.org/page", None),
        ("https://example.org/page www.example.org", exclusions.NO_WORDS),
        ("12 345 6!", exclusions.NO_WORDS),
        ("write me at sue@example.org then", exclusions.CONTACT),
        ("my number is 081 234 5678 ok", exclusions.CONTACT),
        ("<Media omitted>", exclusions.SYSTEM),
        ("[สติกเกอร์]", exclusions.SYSTEM),
        ("You deleted this message", exclusions.SYSTEM),
        ("word " * 300, "the reply is longer than 1000 characters"),
        ("the photo was great", None),
        ("see you on 2018-05-01 12:30", None),
    ],
)
def test_unfit_replies_say_why(talk: Talk, reply: str, reason: str | None) -> None:
    assert only(talk([("bob", "and?"), ("sue", reply)]))["excluded"] == reason


def test_contact_data_is_not_even_stored(talk: Talk) -> None:
    turns = talk(
        [("bob", "mail bob@example.org or +66 81 234 5678"), ("sue", "call 081-234-5678 then")]
    )
    pair = only(turns)
    assert pair["input"] == "mail [contact] or [contact]"
    assert pair["reply"] == "call [contact] then"


def test_a_reply_repeated_in_the_session_or_word_for_word_on_the_day_counts_once(
    talk: Talk,
) -> None:
    turns = pl.concat(
        [
            talk(
                [
                    ("bob", "Hello!"),
                    ("sue", "hello how are you doing today"),
                    ("bob", "hello"),
                    ("sue", "hello, how are you doing today?!"),
                ]
            ),
            talk(
                [("bob", "sup?"), ("sue", "Hello! How are you doing today")],
                datetime(2018, 5, 1, 18, tzinfo=UTC),
            ),
            talk(
                [("bob", "sup?"), ("sue", "Hello! How are you doing today")],
                datetime(2018, 5, 2, 18, tzinfo=UTC),
            ),
        ]
    )
    assert made(turns)["excluded"].to_list() == [
        None,
        exclusions.REPEATED,
        exclusions.SAME_DAY,
        None,
    ]


def test_names_of_others_become_pseudonyms_and_role_words_stay(talk: Talk) -> None:
    turns = talk([("Rose Miller", "hi"), ("sue", "Rose! a rose for you, rose miller, from sue")])
    name = pseudonym("Rose Miller", SUBJECT)
    assert only(turns)["reply"] == f"{name}! a rose for you, {name}, from sue"
    assert (
        NameMask({"user", "you", "Al", "12345"}, SUBJECT)("you Al user 12345")
        == "you Al user 12345"
    )
    assert NameMask({"เดวิด"}, SUBJECT)("คิดถึงเดวิดนะ") == f"คิดถึง{pseudonym('เดวิด', SUBJECT)}นะ"


def test_pseudonyms_are_stable_and_differ_between_twins() -> None:
    assert pseudonym("bob", "sue") == pseudonym("bob", "sue")
    assert pseudonym("bob", "sue") != pseudonym("bob", "ann")
    assert pseudonym("bob", "sue") != pseudonym("rob", "sue")


@pytest.mark.parametrize(
    "text", ["born 1990, now 2018", "score 10-4-3", "3.14159", "12:30 to 13:45"]
)
def test_ordinary_numbers_are_no_contact_data(text: str) -> None:
    assert not has_contact(text)
    assert without_contact(text) == text


speakers = st.sampled_from(["sue", "bob", "eve"])
words = st.text("abc dé ก?!:) 5@.", min_size=1, max_size=30)
sessions = st.lists(st.lists(st.tuples(speakers, words, st.floats(0, 59)), max_size=12), max_size=5)


@given(sessions, st.integers(0, 4))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pairs_never_leave_their_session_and_replies_are_always_the_subjects(
    talk: Talk, said: list, context_turns: int
) -> None:
    begin = datetime(2018, 5, 1, 22, tzinfo=UTC)
    parts = [talk(part, begin + timedelta(days=3 * n)) for n, part in enumerate(said)]
    turns = pl.concat([*parts, talk([])])
    by_id = {row["id"]: row for row in turns.iter_rows(named=True)}
    pairs = made(turns, context_turns=context_turns)
    assert pairs["id"].is_unique().all()
    for pair in pairs.iter_rows(named=True):
        behind = [by_id[message] for message in pair["message_ids"]]
        assert {turn["session_id"] for turn in behind} == {pair["session_id"]}
        reply = by_id[pair["id"]]
        assert (reply["speaker"], reply["day"]) == ("sue", pair["day"])
        assert len(pair["context"]) <= context_turns
        assert behind == sorted(behind, key=lambda turn: (turn["day"], turn["place"]))
        before = [
            turn for turn in behind if (turn["day"], turn["place"]) < (reply["day"], reply["place"])
        ]
        assert before[-1]["speaker"] != "sue"
        roles = [part["role"] for part in pair["context"]] + ["user"]
        assert all(one != two for one, two in pairwise(roles))
        assert 0 <= pair["quality"] <= 10
        assert abs(sum(pair["quality_parts"].values()) - pair["quality"]) < 0.01
