"""When memory or the disk runs out: how it shows, what is done, what is said."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twin_pipelines.settings import TwinError

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad allocation")
_NO_SPACE = ("no space left on device", "os error 28", "pytorchstreamwriter failed writing")
SPARE_BYTES = 64 << 20  # tokenizer, losses, report


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is want of memory, of the processor or of a GPU."""
    if isinstance(error, MemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in words for part in _NO_MEMORY)


def is_disk_full(error: BaseException) -> bool:
    """Whether the error is a full disk, in the words of Python, safetensors or PyTorch."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    words = str(error).lower()
    return any(part in words for part in _NO_SPACE)


def bytes_to_write(trained: int) -> int:
    """Bytes a training of so many parameters (float32) writes at most.

    Three checkpoints at once, each of the adapter and two moments, the best adapter and the last.
    """
    return 4 * trained * (3 * 3 + 2) + SPARE_BYTES


@contextmanager
def room_on_disk(folder: Path, needed: int) -> Iterator[None]:
    """Raise TwinError when `needed` bytes are not free in `folder`, or the disk fills up within."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise TwinError(_sentence(folder, needed, free))
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise TwinError(_sentence(folder, needed, shutil.disk_usage(folder).free)) from error


def _sentence(folder: Path, needed: int, free: int) -> str:
    return (
        f"The disk of {folder} is full: training needs {needed:,} bytes there and {free:,} are "
        "free; make room and run it again, it resumes from its last whole checkpoint."
    )
