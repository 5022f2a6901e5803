"""An export is whole or not there, is made once, and says plainly what it could not make."""

from __future__ import annotations

import errno
import json
import random
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twin_pipelines.settings import TwinError
from twin_pipelines.training.export import artefacts, build, llama_tools
from twin_pipelines.training.export.build import export
from twin_pipelines.training.export.config import MANIFEST, ExportConfig
from twin_pipelines.training.export.manifest import changed_files

Make = Callable[..., ExportConfig]


def quiet(line: str) -> None:
    """Nobody listens."""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_merged_files_load_alone_and_end_where_the_twin_ends(config_of: Make) -> None:
    config = config_of(dtype="bfloat16")
    manifest = export(config, quiet)
    folder = Path(config.output)
    made = manifest["artefacts"]["safetensors"]
    assert json.loads((folder / MANIFEST).read_text()) == manifest
    assert made["parity"]["verdict"] == "passed", made["parity"]
    assert made["parity"]["same_ids"] == made["parity"]["conversations"] == 12
    assert not changed_files(folder, made["files"])
    settings = json.loads((folder / "merged" / "generation_config.json").read_text())
    tokenizer = json.loads((folder / "merged" / "tokenizer.json").read_text())
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    assert settings["eos_token_id"] == ids["<|im_end|>"]
    assert json.loads((folder / "merged" / "config.json").read_text())["dtype"] == "bfloat16"
    assert (folder / "merged" / "chat_template.jinja").is_file()
    assert names(folder.parent) == {folder.name}


def test_what_is_there_is_used_again_until_it_changes(config_of: Make) -> None:
    config = config_of()
    export(config, quiet)
    weights = Path(config.output) / "merged" / "model.safetensors"
    before = weights.stat()
    said: list[str] = []
    export(config, said.append)
    assert weights.stat() == before and "used again" in said[0]

    weights.write_bytes(b"damaged")
    export(config, quiet)
    assert weights.stat().st_size == before.st_size
    assert export(config_of(dtype="float16"), quiet)["artefacts"]["safetensors"]["dtype"] == (
        "float16"
    )


def test_files_of_other_formats_are_kept_when_one_is_added(
    config_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "converters", lambda config: Path("nowhere"))
    config = config_of()
    export(config, quiet)
    inode = (Path(config.output) / "merged" / "model.safetensors").stat().st_ino
    monkeypatch.setattr(artefacts, "convert_model", _writes)
    monkeypatch.setattr(artefacts, "runtime_version", lambda: None)
    monkeypatch.setattr(artefacts, "vocabulary_adds_begin", lambda gguf: False)
    manifest = export(config_of(formats=("safetensors", "gguf_f16")), quiet)
    assert list(manifest["artefacts"]) == ["safetensors", "gguf_f16"]
    assert (Path(config.output) / "merged" / "model.safetensors").stat().st_ino == inode
    gguf = manifest["artefacts"]["gguf_f16"]
    assert gguf["parity"]["verdict"] == "not verified"
    assert "pip install llama-cpp-python" in gguf["parity"]["why"]
    recipe = (Path(config.output) / gguf["modelfile"]["path"]).read_text()
    assert recipe.startswith("FROM ./twin-f16.gguf\n")
    assert 'SYSTEM """You are Mali."""' in recipe and 'PARAMETER stop "<|im_end|>"' in recipe


def _writes(tools: Path, model: Path, target: Path, level: str) -> None:
    assert (model / "model.safetensors").is_file() and level == "f16"
    target.write_bytes(b"GGUF")


def test_what_cannot_be_made_is_told_and_the_rest_is_made(
    config_of: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(llama_tools.importlib.util, "find_spec", lambda name: None)
    manifest = export(config_of(formats=("safetensors", "gguf_f16", "gguf_q4_0")), quiet)
    assert list(manifest["artefacts"]) == ["safetensors"]
    assert set(manifest["missing"]) == {"gguf_f16", "gguf_q4_0"}
    assert "sentencepiece; run: pip install" in manifest["missing"]["gguf_f16"]
    monkeypatch.undo()

    pytest.importorskip("sentencepiece")
    manifest = export(config_of(formats=("gguf_f16",), llama_cpp=str(tmp_path)), quiet)
    assert "holds no convert_hf_to_gguf.py" in manifest["missing"]["gguf_f16"]
    assert list(manifest["artefacts"]) == ["safetensors"], "the earlier file is kept"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    config_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of()
    with monkeypatch.context() as patched:
        usage = namedtuple("usage", "free")
        patched.setattr(build.shutil, "disk_usage", lambda path: usage(10_000_000))
        with pytest.raises(TwinError, match="GB left and the export needs about"):
            export(config, quiet)
    for failure in (
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(artefacts, "save_merged", _failing(failure))
            with pytest.raises(TwinError, match="is full; make room"):
                export(config, quiet)
        assert names(Path(config.output).parent) == set()
    with monkeypatch.context() as patched:
        patched.setattr(artefacts, "save_merged", _failing(RuntimeError("a bug")))
        with pytest.raises(RuntimeError, match="a bug"):
            export(config, quiet)
    assert export(config, quiet)["artefacts"]


def _failing(error: Exception) -> Callable[..., None]:
    def fail(*given: Any) -> None:
        raise error

    return fail


def test_scratch_of_a_killed_export_is_removed_by_the_next(config_of: Make) -> None:
    config = config_of()
    exports = Path(config.output).parent
    (exports / ".0123456789ab-left" / "merged").mkdir(parents=True)
    (exports / ".another-left").mkdir()
    export(config, quiet)
    assert names(exports) == {"0123456789ab", ".another-left"}


def test_an_adapter_of_another_base_is_one_sentence(config_of: Make, tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="No usable model in"):
        export(config_of(adapter=str(tmp_path / "absent")), quiet)


def test_the_process_says_what_is_wrong_and_exits_with_2(config_of: Make, tmp_path: Path) -> None:
    path = config_of(adapter=str(tmp_path / "absent")).save(tmp_path / "task.json")
    for given, words in ((path, "No usable model"), (tmp_path / "none.json", "is not usable")):
        result = subprocess.run(_process(given), capture_output=True, text=True, check=False)
        assert result.returncode == 2 and words in result.stderr
        assert "Traceback" not in result.stderr


def _process(config: Path) -> list[str]:
    module = "twin_pipelines.training.export.run"
    return [sys.executable, "-m", module, "--config", str(config)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_moment_there_is_a_whole_export_or_none(
    config_of: Make, tmp_path: Path
) -> None:
    config = config_of()
    folder = Path(config.output)
    path = config.save(tmp_path / "task.json")
    started = time.monotonic()
    subprocess.run(_process(path), check=True, capture_output=True)
    longest = time.monotonic() - started
    dice = random.Random(4)
    finished = 0
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        process = subprocess.Popen(_process(path), stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.5, 1.05) * longest)
        process.kill()
        process.wait()
        if folder.exists():
            finished += 1
            manifest = json.loads((folder / MANIFEST).read_text())
            for artefact in manifest["artefacts"].values():
                assert not changed_files(folder, artefact["files"])
    assert finished < 10, "no kill came in time"
    export(config, quiet)
    assert names(folder.parent) == {folder.name}
