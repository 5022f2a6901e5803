"""llama.cpp's converters are the pinned ones, unpacked safely, and fed what they understand."""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from untrained_adapter import build_adapter

from twin_pipelines.foundation.fingerprints import hash_file
from twin_pipelines.training.export import llama_tools
from twin_pipelines.training.export.config import ExportConfig
from twin_pipelines.training.export.llama_tools import UnavailableError, prepare_adapter, unpack

WHOLE = (
    "convert_hf_to_gguf.py",
    "convert_lora_to_gguf.py",
    "LICENSE",
    "conversion/base.py",
    "gguf-py/gguf/__init__.py",
)


def packed(folder: Path, names: tuple[str, ...], *odd: tarfile.TarInfo) -> Path:
    """A source package with these files of llama.cpp, and members as given."""
    archive = folder / "llama_cpp_python-0.3.36.tar.gz"
    with tarfile.open(archive, "w:gz") as target:
        for name in names:
            member = tarfile.TarInfo(f"llama_cpp_python-0.3.36/vendor/llama.cpp/{name}")
            member.size = 4
            target.addfile(member, io.BytesIO(b"text"))
        for member in odd:
            target.addfile(member)
    return archive


def test_only_what_a_conversion_needs_is_unpacked(tmp_path: Path) -> None:
    link = tarfile.TarInfo("llama_cpp_python-0.3.36/vendor/llama.cpp/conversion/evil.py")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive = packed(tmp_path, (*WHOLE, "src/llama.cpp", "conversion/../../outside.py"), link)
    target = tmp_path / "tools"
    with pytest.raises(UnavailableError, match="outside its folder"):
        unpack(archive, target, hash_file(archive))
    assert not (tmp_path / "outside.py").exists()

    archive = packed(tmp_path, (*WHOLE, "src/llama.cpp"), link)
    unpack(archive, target, hash_file(archive))
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == set(WHOLE)


def test_another_package_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="not the package that was pinned"):
        unpack(packed(tmp_path, WHOLE), tmp_path / "tools")
    archive = packed(tmp_path, WHOLE[:-1])
    with pytest.raises(UnavailableError, match="holds no gguf-py/gguf"):
        unpack(archive, tmp_path / "tools", hash_file(archive))


def test_without_the_index_the_sentence_says_what_to_do(
    config_of: Callable[..., ExportConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sentencepiece")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    config = config_of()
    with pytest.raises(UnavailableError, match=r"could not be fetched .* or set export.llama_cpp"):
        llama_tools.converters(config)
    left = {path.name for path in Path(config.tools).iterdir()}
    assert left <= {".llama.cpp-0.3.36.lock"}


def test_an_adapter_scaled_by_the_root_of_its_rank_keeps_its_strength(
    tiny_base: Path, tmp_path: Path
) -> None:
    adapter = build_adapter(tiny_base, tmp_path / "rooted", use_rslora=True)
    prepared = prepare_adapter(adapter, tmp_path / "prepared")
    settings = json.loads((prepared / "adapter_config.json").read_text())
    assert settings["lora_alpha"] / settings["r"] == pytest.approx(8 / math.sqrt(4))


@pytest.mark.parametrize(
    ("kind", "given"),
    [("use_dora", {"use_dora": True}), ("rank_pattern", {"rank_pattern": {"q_proj": 2}})],
)
def test_an_adapter_llama_cpp_cannot_express_is_refused(
    kind: str, given: dict[str, object], tiny_base: Path, tmp_path: Path
) -> None:
    adapter = build_adapter(tiny_base, tmp_path / "odd", **given)
    with pytest.raises(UnavailableError, match=kind):
        prepare_adapter(adapter, tmp_path / "prepared")


def test_what_a_converter_says_last_is_told(tmp_path: Path) -> None:
    script = tmp_path / llama_tools.MODEL_CONVERTER
    script.write_text("raise NotImplementedError('BPE pre-tokenizer was not recognized')")
    with pytest.raises(UnavailableError, match=r"refused \(NotImplementedError: BPE pre-tok"):
        llama_tools.convert_model(tmp_path, tmp_path, tmp_path / "out.gguf", "f16")
    script.write_text("raise OSError(28, 'No space left on device')")
    with pytest.raises(OSError, match="No space left"):
        llama_tools.convert_model(tmp_path, tmp_path, tmp_path / "out.gguf", "f16")
