"""llama.cpp's own converters: fetched once by hash, run in processes of their own.

They lie in the source package of llama-cpp-python, which pip downloads; the four parts a conversion
needs are unpacked into the state folder. A checkout named by `export.llama_cpp` is used instead.
"""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, cast

from filelock import FileLock

from twin_pipelines.foundation.fingerprints import hash_file, read_json, write_json
from twin_pipelines.settings import TwinError
from twin_pipelines.training.export.config import ExportConfig

VERSION = "0.3.36"
SDIST_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
INSTALL = f"pip install llama-cpp-python=={VERSION} sentencepiece"
MODEL_CONVERTER, ADAPTER_CONVERTER = "convert_hf_to_gguf.py", "convert_lora_to_gguf.py"
_NEEDED = (MODEL_CONVERTER, ADAPTER_CONVERTER, "LICENSE", "conversion", "gguf-py/gguf")
_VENDORED = "vendor/llama.cpp/"
_MOST_BYTES = 64 * 1024**2  # unpacked; they are about 3 MB
_WEIGHTS = "adapter_model.safetensors"


class UnavailableError(TwinError):
    """A file that cannot be made here; the others still can."""


def runtime_version() -> str | None:
    """Version of the installed llama.cpp binding; None where it is not installed."""
    if importlib.util.find_spec("llama_cpp") is None:
        return None
    from importlib.metadata import version

    return version("llama-cpp-python")


def converters(config: ExportConfig) -> Path:
    """The folder with llama.cpp's converters. Raises UnavailableError saying what is missing."""
    if importlib.util.find_spec("sentencepiece") is None:
        raise UnavailableError(f"llama.cpp's converters need sentencepiece; run: {INSTALL}")
    if config.llama_cpp:
        folder = Path(config.llama_cpp).expanduser()
        missing = [name for name in _NEEDED[:2] if not (folder / name).is_file()]
        if missing:
            raise UnavailableError(
                f"export.llama_cpp names {folder}, which holds no {missing[0]}; give the folder of "
                "a llama.cpp checkout, or leave it empty."
            )
        return folder
    folder = Path(config.tools) / f"llama.cpp-{VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
                unpack(_download(Path(work)), Path(work) / "whole").rename(folder)
    return folder


def _download(folder: Path) -> Path:
    """The source package, by pip with whatever index, proxy and certificates it is set up for."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"llama-cpp-python=={VERSION} --hash=sha256:{SDIST_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--no-binary", "llama-cpp-python", "--dest", str(folder), "-r", str(wanted)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.tar.gz"))
    if told.returncode or not found:
        raise UnavailableError(
            f"llama.cpp's converters could not be fetched ({_last_line(told.stderr)}); connect to "
            "the package index, or set export.llama_cpp to a llama.cpp checkout."
        )
    return found[0]


def unpack(archive: Path, target: Path, sha256: str = SDIST_SHA256) -> Path:
    """What a conversion needs of the source package, as `target`.

    Raises UnavailableError when the package is not the pinned one, lacks a part, or holds a file
    that would lie elsewhere.
    """
    if hash_file(archive) != sha256:
        raise UnavailableError(
            f"{archive.name} is not the package that was pinned; check the package index."
        )
    with tarfile.open(archive) as packed:
        for member in packed:
            name = member.name.partition("/")[2].removeprefix(_VENDORED)
            wanted = any(name == part or name.startswith(f"{part}/") for part in _NEEDED)
            if not (wanted and member.isfile() and member.size <= _MOST_BYTES):
                continue
            path = target / name
            if not path.resolve().is_relative_to(target.resolve()):
                raise UnavailableError(
                    f"{archive.name} holds a file that would lie outside its folder "
                    f"({member.name}); do not use it, and set export.llama_cpp."
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            with cast(IO[bytes], packed.extractfile(member)) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    missing = [part for part in _NEEDED if not (target / part).exists()]
    if missing:
        raise UnavailableError(f"{archive.name} holds no {missing[0]}; set export.llama_cpp.")
    return target


def convert_model(tools: Path, model: Path, target: Path, level: str) -> None:
    """A transformers folder as GGUF. Raises UnavailableError when the converter refuses it."""
    options = ["--outtype", level, "--outfile", str(target), "--model-name", "twin"]
    _run(tools / MODEL_CONVERTER, [*options, str(model)], target)


def convert_adapter(tools: Path, adapter: Path, base: Path, target: Path, work: Path) -> None:
    """A PEFT adapter as a GGUF that llama.cpp adds to a GGUF of its base.

    Raises UnavailableError for kinds of adapter that llama.cpp cannot express.
    """
    prepared = prepare_adapter(adapter, work / "adapter")
    options = ["--outtype", "f16", "--outfile", str(target), "--base", str(base)]
    _run(tools / ADAPTER_CONVERTER, [*options, str(prepared)], target)


def prepare_adapter(adapter: Path, target: Path) -> Path:
    """A copy of the adapter that llama.cpp scales as PEFT does: by alpha / rank.

    An adapter scaled by alpha / √rank gets an alpha √rank times as large. What has one scale for
    each layer, or changes more than LoRA's two matrices, is refused.
    """
    settings = read_json(adapter / "adapter_config.json")
    unlike = [
        name
        for name in ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "lora_bias")
        if settings.get(name)
    ]
    if unlike:
        raise UnavailableError(
            f"llama.cpp knows no adapter with {' and '.join(unlike)}; use a merged file."
        )
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy2(adapter / _WEIGHTS, target / _WEIGHTS)
    if settings.get("use_rslora"):
        settings["lora_alpha"] *= math.sqrt(settings["r"])
    write_json(target / "adapter_config.json", settings)
    return target


def _run(script: Path, options: list[str], target: Path) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, str(script), *options]
    told = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=script.parent
    )
    if told.returncode == 0 and target.is_file():
        return
    target.unlink(missing_ok=True)
    if "No space left on device" in told.stderr:
        raise OSError(28, "No space left on device", str(target))
    raise UnavailableError(f"{script.name} refused ({_last_line(told.stderr)}).")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"


def vocabulary_adds_begin(gguf: Path) -> bool:
    """Whether llama.cpp puts the begin-of-text token before a prompt of this file by itself."""
    from gguf import GGUFReader

    fields = GGUFReader(gguf).fields
    said = fields.get("tokenizer.ggml.add_bos_token")
    if said is not None:
        return bool(said.contents())
    return str(fields["tokenizer.ggml.model"].contents()) == "llama"


def chat_template(gguf: Path) -> str:
    """The chat template that lies in the file; empty when there is none."""
    from gguf import GGUFReader

    found = GGUFReader(gguf).fields.get("tokenizer.chat_template")
    return str(found.contents()) if found is not None else ""
