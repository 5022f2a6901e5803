"""A chat goes on where it stopped, follows what its client changed, and leaves mind by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from twin_pipelines.generation.prompt import Message
from twin_pipelines.serving import chats as chatting
from twin_pipelines.serving.chats import Chats, NotKept, Opened
from twin_pipelines.serving.chats_store import Chat
from twin_pipelines.serving.hooks import Answered
from twin_pipelines.settings import Serving, TwinSettings

SETTINGS = TwinSettings(serving=Serving(context_tokens=512, memory_tokens=0))
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
SYSTEM: Message = {"role": "system", "content": "be short"}


@pytest.fixture
def chats(database_url: str) -> Iterator[Chats]:
    made = Chats(database_url, SETTINGS)
    yield made
    made.close()


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def twin(text: str) -> Message:
    return {"role": "assistant", "content": text}


def talk(chats: Chats, wish: str, text: str, answer: str, **given: bool) -> tuple[Opened, int]:
    """Say one thing as a client that sends the new words only."""
    opened = chats.open(wish, [user(text)], **given)
    place = chats.said(opened, Answered(answer, "champion", "twin-v1-a", "a1", opened.messages))
    assert place is not None
    return opened, place


def words(opened: Opened) -> list[str]:
    return [message["content"] for message in opened.messages]


def rows(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}").fetchone()
    connection.rollback()
    return row[0] if row else 0


def summed_up(chats: Chats, chat: str) -> Chat:
    """The chat, once its summary is made."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = chats.told(UUID(chat))
        assert found
        if found[0].summarised > 20:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("the chat was not summed up")


def test_only_the_new_words_are_sent_and_the_chat_goes_on(
    chats: Chats, database_url: str, connection: psycopg.Connection
) -> None:
    opened, place = talk(chats, "new", "my name is Ann", "hi Ann")
    assert (place, opened.resumed) == (1, 0)
    chats.close()
    restarted = Chats(database_url, SETTINGS)
    again = restarted.open(opened.chat_id, [SYSTEM, user("what is my name?")])
    assert words(again) == ["be short", "my name is Ann", "hi Ann", "what is my name?"]
    assert again.resumed == 2 and again.problem == ""
    assert restarted.said(again, Answered("Ann", "champion")) == 3
    restarted.close()
    kept = connection.execute(
        "select role, content, backend, release, adapter_id, prompt from chat_turns order by place"
    ).fetchall()
    assert kept[1] == ("assistant", "hi Ann", "champion", "twin-v1-a", "a1", opened.messages)
    assert kept[2] == ("user", "what is my name?", "", "", None, None)


def test_opening_leaves_nothing_behind(chats: Chats, connection: psycopg.Connection) -> None:
    chats.open("new", [user("hello")])
    chats.open(str(uuid4()), [user("hello")], consent=True)
    assert rows(connection, "chats") == 0


def test_a_client_that_sends_the_whole_chat_is_not_told_it_twice(chats: Chats) -> None:
    opened, _ = talk(chats, "new", "one", "two")
    whole = [user("one"), twin("two"), user("three")]
    again = chats.open(opened.chat_id, whole)
    assert words(again) == ["one", "two", "three"] and again.resumed == 0
    assert chats.said(again, Answered("four", "champion")) == 3
    trimmed = chats.open(opened.chat_id, [user("three"), twin("four"), user("five")])
    assert words(trimmed) == ["one", "two", "three", "four", "five"] and trimmed.resumed == 2


def test_another_answer_and_a_changed_turn_replace_what_was_kept(chats: Chats) -> None:
    opened, _ = talk(chats, "new", "one", "two")
    talk(chats, opened.chat_id, "three", "four")
    other = chats.open(opened.chat_id, [user("one"), twin("two"), user("three")])
    assert chats.said(other, Answered("another four", "champion")) == 3
    changed = chats.open(opened.chat_id, [user("uno"), twin("two"), user("three")])
    assert words(changed) == ["uno", "two", "three"]
    assert chats.said(changed, Answered("five", "champion")) == 3
    again = chats.open(opened.chat_id, [user("six")])
    assert words(again) == ["uno", "two", "three", "five", "six"]


def test_what_no_longer_fits_is_summed_up_and_comes_back_after_a_restart(
    chats: Chats, database_url: str
) -> None:
    opened, _ = talk(chats, "new", "my sister Malee moved to Lampang in 2016", "nice")
    for number in range(20):
        talk(chats, opened.chat_id, f"we had tea again, cup {number} was good", "yes it was so")
    assert "Malee" in summed_up(chats, opened.chat_id).summary
    restarted = Chats(database_url, SETTINGS)
    again = restarted.open(opened.chat_id, [user("who lives there?")])
    (summary,) = again.session
    assert summary.kind == "session" and "them: my sister Malee" in summary.text
    assert 2 < len(again.messages) < 20
    assert "my sister" not in " ".join(words(again))
    restarted.close()


def test_cutting_below_the_summary_makes_a_new_one(chats: Chats) -> None:
    opened, _ = talk(chats, "new", "my sister Malee moved to Lampang in 2016", "nice")
    for number in range(20):
        talk(chats, opened.chat_id, f"we had tea again, cup {number} was good", "yes it was so")
    summed_up(chats, opened.chat_id)
    other = [user("my brother Somchai is a nurse in Phuket"), twin("nice"), user("and?")]
    again = chats.open(opened.chat_id, other)
    assert again.session == () and words(again) == [turn["content"] for turn in other]
    chats.said(again, Answered("good", "champion"))
    found = chats.told(UUID(opened.chat_id))
    assert found and (found[0].summary, found[0].turns) == ("", 4)


@pytest.mark.parametrize("consented", [False, True])
def test_a_silent_chat_is_out_of_mind_and_without_consent_gone(
    chats: Chats, connection: psycopg.Connection, consented: bool
) -> None:
    opened, _ = talk(chats, "new", "my name is Ann", "hi Ann", consent=consented)
    connection.execute("update chats set last_at = now() - interval '25 hours'")
    connection.commit()
    again, place = talk(chats, opened.chat_id, "what is my name?", "who are you?")
    assert words(again) == ["what is my name?"] and again.session == ()
    assert place == (3 if consented else 1)
    assert rows(connection, "chat_turns") == place + 1
    assert words(chats.open(opened.chat_id, [user("so?")])) == [
        "what is my name?",
        "who are you?",
        "so?",
    ]


def test_chats_out_of_mind_are_swept_away_by_any_other(
    chats: Chats, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chatting, "SWEEP_SECONDS", 0.0)
    talk(chats, "new", "hello", "hi")
    connection.execute("update chats set last_at = now() - interval '25 hours'")
    connection.commit()
    chats.open(str(uuid4()), [user("hello")])
    assert rows(connection, "chats") == rows(connection, "chat_turns") == 0


def test_consent_is_given_and_withdrawn_by_any_request(
    chats: Chats, connection: psycopg.Connection
) -> None:
    def consented() -> bool:
        row = connection.execute("select consented from chats").fetchone()
        connection.rollback()
        return bool(row and row[0])

    opened, _ = talk(chats, "new", "hello", "hi")
    assert not consented()
    chats.open(opened.chat_id, [user("you may keep this")], consent=True)
    assert consented()
    talk(chats, opened.chat_id, "more", "yes")
    assert consented()
    chats.open(opened.chat_id, [user("do not keep this")], consent=False)
    assert not consented()


def test_what_postgresql_cannot_hold_is_kept_without_it(chats: Chats) -> None:
    opened, _ = talk(chats, "new", "a\0b \ud83d c", "d\0e")
    assert words(chats.open(opened.chat_id, [user("x")])) == ["ab ? c", "de", "x"]


def test_an_empty_answer_is_kept_and_asked_with_no_more(chats: Chats) -> None:
    opened, place = talk(chats, "new", "hello", "")
    assert place == 1
    assert words(chats.open(opened.chat_id, [user("well?")])) == ["hello", "well?"]


def test_two_answers_at_once_both_get_a_place(chats: Chats) -> None:
    opened, _ = talk(chats, "new", "hello", "hi")
    first, second = (chats.open(opened.chat_id, [user(text)]) for text in ("a", "b"))
    places = {chats.said(one, Answered("so", "champion")) for one in (first, second)}
    assert places == {3, 5}


def test_without_the_database_the_chat_is_answered_as_it_was_sent() -> None:
    chats = Chats(NOWHERE, SETTINGS)
    opened = chats.open(str(uuid4()), [SYSTEM, user("hello")])
    assert words(opened) == ["be short", "hello"]
    assert "is not kept" in opened.problem and "127.0.0.1:1" in opened.problem
    assert chats.said(opened, Answered("hi", "champion")) is None
    fresh = chats.open("new", [user("hello")])
    with pytest.raises(NotKept, match="does not answer; see /readyz"):
        chats.said(fresh, Answered("hi", "champion"))
    chats.close()


def test_a_database_that_was_restarted_is_met_again(
    chats: Chats, connection: psycopg.Connection
) -> None:
    opened, _ = talk(chats, "new", "hello", "hi")
    connection.autocommit = True
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert words(chats.open(opened.chat_id, [user("there?")])) == ["hello", "hi", "there?"]
