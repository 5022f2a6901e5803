"""What is freed leaves the process, though something small above it is still in use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twin_pipelines.foundation.heaps import give_back

_HOLES = """
import psutil
from twin_pipelines.foundation.heaps import give_back

blocks = [bytearray(100_000) for _ in range(2_000)]
kept = blocks[::50]
del blocks
before = psutil.Process().memory_info().rss
give_back()
print(before - psutil.Process().memory_info().rss, len(kept))
"""


@pytest.mark.skipif(not give_back(), reason="the C library is not glibc")
def test_holes_between_things_in_use_are_given_back() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _HOLES],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env={**os.environ},
    )
    assert int(told.stdout.split()[0]) > 100_000_000
