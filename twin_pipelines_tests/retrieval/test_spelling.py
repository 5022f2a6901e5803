"""A slip of the pen in a question still finds what is meant, and no true word is bent."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.retrieval import find as finding
from twin_pipelines.retrieval.find import Hit, Question, find
from twin_pipelines.retrieval.index.entries import term_number
from twin_pipelines.retrieval.ranking.lexical import terms_of
from twin_pipelines.retrieval.spelling import (
    Spelled,
    distance,
    nearest,
    respelled,
    spellings,
)
from twin_pipelines.retrieval.words_store import spelled_like
from twin_pipelines.settings import TwinSettings
from twin_pipelines_tests.retrieval.searched_history import (
    ENCODER,
    HISTORY,
    add_turns,
    index_all,
    session_id,
)

WORDS = st.text(alphabet="abcdกขค", max_size=7)


def kept_words(connection: psycopg.Connection) -> set[str]:
    return {word for (word,) in connection.execute("select word from search_words").fetchall()}


def found(connection: psycopg.Connection, text: str) -> list[Hit]:
    return find(connection, ENCODER, [Question(text)], k=1, settings=TwinSettings())[0]


def unknown(text: str) -> list[int]:
    return [term_number(term) for term in terms_of(text)]


def all_of(*words: str) -> dict[str, Sequence[Spelled]]:
    return {word: [Spelled(other, 1) for other in words] for word in ("guitr", "zebra", "กาแฟฟ")}


def test_a_slip_finds_the_word_that_is_meant_and_says_so(connection: psycopg.Connection) -> None:
    add_turns(connection, HISTORY)
    index_all(connection)
    for slip in ("zuchini", "zucchinni", "zuchcini", "Zucchino"):
        [hit] = found(connection, f"who took the {slip}")
        assert hit.text == "My puppy ate the zucchini yesterday", slip
        assert "says “zucchini”" in hit.why


def test_a_thai_slip_that_falls_into_pieces_is_put_right(connection: psycopg.Connection) -> None:
    add_turns(
        connection,
        [
            ("ann", "เมื่อวานไปโรงพยาบาลกับแม่", 0),
            ("ann", "ชอบกินทุเรียนมากที่สุด", 1),
            ("ann", "My cat sleeps all day", 2),
        ],
    )
    index_all(connection)
    assert "ทุเรียน" in kept_words(connection)
    for slip, said in (("ทุเรีน", "ทุเรียน"), ("โรงพยายาล", "โรงพยาบาล")):
        [hit] = found(connection, f"{slip}เป็นยังไง")
        assert said in hit.text, slip


def test_a_true_word_that_nobody_said_stays_as_it_is(connection: psycopg.Connection) -> None:
    add_turns(connection, HISTORY)
    index_all(connection)
    words = ["elephant", "orca", "nine", "zz"]
    looked_up = spelled_like(connection, words)
    text = "an elephant and an orca"
    assert respelled(text, unknown(text), lambda _: looked_up) == text


def test_words_that_are_known_are_not_even_looked_up(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_turns(connection, HISTORY)
    index_all(connection)

    def refuse(*_: object) -> dict[str, list[Spelled]]:
        raise AssertionError("nothing was to be looked up")

    monkeypatch.setattr(finding.words_store, "spelled_like", refuse)
    assert found(connection, "who ate the zucchini")
    assert found(connection, "zz 123 42nd 🙂")


def test_words_go_with_the_last_entry_that_holds_them(connection: psycopg.Connection) -> None:
    add_turns(connection, [*HISTORY, ("ben", "My dog is gone", 5)])
    index_all(connection)
    assert {"zucchini", "rex", "puppy", "gone"} - {"rex"} <= kept_words(connection)
    connection.execute("delete from cleaned_messages where session_id = %s", [session_id(2)])
    assert not {"zucchini", "puppy", "rome"} & kept_words(connection), "in the same transaction"
    assert {"town", "pasta", "gone"} <= kept_words(connection)
    connection.execute("update cleaned_messages set text = 'My cat is there' where text ~ 'gone'")
    index_all(connection)
    assert "gone" not in kept_words(connection)


def test_the_nearest_word_wins_and_far_ones_do_not() -> None:
    among = [Spelled("guitars", 9), Spelled("guitar", 1), Spelled("quilts", 50)]
    assert nearest("guitr", among) == "guitar"
    assert nearest("hosue", [Spelled("house", 1), Spelled("horse", 9)]) == "house"
    assert nearest("cart", [Spelled("card", 2), Spelled("part", 90)]) == "card", "the first letter"
    assert nearest("lake", [Spelled("lamb", 9), Spelled("lake", 9)]) == ""
    assert nearest("restaraunt", [Spelled("restaurant", 1)]) == "restaurant"
    assert nearest("anything", []) == ""


def test_only_the_slip_is_replaced_whatever_stands_around_it() -> None:
    text = "Guitr, a guitr's sound; guitrs (GUITR)"
    right = respelled(text, unknown("guitr"), lambda _: all_of("guitar"))
    assert right == "guitar, a guitar's sound; guitrs (guitar)"


@given(WORDS, WORDS)
@settings(deadline=None)
def test_distance_counts_slips_either_way(first: str, second: str) -> None:
    apart = distance(first, second, 20)
    assert apart == distance(second, first, 20)
    assert (apart == 0) == (first == second)
    assert abs(len(first) - len(second)) <= apart <= max(len(first), len(second))
    assert distance(first, second, 1) == min(apart, 2)
    if len(first) > 1:
        assert distance(first, first[1] + first[0] + first[2:], 2) <= 1


@given(st.text(max_size=60), st.booleans())
@settings(deadline=None, max_examples=60)
def test_any_text_can_be_looked_at(text: str, known: bool) -> None:
    assert all(word == word.lower() for word in spellings(text))
    numbers = [] if known else unknown(text)
    assert respelled(text, numbers, lambda words: dict.fromkeys(words, ())) == text
