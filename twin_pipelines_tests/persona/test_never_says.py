"""A never-say is found as words of its own, kept once, and stands on the persona page."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_core_identity import GENERATED_LINES, SETTINGS, lines

from twin_pipelines.persona.identity.compose import regenerated, sections_of
from twin_pipelines.persona.never_says import never_section, says, tidy_phrase
from twin_pipelines.persona.never_says_store import add_never_say, drop_never_say, phrases
from twin_pipelines.settings import TwinError


@pytest.mark.parametrize(
    ("text", "phrase", "found"),
    [
        ("No way", "no", True),
        ("I know", "no", False),
        ("no_one", "no", False),
        ("SHUT   up!", "shut up", True),
        ("shut-up", "shut up", False),
        ("don’t do that", "don't", True),
        ("ขอโทษนะจ๊ะคนดี", "จ๊ะ", True),
        ("น่ารัก", "นา", False),
        ("เธอไปนะครับ", "ไป", True),
        ("ok😡", "😡", True),
        ("hiครับ", "hi", True),
        ("(lol)", "lol", True),
        ("", "lol", False),
    ],
)
def test_a_phrase_is_found_as_words_of_its_own(text: str, phrase: str, found: bool) -> None:
    assert says(text, [phrase]) is found


@given(st.text(max_size=30), st.text(min_size=1, max_size=20))
def test_whatever_phrase_is_kept_is_found_alone_and_spoils_no_search(text: str, raw: str) -> None:
    try:
        phrase = tidy_phrase(raw)
    except TwinError:
        return
    says(text, [phrase])
    assert says(phrase, [phrase])


@pytest.mark.parametrize("phrase", ["", "  ", "...", "?!", "x" * 201])
def test_what_is_no_phrase_is_refused(phrase: str) -> None:
    with pytest.raises(TwinError, match="never-say"):
        tidy_phrase(phrase)


def test_a_phrase_is_kept_once_in_any_case(connection: psycopg.Connection) -> None:
    first = add_never_say(connection, "Darling", "too sweet")
    again = add_never_say(connection, " darling ")
    assert (again.never_id, again.reason) == (first.never_id, "too sweet")
    add_never_say(connection, "คนดี")
    assert phrases(connection) == ["Darling", "คนดี"]
    assert drop_never_say(connection, first.never_id)
    assert not drop_never_say(connection, first.never_id)
    assert phrases(connection) == ["คนดี"]


def test_the_page_says_what_is_never_said_and_not_that_it_is_often_said() -> None:
    told = GENERATED_LINES | {"says": lines("phrase", "my darling", "no worries")}
    sections = sections_of(told, "Sue", "en")
    never = never_section(["no worries", "call 081-234-5678"], sections)
    page = regenerated("sue", sections, never, None, SETTINGS).content
    assert "## Sue never says\nno worries, lol, omg" in page
    assert "## Sue often says\nmy darling\n" in page
    assert "081" not in page
    again = regenerated("sue", sections, never_section([], sections), None, SETTINGS).content
    assert "no worries" in again.partition("often says")[2]
