"""Memories and vectors for the server's clients: one database connection, one embedding model."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import psycopg

from twin_pipelines.embeddings.encoder import Encoder, Vectors, load_encoder
from twin_pipelines.foundation.database import connect
from twin_pipelines.memory.recall.recalls import record_recalls
from twin_pipelines.memory.recall.search import Found, index, search
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.store import stored_subject

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0  # the longest that something new is not looked for, where looking is quick
REST = 20  # times what looking for something new took, that it is left alone


class NoDatabase(TwinError):
    """The memories cannot be asked."""


class Recollection:
    """Searches memories, newest ones too, and makes vectors. Any thread may ask."""

    def __init__(self, url: str, settings: TwinSettings) -> None:
        self._url = url
        self._settings = settings
        self._loading = threading.Lock()
        self._asking = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._look_again = 0.0  # when, by the monotonic clock
        self.subject = ""  # whose memories they are, once they were searched

    def encoder(self) -> Encoder:
        """The embedding model, loaded at the first call. Raises TwinError."""
        with self._loading:
            return load_encoder(self._settings)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (texts, dimensions), unit length. Raises TwinError."""
        return self.encoder().encode(texts)

    def search(
        self,
        query: str,
        *,
        k: int,
        about: str | None = None,
        dreams: bool = False,
        before: datetime | None = None,
    ) -> list[Found]:
        """The k memories that answer best, the best first; they count as recalled.

        What was remembered since the last look is indexed first; looks are `FRESH_SECONDS` apart,
        or so far that they take no more than a twentieth of the time. Raises NoDatabase.
        """
        encoder = self.encoder()

        def ask(connection: psycopg.Connection) -> list[Found]:
            (found,) = search(
                connection,
                encoder,
                [query],
                k=k,
                about=about,
                dreams=dreams,
                before=before,
                settings=self._settings.memory,
            )
            record_recalls(connection, [one.memory_id for one in found], datetime.now(UTC))
            return found

        with self._asking:
            try:
                return self._fresh(encoder, ask)
            except psycopg.OperationalError:  # as a server that was restarted leaves it
                self._hang_up()
            try:
                return self._fresh(encoder, ask)
            except psycopg.OperationalError as error:
                self._hang_up()
                logger.warning("The memories cannot be asked: %s", error)
                raise NoDatabase(
                    "The database broke off the search; ask again, and see /readyz."
                ) from error

    def problem(self) -> str:
        """Why the database does not answer, in a sentence; empty while it does."""
        try:
            connect(self._url).close()
        except TwinError as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Leave the database."""
        with self._asking:
            self._hang_up()

    def _fresh(
        self, encoder: Encoder, ask: Callable[[psycopg.Connection], list[Found]]
    ) -> list[Found]:
        """What is found once everything new is indexed, in a transaction of its own."""
        connection = self._connected()
        try:
            if time.monotonic() >= self._look_again:
                begun = time.monotonic()
                index(connection, encoder)
                chosen = stored_subject(connection)
                self.subject = chosen.speaker if chosen else ""
                ended = time.monotonic()
                self._look_again = ended + max(FRESH_SECONDS, REST * (ended - begun))
            found = ask(connection)
            connection.commit()
        except BaseException:
            if not connection.closed:
                connection.rollback()
            raise
        return found

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = connect(self._url)
            except TwinError as error:
                raise NoDatabase(str(error)) from error
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
