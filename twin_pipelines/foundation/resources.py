"""The resource through which assets reach settings and the twin's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg

from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.settings import TwinSettings, load_settings


class TwinResource(dg.ConfigurableResource):
    """Settings and connections. Holds the embedded server up while a connection is open."""

    @property
    def settings(self) -> TwinSettings:
        return load_settings()

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection to the twin's database, migrated; the caller opens transactions."""
        with open_databases(self.settings) as databases, connect(databases.twin) as connection:
            yield connection
