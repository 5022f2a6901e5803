"""Fixtures shared by every room: one embedded server a test process, fresh databases on it.

The state folder is chosen before anything imports an asset, because the day partitions are read
from it when they are defined.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from psycopg import sql


def new_folder() -> Path:
    """A folder that every account can enter, in memory where there is room; removed at the end."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 1024**3
    folder = Path(tempfile.mkdtemp(prefix="twin-tests-", dir=memory if roomy else None))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


SESSION_HOME = new_folder()
for name in [name for name in os.environ if name.startswith("TWIN_")]:
    del os.environ[name]
os.environ["TWIN_HOME"] = str(SESSION_HOME)
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # test processes share the cores
os.environ["TWIN_CONFIG"] = str(SESSION_HOME / "twin.toml")
(SESSION_HOME / "twin.toml").touch()
SPAN = {"first": "2018-04-10", "last": "2018-11-16"}
(SESSION_HOME / "history.json").write_text(json.dumps(SPAN))

from twin_pipelines.foundation.database import connect, migrate  # noqa: E402
from twin_pipelines.foundation.server import EmbeddedServer, open_server  # noqa: E402
from twin_pipelines.settings import TwinSettings, load_settings  # noqa: E402

hypothesis_settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
hypothesis_settings.load_profile("untimed")

TEMPLATE = "template_twin"


@pytest.fixture(scope="session")
def open_folder() -> Callable[[], Path]:
    """Makes folders that every account can enter, unlike those of `tmp_path`."""
    return new_folder


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The embedded server of this test process, without the wait for the disk."""
    settings = TwinSettings(home=SESSION_HOME)
    settings.postgres_dir.mkdir()
    (settings.postgres_dir / "local.conf").write_text(
        "fsync = off\nfull_page_writes = off\nmax_wal_size = 256MB\nautovacuum = off\n"
    )
    with open_server(settings) as running:
        yield running


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """Name of a migrated, empty database to copy from."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute(f"create database {TEMPLATE}")
    with connect(server.url(TEMPLATE)) as connection:
        migrate(connection)
    return TEMPLATE


@pytest.fixture
def database_url(server: EmbeddedServer, template: str) -> Iterator[str]:
    """URL of a fresh migrated database; it and those made beside it are dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute(f"create database {name} template {template} strategy file_copy")
        yield server.url(name)
        for made in (name, f"{name}_dagster", f"{name}_mlflow"):
            drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(made))
            administrator.execute(drop)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to a fresh migrated database; the test commits or not as it likes."""
    opened = connect(database_url)
    yield opened
    opened.close()


@pytest.fixture
def twin_home(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TwinSettings]:
    """Settings of an empty state folder whose database is fresh and migrated."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "history.json").write_text(json.dumps(SPAN))
    (home / "twin.toml").touch()
    monkeypatch.setenv("TWIN_HOME", str(home))
    monkeypatch.setenv("TWIN_CONFIG", str(home / "twin.toml"))
    monkeypatch.setenv("TWIN_DATABASE__URL", database_url)
    load_settings.cache_clear()
    yield load_settings()
    load_settings.cache_clear()
