"""Texts are found whatever their case and punctuation, as the database compares them."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.automation.erasure.pages import trimmed, without_lines
from twin_pipelines.automation.erasure.request import Request
from twin_pipelines.automation.erasure.sayings import Sayings, spoken, telling
from twin_pipelines.persona.identity.page import EDITED, Line, Page, Section
from twin_pipelines.settings import TwinError

WORDS = st.lists(st.sampled_from(["a", "bb", "Ccc", "dd!", "ไป", "e", "a,"]), max_size=12)


@given(st.lists(WORDS, max_size=6), WORDS)
def test_a_saying_is_found_exactly_where_it_stands(
    looked_for: list[list[str]], said: list[str]
) -> None:
    texts = [" ".join(words) for words in looked_for]
    text = " ".join(said)
    wanted = [spoken(one) for one in texts if telling(spoken(one))]
    assert Sayings(texts).said_in(text) == any(one in spoken(text) for one in wanted)


def test_words_are_compared_as_the_database_compares_them(connection: psycopg.Connection) -> None:
    texts = ["Hello, WORLD! it's me", "  สวัสดี…ค่ะ 🌞 ", "“quoted” — and so", "a\tb\nc", "!?", ""]
    found = connection.execute(
        "select spoken_words(text) from unnest(%s::text[]) with ordinality as t (text, n) "
        "order by n",
        (texts,),
    ).fetchall()
    assert [said for (said,) in found] == [spoken(text) for text in texts]


@pytest.mark.parametrize(
    ("said", "tells"),
    [
        ("ok then", False),
        ("see you on sunday", True),
        ("ไปไหนมา", False),
        ("เมื่อวานไปทะเลกับแม่", True),
        ("", False),
    ],
)
def test_what_anybody_says_tells_nothing(said: str, tells: bool) -> None:
    assert telling(said) is tells


def test_what_the_owner_wrote_in_place_of_a_line_stays() -> None:
    lines = (
        Line("1", "Likes tea", message_ids=("m1",)),
        Line("2", "Lives in Nan", EDITED, ("m1",), was="Lives near the old bridge in Nan"),
        Line("3", "Says haha", message_ids=("m1", "m2")),
        Line("4", "never", message_ids=()),
    )
    page, dropped = trimmed(Page((Section("s", "S", lines),)), {"m1"}, Sayings([]))
    assert [(line.text, line.message_ids, line.was) for line in page.lines()] == [
        ("Lives in Nan", (), ""),
        ("Says haha", ("m2",), ""),
        ("never", (), ""),
    ]
    assert dropped == ["Likes tea"]


def test_a_word_goes_out_of_a_row_of_words_and_a_line_out_of_a_prompt() -> None:
    prompt = "You are Ann.\n\n## Likes\ntea, old bridges, rain\n- Lives in Nan"
    assert without_lines(prompt, ["old bridges", "Lives in Nan"], Sayings([])) == (
        "You are Ann.\n\n## Likes\ntea, rain"
    )


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({}, "Nothing was named"),
        ({"person": "  "}, "--person is empty"),
        ({"message": "seven"}, "no message's id"),
        ({"person": "Anna", "reason": "because anna asked"}, "may not name"),
        ({"person": "Anna", "keep_serving": True}, "--reason"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(named: dict[str, object], told: str) -> None:
    with pytest.raises(TwinError, match=told):
        Request("tester", **named)  # type: ignore[arg-type]
