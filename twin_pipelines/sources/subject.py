"""Whose voice is learnt: by the settings, by rank, or the first that passes the one-voice test."""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg

from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources import chitchat, origins, store, voice_trial
from twin_pipelines.sources.store import Subject

__all__ = ["Subject", "resolve_subject"]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_SHOWN_SPEAKERS = 8


def resolve_subject(connection: psycopg.Connection, settings: TwinSettings) -> Subject:
    """Find out whose voice is learnt and write it down; the caller commits.

    In this order: `subject.speaker`; `subject.rank` of chitchat; of chitchat alone the most
    prolific of ranks 1–10 that passes the one-voice test. An own history needs `subject.speaker`:
    without it TwinError names the speakers found.
    """
    speaker, chosen_by = _choose(connection, settings)
    subject = Subject(speaker, settings.subject.name or _friendly(speaker), chosen_by)
    if store.stored_subject(connection) != subject:
        store.save_subject(connection, subject)
    return subject


def _choose(connection: psycopg.Connection, settings: TwinSettings) -> tuple[str, str]:
    in_force = origins.sources_in_force(connection, settings)
    with_chitchat = any(source.kind == "chitchat" for source in in_force)
    wanted = settings.subject.speaker
    if wanted:
        return _by_name(wanted, in_force), "settings"
    if settings.subject.rank is not None:
        if not with_chitchat:
            raise TwinError(
                "subject.rank counts the senders of the chitchat package, which is none of the "
                f"sources; write subject.speaker instead{_found(connection)}."
            )
        return chitchat.speaker_of_rank(settings.subject.rank), "rank"
    if with_chitchat and all(source.kind == "chitchat" for source in in_force):
        return _first_voice(connection, settings), "one-voice test"
    raise TwinError(
        'Nobody was chosen as the subject; write speaker = "…" under [subject] in twin.toml, or '
        f"set TWIN_SUBJECT__SPEAKER{_found(connection)}."
    )


def _by_name(wanted: str, in_force: Sequence[Source]) -> str:
    """The speaker meant. In an own history the name stands as it is: they may write later."""
    kinds = {source.kind for source in in_force}
    sender = chitchat.find_speaker(wanted) if "chitchat" in kinds else None
    if sender:
        return sender
    if kinds != {"chitchat"}:
        return wanted
    raise TwinError(
        f"subject.speaker is {wanted!r}, which is no sender of the chitchat package; write a "
        "sender's id, its first six characters, or subject.rank = 1 to 10."
    )


def _first_voice(connection: psycopg.Connection, settings: TwinSettings) -> str:
    for rank in range(1, chitchat.SUBJECT_RANKS + 1):
        speaker = chitchat.speaker_of_rank(rank)
        if voice_trial.sender_is_one_voice(connection, settings, speaker):
            return speaker
    raise TwinError(
        "None of chitchat's ten most prolific senders passes the one-voice test; choose one by "
        "subject.rank."
    )


def _found(connection: psycopg.Connection) -> str:
    """The speakers that were landed, as the end of a sentence."""
    speakers = store.speakers(connection)
    if not speakers:
        return " (no messages were landed yet)"
    shown = [f"{name} ({count:,})" for name, count in list(speakers.items())[:_SHOWN_SPEAKERS]]
    more = f" and {len(speakers) - len(shown):,} more" if len(speakers) > len(shown) else ""
    return f" (speakers with their messages: {', '.join(shown)}{more})"


def _friendly(speaker: str) -> str:
    """A short form of an identity; a name stays as it is."""
    return speaker[:8] if _UUID.fullmatch(speaker) else speaker
