"""Learns from chats while the server runs, and keeps the owner's rules at hand.

Off the path of every answer: what was said with consent is landed and cleaned within about a
second, so that the next question finds it; memories are extracted of it once the chat is quiet.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import date

import psycopg

from twin_pipelines.features.refresh import refresh_days
from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.memory.extraction.refresh import extract_days
from twin_pipelines.persona.never_says_store import phrases
from twin_pipelines.serving.guard import Guard, Rules
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.chats import land_chats, withdraw_chat
from twin_pipelines.sources.store import stored_subject

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
QUIET_SECONDS = 20.0  # without a new turn, before memories are extracted
RETRY_SECONDS = 30.0  # after learning failed


class Learner(threading.Thread):
    """Lands chats, and holds the rules by which `guard` watches over answers."""

    def __init__(self, url: str, settings: TwinSettings) -> None:
        super().__init__(name="learner", daemon=True)
        self._url = url
        self._settings = settings
        self._stopping = threading.Event()
        self._rules = Rules()
        self._unread: set[date] = set()  # days whose memories are to be extracted
        self._learnt_at = 0.0
        self._learn_again = 0.0
        self.guard = Guard(lambda: self._rules)

    def start(self) -> None:
        """Begin, with the rules that hold now; without the database they come as it does."""
        try:
            self.refresh()
        except TwinError as error:
            logger.warning("The owner's never-says are not known yet: %s", error)
        super().start()

    def stop(self) -> None:
        """Learn no more; what was begun is finished."""
        self._stopping.set()

    def refresh(self) -> None:
        """Read the rules now. Raises TwinError without the database; the known ones hold then."""
        with connect(self._url) as connection:
            self._read_rules(connection)

    def run(self) -> None:
        """Look about once a second until stopped; without the database the known rules hold."""
        while not self._stopping.is_set():
            try:
                with connect(self._url) as connection:
                    while not self._stopping.wait(LOOK_SECONDS):
                        self._read_rules(connection)
                        self._try_to_learn(connection)
            except (TwinError, psycopg.OperationalError) as error:
                logger.warning("Nothing is learnt from chats: %s", error)
                self._stopping.wait(LOOK_SECONDS)

    def learn(self, connection: psycopg.Connection) -> int:
        """Land and clean what was said since, and commit; returns how many messages that were.

        Memories are extracted of the days that were quiet for QUIET_SECONDS.
        """
        landed = land_chats(connection, self._settings)
        clean_days(connection, self._settings, landed.days)
        now = time.monotonic()
        if landed.messages:
            self._learnt_at = now
            self._unread.update(landed.days)
        elif self._unread and now - self._learnt_at >= QUIET_SECONDS:
            remember_days(connection, self._settings, sorted(self._unread))
            self._unread.clear()
        return landed.messages

    def _read_rules(self, connection: psycopg.Connection) -> None:
        chosen = stored_subject(connection)
        rules = Rules(chosen.name if chosen else "", tuple(phrases(connection)))
        connection.rollback()
        if rules != self._rules:
            self._rules = rules

    def _try_to_learn(self, connection: psycopg.Connection) -> None:
        """Learn; what is wrong with it must not end the watch over the rules."""
        if time.monotonic() < self._learn_again:
            return
        try:
            self.learn(connection)
        except psycopg.OperationalError:
            raise
        except Exception as error:
            connection.rollback()
            self._learn_again = time.monotonic() + RETRY_SECONDS
            words = str(error) if isinstance(error, TwinError) else repr(error)
            logger.error("Chats were not learnt from, and will be in a while: %s", words)


def withdraw(connection: psycopg.Connection, settings: TwinSettings, chat_id: str) -> int:
    """Take a chat's messages out of the history, with what was remembered of them, and commit.

    Returns on how many days there were any.
    """
    days = withdraw_chat(connection, chat_id)
    clean_days(connection, settings, days)
    remember_days(connection, settings, days)
    connection.commit()
    return len(days)


def clean_days(
    connection: psycopg.Connection, settings: TwinSettings, days: list[date] | tuple[date, ...]
) -> None:
    """Make turns of the days' messages anew, and commit."""
    for day in days:
        refresh_days(connection, settings, DayRange(day, day))


def remember_days(
    connection: psycopg.Connection, settings: TwinSettings, days: list[date] | tuple[date, ...]
) -> None:
    """Extract the days' memories anew, and commit; nothing without a subject."""
    if days and stored_subject(connection):
        for day in days:
            extract_days(connection, settings, DayRange(day, day))
