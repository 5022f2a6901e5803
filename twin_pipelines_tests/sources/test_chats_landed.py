"""What is said to the twin becomes history by consent only, and the twin's words never do."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from twin_pipelines.features.store import account
from twin_pipelines.serving.learner import Learner, clean_days, withdraw
from twin_pipelines.settings import Serving, TwinError, TwinSettings
from twin_pipelines.sources import store
from twin_pipelines.sources.chats import TWIN, VISITOR, land_chats
from twin_pipelines.sources.store import Subject, save_subject

CHAT = "11111111-2222-3333-4444-555555555555"
BEGAN = datetime(2018, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def consenting(twin_home: TwinSettings) -> TwinSettings:
    return twin_home.model_copy(update={"serving": Serving(chat_consent="Sue, 2018-06-01")})


def chat(
    connection: psycopg.Connection, *, consented: bool = True, partner: str = "bob", id: str = CHAT
) -> None:
    connection.execute(
        "insert into chats (chat_id, consented, partner) values (%s, %s, %s)",
        (id, consented, partner),
    )
    connection.commit()


def say(
    connection: psycopg.Connection,
    *turns: str,
    first: int = 0,
    id: str = CHAT,
    seconds: int = 20,
) -> None:
    """Turns of the user and the twin in turn."""
    for place, content in enumerate(turns, first):
        connection.execute(
            "insert into chat_turns (chat_id, place, role, content, said_at, backend) "
            "values (%s, %s, %s, %s, %s, 'champion')",
            (
                id,
                place,
                ("user", "assistant")[place % 2],
                content,
                BEGAN + timedelta(seconds=seconds * place),
            ),
        )
    connection.commit()


def raw(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "select speaker, text from raw_messages order by sent_at, source_message_id"
    ).fetchall()


def cleaned(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "select speaker, text from cleaned_messages order by day, place"
    ).fetchall()


def test_both_sides_land_and_only_the_user_is_history(
    connection: psycopg.Connection, consenting: TwinSettings
) -> None:
    chat(connection)
    say(connection, "I moved to Nan", "I live in Paris", "ฉันชอบแมว", "ok")
    landed = land_chats(connection, consenting)
    assert landed.messages == 4
    assert raw(connection) == [
        ("bob", "I moved to Nan"),
        (TWIN, "I live in Paris"),
        ("bob", "ฉันชอบแมว"),
        (TWIN, "ok"),
    ]
    clean_days(connection, consenting, landed.days)
    assert cleaned(connection) == [("bob", "I moved to Nan"), ("bob", "ฉันชอบแมว")]
    assert store.speakers(connection) == {"bob": 2}
    dropped = connection.execute("select reason from dropped_messages").fetchall()
    assert dropped == [("twin",), ("twin",)]
    (row,) = account(connection, None).to_dicts()
    assert (row["missing"], row["repeated"], row["dropped"]) == (0, 0, 0)
    assert land_chats(connection, consenting).messages == 0


def test_a_user_who_repeats_the_twin_is_kept(
    connection: psycopg.Connection, consenting: TwinSettings
) -> None:
    chat(connection)
    words = "we should really meet at the old market next saturday evening, what do you think"
    say(connection, "hm", words, words)
    clean_days(connection, consenting, land_chats(connection, consenting).days)
    assert cleaned(connection) == [("bob", "hm"), ("bob", words)]


def test_nothing_lands_without_the_owners_consent(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    chat(connection)
    say(connection, "hi", "hello")
    assert land_chats(connection, twin_home).messages == 0
    assert raw(connection) == []


def test_nothing_lands_that_was_said_without_the_chats_consent(
    connection: psycopg.Connection, consenting: TwinSettings
) -> None:
    chat(connection, consented=False)
    say(connection, "a secret", "mm")
    connection.execute("update chats set consented = true")
    say(connection, "no secret", "mm", first=2)
    land_chats(connection, consenting)
    assert [text for _, text in raw(connection)] == ["no secret", "mm"]


@pytest.mark.parametrize("name", ["", "  ", TWIN])
def test_nobody_can_speak_as_the_twin(
    connection: psycopg.Connection, consenting: TwinSettings, name: str
) -> None:
    chat(connection, partner=name)
    say(connection, "I am Napoleon")
    land_chats(connection, consenting)
    assert raw(connection) == [(VISITOR, "I am Napoleon")]


def test_what_is_no_message_is_refused_once_and_accounted_for(
    connection: psycopg.Connection, consenting: TwinSettings
) -> None:
    chat(connection)
    say(connection, "x" * (consenting.cleaning.max_chars + 1), "fine")
    landed = land_chats(connection, consenting)
    assert (landed.messages, landed.rejected) == (1, 1)
    assert land_chats(connection, consenting).rejected == 0
    reasons = connection.execute("select reason from import_problems").fetchall()
    assert "more than" in reasons[0][0]


def test_turns_that_were_cut_leave_the_history(
    connection: psycopg.Connection, consenting: TwinSettings
) -> None:
    chat(connection)
    say(connection, "I like tea", "me too", "I like rain", "me too")
    clean_days(connection, consenting, land_chats(connection, consenting).days)
    connection.execute("delete from chat_turns where place >= 2")
    say(connection, "I like snow", first=2)
    clean_days(connection, consenting, land_chats(connection, consenting).days)
    assert [text for _, text in cleaned(connection)] == ["I like tea", "I like snow"]
    assert len(raw(connection)) == 3


def test_another_source_of_that_name_is_not_written_into(
    connection: psycopg.Connection, consenting: TwinSettings
) -> None:
    connection.execute("insert into consents values ('chat', 'file', 'f', 'us')")
    chat(connection)
    say(connection, "hi")
    with pytest.raises(TwinError, match="another name"):
        land_chats(connection, consenting)
    connection.rollback()
    assert raw(connection) == []


def test_a_withdrawn_chat_leaves_nothing(
    connection: psycopg.Connection, consenting: TwinSettings
) -> None:
    save_subject(connection, Subject("sue", "Sue"))
    other = str(uuid.uuid4())
    chat(connection)
    chat(connection, id=other)
    say(connection, "I live in Nan and I love my dog", "ok")
    say(connection, "I love old trains", "ok", id=other)
    learner = Learner("", consenting)
    assert learner.learn(connection) == 4
    learner._learnt_at = -1e9
    learner.learn(connection)
    held = "select count(*) from memories where content like '%%Nan%%'"
    assert connection.execute(held).fetchone() != (0,)
    assert withdraw(connection, consenting, CHAT) == 1
    assert [text for _, text in cleaned(connection)] == ["I love old trains"]
    assert connection.execute(held).fetchone() == (0,)
    assert learner.learn(connection) == 0


def test_memories_are_extracted_of_the_user_and_not_of_the_twin(
    connection: psycopg.Connection, consenting: TwinSettings
) -> None:
    save_subject(connection, Subject("sue", "Sue"))
    chat(connection)
    say(connection, "I live in Nan", "I live in Paris. I love cheese. I hate rain.")
    learner = Learner("", consenting)
    learner.learn(connection)
    learner._learnt_at = -1e9
    learner.learn(connection)
    told = connection.execute("select about, content from memories").fetchall()
    assert ("bob", "I live in Nan") in told
    assert not [content for _, content in told if "Paris" in content or "cheese" in content]
