"""Memory that the C library keeps though nobody uses it."""

from __future__ import annotations

import ctypes


def give_back() -> bool:
    """Give memory that this process has freed back to the system; False where glibc is not.

    glibc keeps what lies below anything still in use, and the large, brief tensors of answers leave
    such holes beside small things that stay. Takes milliseconds.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and trim(0) >= 0
