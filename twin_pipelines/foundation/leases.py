"""File locks that say who uses the embedded server.

The kernel drops a lock together with its process, so a killed user leaves nothing behind. Locks
belong to the process that took them: a forked child neither keeps them nor gives them back, and a
started program never inherits them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPEN: set[int] = set()


def _close_in_child() -> None:
    for descriptor in _OPEN:
        os.close(descriptor)
    _OPEN.clear()


os.register_at_fork(after_in_child=_close_in_child)


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _OPEN.add(descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    # Unlocking first also frees the lock from copies a child made while forking.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    _OPEN.discard(descriptor)
    os.close(descriptor)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the file exclusively; waits for whoever holds it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        _close(descriptor)


class Lease:
    """A shared hold on a file. Take it and give it back inside one `alone` lock."""

    def __init__(self, path: Path) -> None:
        self._descriptor = _open(path)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def give_back(self) -> bool:
        """End the lease; True when nobody else holds one."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            _close(self._descriptor)
