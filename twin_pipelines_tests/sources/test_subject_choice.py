"""Whose voice is learnt is decided in a known order, and never guessed in an own history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources import chitchat, landing_store, origins, store, voice_trial
from twin_pipelines.sources.landing import import_file
from twin_pipelines.sources.subject import resolve_subject
from twin_pipelines.sources.voice import OneVoice

FIRST = "31267496-e50f-4f91-a197-c5b1bfde803b"
SECOND = "549cc1d1-270e-4a53-b561-133a8d0086b4"
OUTCOME = OneVoice(0.95, 0.05, 40, True, "one voice")


def settings_with(settings: TwinSettings, **subject: Any) -> TwinSettings:
    changed = settings.subject.model_copy(update=subject)
    return settings.model_copy(update={"subject": changed})


@pytest.fixture
def own_history(connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path) -> None:
    rows = [
        f"c,{'angela' if number % 3 else 'david'},hi {number},2018-05-02T10:00:{number:02}Z\n"
        for number in range(30)
    ]
    path = tmp_path / "own.csv"
    path.write_text("conversation_id,speaker,text,sent_at\n" + "".join(rows))
    import_file(connection, twin_home, path, consent="David")


def test_a_named_sender_is_taken_and_remembered(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    with pytest.raises(TwinError, match="No subject was chosen yet"):
        store.subject(connection)
    subject = resolve_subject(connection, settings_with(twin_home, speaker="720840be"))
    assert subject.speaker == chitchat.speaker_of_rank(3)
    assert (subject.name, subject.chosen_by) == ("720840be", "settings")
    assert store.subject(connection) == subject


def test_a_name_may_be_given(connection: psycopg.Connection, twin_home: TwinSettings) -> None:
    assert (
        resolve_subject(connection, settings_with(twin_home, rank=4, name="Robin")).name == "Robin"
    )


def test_a_rank_is_taken_without_a_test(
    connection: psycopg.Connection, twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_trial, "judge", lambda *_: pytest.fail("tested"))
    subject = resolve_subject(connection, settings_with(twin_home, rank=1))
    assert (subject.speaker, subject.chosen_by) == (FIRST, "rank")


def test_another_choice_replaces_the_subject(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    resolve_subject(connection, settings_with(twin_home, rank=1))
    resolve_subject(connection, settings_with(twin_home, rank=2))
    assert store.subject(connection).speaker == SECOND


def test_by_default_the_most_prolific_single_voice_is_taken(
    connection: psycopg.Connection, twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def judge(_: Any, __: Any, speaker: str) -> OneVoice:
        asked.append(speaker)
        return replace(OUTCOME, passed=len(asked) > 1)

    monkeypatch.setattr(voice_trial, "judge", judge)
    subject = resolve_subject(connection, twin_home)
    assert subject.chosen_by == "one-voice test"
    # ranks 1, 2 and 5 are refused for their habits, before any reading
    assert asked == [chitchat.speaker_of_rank(3), chitchat.speaker_of_rank(4)]
    assert subject.speaker == chitchat.speaker_of_rank(4)


def test_when_nobody_passes_it_says_so(
    connection: psycopg.Connection, twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_trial, "judge", lambda *_: replace(OUTCOME, passed=None))
    with pytest.raises(TwinError, match="None of chitchat's ten most prolific"):
        resolve_subject(connection, twin_home)


def test_an_unknown_sender_is_refused(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    with pytest.raises(TwinError, match="'nobody', which is no sender of the chitchat package"):
        resolve_subject(connection, settings_with(twin_home, speaker="nobody"))


@pytest.mark.usefixtures("own_history")
def test_an_own_history_needs_a_name_and_shows_those_it_found(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    with pytest.raises(TwinError, match=r"angela \(20\), david \(10\)") as refusal:
        resolve_subject(connection, twin_home)
    assert 'speaker = "…"' in str(refusal.value)
    with pytest.raises(TwinError, match=r"subject\.rank counts the senders of the chitchat"):
        resolve_subject(connection, settings_with(twin_home, rank=1))
    chosen = resolve_subject(connection, settings_with(twin_home, speaker="angela"))
    assert (chosen.speaker, chosen.name) == ("angela", "angela")


@pytest.mark.usefixtures("own_history")
def test_own_messages_stand_in_place_of_the_package(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    assert origins.sources_in_force(connection, twin_home) == ()
    landing_store.delete_source(connection, "own")
    assert origins.sources_in_force(connection, twin_home) == (origins.DEFAULT,)


def test_before_anything_landed_the_message_says_that(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    source = Source(name="own", kind="table", consent="David")
    configured = twin_home.model_copy(update={"sources": (source,)})
    with pytest.raises(TwinError, match="no messages were landed yet"):
        resolve_subject(connection, configured)


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ((Source(name="a", kind="file", path=Path("x")),), "has no consent; write under it"),
        ((Source(name="a", kind="table"),), "has no consent; write under it"),
        ((Source(name="a", kind="file", consent="me"),), "a file without path"),
        ((Source(name="a", kind="chitchat"), Source(name="a", kind="chitchat")), "are called a"),
    ],
)
def test_sources_that_cannot_be_meant_are_refused(
    connection: psycopg.Connection,
    twin_home: TwinSettings,
    sources: tuple[Source, ...],
    words: str,
) -> None:
    configured = twin_home.model_copy(update={"sources": sources})
    with pytest.raises(TwinError, match=words):
        origins.sources_in_force(connection, configured)


def test_a_name_keeps_its_kind(connection: psycopg.Connection) -> None:
    landing_store.record_consent(connection, "a", "file", "a.csv", "me")
    with pytest.raises(TwinError, match="was landed as a file and is now a table"):
        landing_store.record_consent(connection, "a", "table", "table a", "me")


@pytest.mark.usefixtures("own_history")
def test_a_verdict_is_remembered_until_the_texts_change(
    connection: psycopg.Connection, twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = voice_trial.judge(connection, twin_home, "angela")
    assert first.passed is None and "Too little text" in first.note
    with monkeypatch.context() as patch:
        patch.setattr(voice_trial, "_test", lambda *_: pytest.fail("tested again"))
        assert voice_trial.judge(connection, twin_home, "angela") == first
    connection.execute("update raw_messages set text = 'changed' where text = 'hi 1'")
    monkeypatch.setattr(voice_trial, "_test", lambda *_: OUTCOME)
    assert voice_trial.judge(connection, twin_home, "angela") == OUTCOME


def test_partners_who_wrote_enough_are_part_of_the_company(
    connection: psycopg.Connection, twin_home: TwinSettings, tmp_path: Path
) -> None:
    words = " ".join(f"word{number}" for number in range(100))
    talkers = {"ann": 60, "bob": 60, "shy": 1}
    rows = [
        f"c{number % 3},{name},{words},2018-05-{1 + number // 4:02}T10:{number % 60:02}:00Z\n"
        for name, count in talkers.items()
        for number in range(count)
    ]
    path = tmp_path / "own.csv"
    path.write_text("conversation_id,speaker,text,sent_at\n" + "".join(rows))
    import_file(connection, twin_home, path, consent="Ann")
    assert voice_trial._partners(connection, "ann").keys() == {"bob"}
