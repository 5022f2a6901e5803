"""Puts a speaker to the one-voice test, once for each content, and remembers the outcome."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import polars as pl
import psycopg

from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources import chitchat, origins, store, voice
from twin_pipelines.sources.habits import habits
from twin_pipelines.sources.voice import OneVoice

VERSION = 1  # raise it when the test changes
KNOWN_PEOPLE = 30
UNKNOWN_PEOPLE = 20
NEWEST = 100_000  # messages of a speaker that are looked at
NEWEST_OF_PARTNER = 20_000


def judge(connection: psycopg.Connection, settings: TwinSettings, speaker: str) -> OneVoice:
    """The speaker's outcome, from memory when the texts and the test are the same.

    A chitchat sender is judged by the whole package; anyone else by the newest landed messages,
    beside the people of the same history, with chitchat's strangers as further company.
    """
    from_package = _in_package(connection, settings, speaker)
    content = chitchat.sha256() if from_package else store.voice_fingerprint(connection, speaker)
    fingerprint = hashlib.sha256(f"{VERSION}/{content}".encode()).hexdigest()[:16]
    known = store.voice_test(connection, speaker, fingerprint)
    if known:
        return OneVoice(**asdict(known))
    outcome = _test(connection, speaker, from_package)
    store.save_voice_test(connection, speaker, fingerprint, store.VoiceTest(**asdict(outcome)))
    return outcome


def sender_is_one_voice(
    connection: psycopg.Connection, settings: TwinSettings, sender: str
) -> bool:
    """Whether a chitchat sender passes; habits alone may refuse, which spares most of the work."""
    signs = voice.habit_signs(habits(chitchat.own_texts(sender)))
    return all(good for _, good in signs) and bool(judge(connection, settings, sender).passed)


def _in_package(connection: psycopg.Connection, settings: TwinSettings, speaker: str) -> bool:
    kinds = {source.kind for source in origins.sources_in_force(connection, settings)}
    return "chitchat" in kinds and speaker in chitchat.senders()["speaker"]


def _test(connection: psycopg.Connection, speaker: str, from_package: bool) -> OneVoice:
    own = (
        chitchat.own_texts(speaker) if from_package else store.texts_of(connection, speaker, NEWEST)
    )
    train, unseen = voice.split_by_time(own["text"].to_list())
    known = {} if from_package else _partners(connection, speaker)
    strangers = chitchat.background_texts(speaker, KNOWN_PEOPLE - len(known))
    return voice.one_voice(
        train,
        unseen,
        known | {f"stranger {name}": texts for name, texts in strangers.items()},
        chitchat.background_texts(speaker, UNKNOWN_PEOPLE, skip=KNOWN_PEOPLE),
        habits=habits(own),
    )


def _partners(connection: psycopg.Connection, speaker: str) -> dict[str, list[str]]:
    """Earlier texts of the other people in the history who wrote enough to be told apart."""
    others = [name for name in store.speakers(connection) if name != speaker][:KNOWN_PEOPLE]
    texts: dict[str, list[str]] = {}
    for name in others:
        written: pl.Series = store.texts_of(connection, name, NEWEST_OF_PARTNER)["text"]
        train, _ = voice.split_by_time(written.to_list())
        if len(voice.windows(train)) >= voice.FEWEST_WINDOWS:
            texts[name] = train
    return texts
