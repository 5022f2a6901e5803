"""A few connections to the twin's database that many threads share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from twin_pipelines.foundation.database import connect
from twin_pipelines.settings import TwinError

MOST = 4


class NoDatabase(TwinError):
    """The database cannot be asked."""


class Connections:
    """At most MOST connections, made when they are needed; a thread that finds none free waits."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free = threading.BoundedSemaphore(MOST)
        self._guard = threading.Lock()
        self._idle: list[psycopg.Connection] = []

    @contextmanager
    def one(self) -> Iterator[psycopg.Connection]:
        """A connection for one transaction: committed at the end, rolled back when it fails.

        Raises NoDatabase when none can be made.
        """
        with self._free:
            connection = self._taken()
            try:
                yield connection
                connection.commit()
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise
            finally:
                if not connection.closed:
                    with self._guard:
                        self._idle.append(connection)

    def drop(self) -> None:
        """Close those nobody uses; the next ones are made anew."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _taken(self) -> psycopg.Connection:
        with self._guard:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
        try:
            return connect(self._url)
        except TwinError as error:
            raise NoDatabase(str(error)) from error
