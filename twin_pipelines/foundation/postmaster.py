"""The server process of a cluster, and the ports it may listen on."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

PID_FILE = "postmaster.pid"


@dataclass(frozen=True)
class Postmaster:
    """A living server process."""

    pid: int
    port: int  # 0: not told yet


def find_postmaster(data: Path) -> Postmaster | None:
    """The server process of a cluster, by its pid file; None when it does not live."""
    try:
        lines = (data / PID_FILE).read_text().splitlines()
    except FileNotFoundError:
        return None
    number = lines[0].removeprefix("-") if lines else ""  # negative: a single-user backend
    if not number.isdigit():
        return None
    pid = int(number)
    if not _is_postmaster(pid, data):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else 0
    return Postmaster(pid, port)


def _is_postmaster(pid: int, data: Path) -> bool:
    """Whether the process serves this cluster, and is not a zombie or a reused number."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        command = process.cmdline()
        if not command or "postgres" not in Path(command[0]).name:
            return False
        return str(data) in command or Path(process.cwd()) == data.resolve()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # cannot be seen, so it may be ours


def is_free(port: int) -> bool:
    """Whether nobody listens on that local port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A local port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
