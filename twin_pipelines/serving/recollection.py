"""What the twin remembers, for the server: found within milliseconds, and kept current beside it.

A thread of its own indexes what came in, twice a second, so that no answer waits for it. Answers
ask over a few connections; what they asked before comes from caches while nothing has changed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import psycopg

from twin_pipelines.embeddings.encoder import Encoder, Vectors, load_encoder
from twin_pipelines.foundation.database import connect
from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered, from_hit, from_pinned
from twin_pipelines.memory.recall.recalls import record_recalls
from twin_pipelines.memory.store import pinned_memories
from twin_pipelines.retrieval.cache import CachedEncoder, Versioned
from twin_pipelines.retrieval.find import Filters, Hit, Question, find
from twin_pipelines.retrieval.index.refresh import Indexed, index_queued
from twin_pipelines.retrieval.store import index_version
from twin_pipelines.serving.connections import Connections, NoDatabase
from twin_pipelines.serving.hooks import Recall
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.store import stored_subject

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # between two looks for what came in
RETRY_SECONDS = 5.0  # until a database that does not answer is looked at again
STOP_SECONDS = 4.0
TURNS = 4  # of a chat that a question is understood by
BROKE_OFF = "The database broke off the search; ask again, and see /readyz."

Answer = TypeVar("Answer")


class Recollection:
    """Finds what belongs to a question, and makes vectors. Any thread may ask."""

    def __init__(self, url: str, settings: TwinSettings) -> None:
        self._url = url
        self._settings = settings
        self._loading = threading.Lock()
        self._connections = Connections(url)
        self._questions: CachedEncoder | None = None
        self._finds: Versioned[list[Hit]] = Versioned(settings.retrieval.cached)
        self._pinned: Versioned[list[Remembered]] = Versioned(1)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.subject = ""  # whose memories they are, once they were searched

    def start(self) -> None:
        """Begin to index what comes in; the first search does it too."""
        with self._loading:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._follow, name="recollection")
                self._thread.daemon = True
                self._thread.start()

    def close(self) -> None:
        """Index no more, and leave the database."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
        self._connections.drop()

    def encoder(self) -> Encoder:
        """The embedding model, loaded at the first call. Raises TwinError."""
        return self._cached_encoder()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (texts, dimensions), unit length. Raises TwinError."""
        return self.encoder().encode(texts)

    def find(self, question: Question, *, k: int, filters: Filters | None = None) -> list[Hit]:
        """The k turns and memories that answer best (`retrieval.find`); memories count as recalled.

        What was found before is given again while nothing has changed. Raises NoDatabase, and
        TwinError when the index is of another embedding model.
        """
        self.start()
        encoder, wanted = self._cached_encoder(), filters or Filters()

        def ask(connection: psycopg.Connection) -> list[Hit]:
            self._know_subject(connection)
            hits = self._finds.get(
                (question, wanted, k),
                index_version(connection),
                lambda: find(
                    connection,
                    encoder,
                    [question],
                    k=k,
                    filters=wanted,
                    settings=self._settings,
                )[0],
            )
            memories = [hit.ref for hit in hits if hit.kind == "memory"]
            if memories:
                connection.execute("set local synchronous_commit = off")  # a count may be lost
                record_recalls(connection, memories, datetime.now(UTC))
            return hits

        return self._asked(ask)

    def recall(self, question: str, turns: Sequence[Message], k: int) -> Recall:
        """What a prompt may be told for a question, `turns` (the oldest first) came before it.

        Raises as `find`.
        """
        said = [turn["content"] for turn in turns if turn["role"] != "system"]
        hits = self.find(Question(question, tuple(said[-TURNS:])), k=k)
        return Recall(
            memories=[from_hit(hit, self.subject) for hit in hits],
            why={hit.memory_id or hit.message_ids[0]: hit.why for hit in hits},
        )

    def pinned(self) -> Sequence[Remembered]:
        """What the owner pinned, the most important first. Raises NoDatabase."""

        def ask(connection: psycopg.Connection) -> list[Remembered]:
            self._know_subject(connection)
            return self._pinned.get(
                "pinned",
                index_version(connection),
                lambda: [
                    from_pinned(row, self.subject)
                    for row in pinned_memories(connection).iter_rows(named=True)
                ],
            )

        return self._asked(ask)

    def version(self) -> int | None:
        """`search_state.version`, which rises with all that can be found; None while unknown."""
        try:
            return self._asked(index_version)
        except NoDatabase:
            return None

    def caches(self) -> Mapping[str, tuple[int, int]]:
        """Hits and misses of each cache, by its name."""
        questions = self._questions.counts if self._questions else (0, 0)
        return {
            "questions": questions,
            "finds": self._finds.counts,
            "pinned": self._pinned.counts,
        }

    def caught_up(self) -> Indexed:
        """Index what came in until now, here and at once. Raises TwinError."""
        with connect(self._url) as connection:
            return index_queued(connection, self._bare_encoder(), wait=True)

    def problem(self) -> str:
        """Why the database does not answer, in a sentence; empty while it does."""
        try:
            connect(self._url).close()
        except TwinError as error:
            return str(error)
        return ""

    def _bare_encoder(self) -> Encoder:
        with self._loading:
            return load_encoder(self._settings)

    def _cached_encoder(self) -> CachedEncoder:
        encoder = self._bare_encoder()
        with self._loading:
            if self._questions is None:
                self._questions = CachedEncoder(encoder, self._settings.retrieval.cached)
            return self._questions

    def _know_subject(self, connection: psycopg.Connection) -> None:
        if not self.subject:
            chosen = stored_subject(connection)
            self.subject = chosen.speaker if chosen else ""

    def _asked(self, ask: Callable[[psycopg.Connection], Answer]) -> Answer:
        """What is found in a transaction; asked once more when a connection turns out dead."""
        for last in (False, True):
            try:
                with self._connections.one() as connection:
                    return ask(connection)
            except psycopg.OperationalError as error:  # as a server that was restarted leaves it
                self._connections.drop()
                if last:
                    logger.warning("The memories cannot be asked: %s", error)
                    raise NoDatabase(BROKE_OFF) from error
        raise AssertionError("unreachable")

    def _follow(self) -> None:
        """Index what comes in until stopped; what fails is told once and tried again."""
        told = ""
        while not self._stopping.is_set():
            try:
                with connect(self._url) as connection:
                    encoder = self._bare_encoder()
                    while not self._stopping.wait(LOOK_SECONDS):
                        index_queued(connection, encoder)
                        connection.commit()
                        told = ""
            except (TwinError, psycopg.Error) as error:
                if str(error) != told:
                    told = str(error)
                    logger.warning("What comes in is not indexed now: %s", error)
                self._stopping.wait(RETRY_SECONDS)
