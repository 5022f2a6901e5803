"""What people meet at the command line: one clear sentence, honest exit codes, no leftovers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from twin_pipelines.settings import TwinSettings

TWIN = [sys.executable, "-m", "twin_pipelines.cli"]


def _twin(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TWIN, *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_status_of_a_fresh_state_folder_guesses_nothing(twin_home: TwinSettings) -> None:
    result = _twin("status", "--json")
    assert result.returncode == 0, result.stderr
    status = json.loads(result.stdout)
    assert status["messages"]["raw"] == 0
    assert status["champion"]["version"] is None
    assert status["metrics"]["style_consistency"] is None
    assert status["metrics"]["memory_retrieval_ms"] == {"p50": None, "p95": None}
    assert status["checks"] == {"passed": 0, "failed": 0, "failing": {}}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"TWIN_DATABASE__URL": "postgresql://nobody@127.0.0.1:1/nowhere"}, "127.0.0.1"),
        ({"TWIN_CONFIG": "/nowhere/twin.toml"}, "/nowhere/twin.toml"),
        ({"TWIN_HISTORY__TIMEZONE": "Asia/Atlantis"}, "Asia/Atlantis"),
        ({"TWIN_TRAINING__LORA_RANK": "many"}, "training.lora_rank"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_exit_code_2(
    twin_home: TwinSettings, environment: dict[str, str], words: str
) -> None:
    result = _twin("status", **environment)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_file_that_cannot_be_read_stops_no_other(twin_home: TwinSettings, tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("conversation_id,speaker,text,sent_at\nc,david,hello there,2018-05-01T08:00Z\n")
    bad = tmp_path / "bad.csv"
    bad.write_text("who,what\ndavid,hello\n")
    result = _twin("import", str(bad), str(tmp_path / "absent.jsonl"), str(good), "--land-only")
    assert result.returncode == 1
    assert "1 landed" in result.stdout
    assert "bad.csv" in result.stdout and "absent.jsonl" in result.stdout
    assert json.loads(_twin("status", "--json").stdout)["messages"]["raw"] == 1


def test_up_serves_its_pages_and_leaves_no_process_behind(twin_home: TwinSettings) -> None:
    process = subprocess.Popen(
        [*TWIN, "up"], env=os.environ.copy(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    addresses: dict[str, str] = {}
    deadline = time.monotonic() + 150
    while len(addresses) < 2 and time.monotonic() < deadline:
        line = process.stdout.readline()
        if "http://" in line:
            name, _, address = line.partition("http://")
            addresses[name.strip()] = "http://" + address.strip()
    tree = psutil.Process(process.pid).children(recursive=True)
    try:
        for address in addresses.values():
            with urllib.request.urlopen(address, timeout=20) as page:
                assert page.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert len(addresses) == 2
    _, alive = psutil.wait_procs(tree, timeout=10)
    assert not alive
