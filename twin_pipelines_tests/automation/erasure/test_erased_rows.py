"""Whatever table a row was derived into, an erasure takes it, and takes nothing else."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest
from erased_history import DAY, PLAIN, SECRET, THAI, Said, fill, say, told

from twin_pipelines.automation.erasure import erase as erasing
from twin_pipelines.automation.erasure import erasure_store, removal_store
from twin_pipelines.automation.erasure.erase import erase
from twin_pipelines.automation.erasure.erasure_store import Erasure
from twin_pipelines.automation.erasure.request import Request
from twin_pipelines.foundation.database import connect
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.messages import TWIN

KEEPS_TEXT = {"erasing"}  # emptied with the receipt
KEEPS_IDS = {"erasing", "tombstones"}
DERIVED_ANEW = {"cleaned_messages", "search_queue"}  # sessions are called by their first message


@pytest.fixture
def said(connection: psycopg.Connection, twin_home: TwinSettings) -> Said:
    """A history with a secret in every table."""
    messages = told(connection, twin_home)
    fill(connection, messages)
    return messages


def tables(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        "select relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
        "where nspname = 'public' and relkind = 'r' order by 1"
    )
    return [name for (name,) in rows.fetchall()]


def holding(connection: psycopg.Connection, words: str) -> set[str]:
    """Tables that hold the words in any column of any row."""
    return {
        name
        for name in tables(connection)
        if connection.execute(
            f"select exists (select from {name} as one where strpos(lower(one::text), %s) > 0)",
            (words.lower(),),
        ).fetchone()
        == (True,)
    }


def forget(connection: psycopg.Connection, settings: TwinSettings, **named: object) -> Erasure:
    done = erase(connection, settings, Request("tester", **named))  # type: ignore[arg-type]
    connection.commit()
    return done


def test_a_secret_leaves_every_table_and_what_others_said_stays(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    before = removal_store.counts(connection)
    written = holding(connection, SECRET)
    assert len(written) >= 18, "the history should hold it in every table that can"

    done = forget(connection, twin_home, person="carol")

    assert holding(connection, SECRET) <= KEEPS_TEXT
    assert holding(connection, THAI) <= KEEPS_TEXT
    assert holding(connection, SECRET[:20]) <= KEEPS_TEXT
    assert holding(connection, str(said.secret)) <= KEEPS_IDS | DERIVED_ANEW
    assert holding(connection, str(said.thai)) <= KEEPS_IDS
    assert holding(connection, "carol") == set()
    after = removal_store.counts(connection)
    halved = (
        *("writing_style", "vocabulary", "response_templates", "preferences", "traits"),
        *("core_candidates", "core_memories", "blind_choices", "instruct_pairs", "dataset_pairs"),
        *("preference_pairs", "corrections", "never_says", "forgotten"),
    )
    for table in halved:
        assert (table, before[table], after[table]) == (table, 2, 1)
        assert done.counts[table] == 1
    assert holding(connection, PLAIN) >= {"raw_messages", "memories", "corrections", "preferences"}
    assert (before["raw_messages"], after["raw_messages"]) == (5, 3)
    assert after["memories"] == 1
    assert (done.days, done.datasets, done.blocked, done.releases) == (
        (DAY,),
        ("d1",),
        ("a1",),
        (1,),
    )
    assert done.retrievers == ("r1",)


def test_a_memory_that_an_erased_one_had_replaced_holds_again(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    forget(connection, twin_home, person="carol")
    row = connection.execute("select superseded_by, valid_until from memories").fetchone()
    assert row == (None, None)
    assert connection.execute("select about from consolidated_speakers").fetchall() == [("ben",)]


def test_a_line_of_the_page_stays_where_somebody_else_bears_it_out(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    forget(connection, twin_home, person="carol")
    pages = connection.execute("select content, message_ids from core_identities").fetchall()
    assert len(pages) == 1, "former versions that rest on it are deleted"
    content, ids = pages[0]
    assert "Likes noodles" in content and "Is my sister" in content
    assert ids == [said.other]
    persona = connection.execute("select persona from releases").fetchone()
    assert persona and persona[0]["system_prompt"] == "You are Ann.\n- Likes noodles"


def test_chats_lose_what_quotes_it_and_keep_their_places(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    forget(connection, twin_home, person="carol")
    chats = connection.execute("select partner, summary, summarised from chats").fetchall()
    assert chats == [("ben", "", 0)], "carol's own chat is gone"
    turns = connection.execute(
        "select place, content, prompt is null, cardinality(memory_ids) from chat_turns "
        "order by place"
    ).fetchall()
    assert turns == [(0, "(erased)", True, 0), (1, "fine", True, 1), (2, "ok", True, 1)]


def test_what_is_named_together_must_fit_together(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    fitting: list[tuple[dict[str, object], int]] = [
        ({"person": "carol", "last_day": DAY}, 2),
        ({"conversation": "c2"}, 2),
        ({"source": "file", "first_day": DAY, "last_day": DAY, "person": "ben"}, 1),
        ({"first_day": DAY, "conversation": "c1", "person": "carol"}, 2),
    ]
    for named, messages in fitting:
        planned = erase(connection, twin_home, Request("tester", **named))  # type: ignore[arg-type]
        assert planned.counts["raw_messages"] == messages, named
        connection.rollback()
    with pytest.raises(TwinError, match="Nothing in the history fits"):
        forget(connection, twin_home, person="carol", first_day=date(2018, 5, 8))


def test_a_single_message_goes_alone(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    done = forget(connection, twin_home, message=str(said.secret))
    assert done.counts["raw_messages"] == 1
    assert holding(connection, SECRET) <= KEEPS_TEXT
    assert "raw_messages" in holding(connection, THAI)
    assert connection.execute("select count(*) from erasure_rules").fetchone() == (0,)


def test_the_dry_run_changes_nothing(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    before = {
        name: connection.execute(f"select one::text from {name} as one order by 1").fetchall()
        for name in tables(connection)
    }
    planned = erase(connection, twin_home, Request("tester", person="carol"))
    gone = erasure_store.gone(connection, planned.erasure_id)
    connection.rollback()
    assert {said.secret, said.thai} == set(gone.message_ids)
    assert SECRET in gone.texts and THAI in gone.texts
    for name, rows in before.items():
        after = connection.execute(f"select one::text from {name} as one order by 1").fetchall()
        assert after == rows, name


def test_what_the_twin_repeated_of_it_goes_too(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    say(connection, "9", TWIN, f"As you said: {SECRET}!", 60, "x", "chat")
    say(connection, "10", TWIN, "I like noodles", 61, "x", "chat")
    connection.commit()
    assert forget(connection, twin_home, person="carol").counts["raw_messages"] == 3


def test_nothing_left_of_the_subject_is_refused(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    with pytest.raises(TwinError, match="nothing of Ann"):
        forget(connection, twin_home, person="ann")
    connection.rollback()
    with pytest.raises(TwinError, match="nothing of Ann"):
        forget(connection, twin_home, source="file")


def test_a_source_that_goes_whole_takes_its_consent_along(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    say(connection, "1", "dora", "an old letter from the attic", 30, "l", "letters")
    connection.commit()
    forget(connection, twin_home, source="letters")
    assert connection.execute("select source from consents").fetchall() == [("file",)]


def test_a_conversation_of_two_sources_is_asked_about(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    say(connection, "1", "dora", "an old letter from the attic", 30, "c1", "letters")
    connection.commit()
    with pytest.raises(TwinError, match="file and letters"):
        forget(connection, twin_home, conversation="c1")
    connection.rollback()
    assert (
        forget(connection, twin_home, conversation="c1", source="letters").counts["raw_messages"]
        == 1
    )


def test_one_erasure_at_a_time(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    first = forget(connection, twin_home, message=str(said.secret))
    with pytest.raises(TwinError, match="--resume"):
        forget(connection, twin_home, message=str(said.thai))
    connection.rollback()
    erasure_store.finish(connection, first.erasure_id)
    connection.commit()
    assert holding(connection, SECRET) == set(), "what was looked for is kept no longer"
    forget(connection, twin_home, message=str(said.thai))


def test_models_may_serve_on_when_somebody_signs(
    connection: psycopg.Connection, twin_home: TwinSettings, said: Said
) -> None:
    forget(connection, twin_home, person="carol", keep_serving=True, reason="she agreed")
    blocks = connection.execute("select allowed_by, allowed_because from adapter_blocks").fetchall()
    assert blocks == [("tester", "she agreed")]
    assert connection.execute("select count(*) from blocked_adapters").fetchone() == (0,)


@pytest.mark.usefixtures("said")
def test_it_does_not_wait_for_ever_for_somebody_who_lands(
    connection: psycopg.Connection,
    twin_home: TwinSettings,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection.commit()
    monkeypatch.setattr(erasing, "LOCK_SECONDS", 1)
    with connect(database_url) as other:
        say(other, "11", "carol", "one more", 70)
        with pytest.raises(TwinError, match="nothing was erased"):
            forget(connection, twin_home, person="carol")
        other.rollback()
    assert forget(connection, twin_home, person="carol").counts["raw_messages"] == 2
