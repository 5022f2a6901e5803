"""An MLflow database whose schema is made once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from twin_pipelines.foundation.server import EmbeddedServer
from twin_pipelines.foundation.tracking import MlflowTracking
from twin_pipelines.settings import TwinSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient

READY = "template_mlflow"
OPEN = """
import sys
from pathlib import Path
from twin_pipelines.foundation.database import Databases
from twin_pipelines.foundation.tracking import open_client
from twin_pipelines.settings import TwinSettings

url, home = sys.argv[1:]
settings = TwinSettings(home=Path(home))
print(open_client(settings, Databases(url, url, url)).get_experiment_by_name("twin").experiment_id)
"""


@pytest.fixture(scope="session")
def ready(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A database with MLflow's schema, made by two processes that were both the first.

    Returns what each of them printed.
    """
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute(f"create database {READY}")
    command = [sys.executable, "-c", OPEN, server.url(READY), str(tmp_path_factory.mktemp("home"))]
    first, second = (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    )
    return [first.communicate()[0], second.communicate()[0]]


@pytest.fixture
def tracked_home(
    ready: list[str], twin_home: TwinSettings, database_url: str, server: EmbeddedServer
) -> TwinSettings:
    """A state folder whose MLflow database has its schema."""
    name = sql.Identifier(f"{database_url.rpartition('/')[2]}_mlflow")
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                name, sql.Identifier(READY)
            )
        )
    return twin_home


@pytest.fixture
def client(tracked_home: TwinSettings) -> Iterator[MlflowClient]:
    with MlflowTracking().client() as opened:
        yield opened
