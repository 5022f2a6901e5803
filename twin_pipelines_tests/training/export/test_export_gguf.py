"""GGUF files made by llama.cpp's own converters and run by llama.cpp itself. Needs the index once.

llama.cpp knows tokenizers by a hash of what they do, and the tiny one's is not in its list; a copy
of the converters is told that it splits text as GPT-2's does, which is true.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from asked_prompts import PROMPTS, ROOM, asked, taught
from untrained_adapter import build_adapter

from twin_pipelines.generation.prompt import render, template_text
from twin_pipelines.training.export.build import export
from twin_pipelines.training.export.config import ADAPTER_GGUF, F16, KINDS, ExportConfig
from twin_pipelines.training.export.conversations import probes
from twin_pipelines.training.export.llama_runtime import compare_gguf
from twin_pipelines.training.export.llama_tools import chat_template, convert_model, converters
from twin_pipelines.training.export.merge import load_trained, save_merged
from twin_pipelines.training.export.parity import TOLERANCES, judge, refer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("llama_cpp")
Make = Callable[..., ExportConfig]
KNOWS_TINY = "\nTextModel.get_vocab_base_pre = lambda self, tokenizer: 'gpt-2'\n"


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder's copy of the converters, fetched from the package index."""
    config = ExportConfig(**dict.fromkeys(ExportConfig.__dataclass_fields__, ""))
    tools = tmp_path_factory.mktemp("tools")
    folder = converters(replace(config, tools=str(tools)))
    assert sorted(path.name for path in tools.iterdir() if path.suffix != ".lock") == [folder.name]
    return folder


@pytest.fixture(scope="module")
def checkout(fetched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama.cpp checkout that knows the tiny tokenizer."""
    folder = tmp_path_factory.mktemp("checkout") / "llama.cpp"
    shutil.copytree(fetched, folder)
    base = folder / "conversion" / "base.py"
    base.write_text(base.read_text() + KNOWS_TINY)
    return folder


def quiet(line: str) -> None:
    """Nobody listens."""


def test_every_format_behaves_as_trained(config_of: Make, checkout: Path) -> None:
    config = config_of(formats=KINDS, llama_cpp=str(checkout))
    manifest = export(config, quiet)
    assert manifest["missing"] == {} and list(manifest["artefacts"]) == list(KINDS)
    for kind, artefact in manifest["artefacts"].items():
        found = artefact["parity"]
        assert found["same_ids"] == 12, (kind, found)
        assert found["verdict"] == "passed", (kind, found)
        if kind not in ("safetensors", ADAPTER_GGUF):
            assert (Path(config.output) / artefact["modelfile"]["path"]).is_file()
    said: list[str] = []
    export(config, said.append)
    assert "used again" in said[0]


def test_a_tokenizer_the_converter_does_not_know_is_told(config_of: Make, fetched: Path) -> None:
    manifest = export(config_of(formats=("safetensors", F16), llama_cpp=str(fetched)), quiet)
    assert "pre-tokenizer was not recognized" in manifest["missing"][F16]
    assert list(manifest["artefacts"]) == ["safetensors"]


def test_an_adapter_scaled_by_the_root_of_its_rank_passes_too(
    config_of: Make, checkout: Path, tiny_base: Path, tmp_path: Path
) -> None:
    adapter = build_adapter(tiny_base, tmp_path / "rooted", use_rslora=True)
    config = config_of(adapter=str(adapter), formats=(ADAPTER_GGUF,), llama_cpp=str(checkout))
    found = export(config, quiet)["artefacts"][ADAPTER_GGUF]["parity"]
    assert found["verdict"] == "passed", found


def test_another_template_and_another_adapter_are_found(
    config_of: Make, checkout: Path, tiny_base: Path, tmp_path: Path
) -> None:
    config = config_of()
    model, tokenizer = load_trained(config)
    reference = refer(model, tokenizer, probes(config.system))
    changed = tokenizer.chat_template.replace("<|im_end|>\n", "<|im_end|>")
    other = build_adapter(tiny_base, tmp_path / "other", seed=2)
    stranger, _ = load_trained(replace(config, adapter=str(other)))
    for name, weights, words in (
        ("template", model, "the token ids of question"),
        ("stranger", stranger, "log-probabilities differ"),
    ):
        folder, gguf = tmp_path / name, tmp_path / f"{name}.gguf"
        save_merged(weights, tokenizer, folder, "float32")
        if name == "template":
            (folder / "chat_template.jinja").write_text(changed)
        convert_model(checkout, folder, gguf, "f16")
        found = judge(compare_gguf(gguf, tokenizer, reference), TOLERANCES[F16, "float16"])
        assert found["verdict"] == "failed" and words in found["why"], (name, found)


def test_an_exported_file_reads_fifty_prompts_with_memories_as_they_were_taught(
    config_of: Make, checkout: Path, tmp_path: Path
) -> None:
    from llama_cpp import Llama

    model, tokenizer = load_trained(config_of())
    save_merged(model, tokenizer, tmp_path / "merged", "float32")
    gguf = tmp_path / "twin.gguf"
    convert_model(checkout, tmp_path / "merged", gguf, "f16")
    contexts = [asked(tokenizer, number) for number in range(PROMPTS)]
    trained = [taught(tokenizer, context.messages) for context in contexts]
    assert trained == [render(tokenizer, context.messages, ROOM) for context in contexts]
    tokenizer.chat_template = chat_template(gguf)
    vocabulary = Llama(str(gguf), vocab_only=True, verbose=False)
    texts = [template_text(tokenizer, context.messages) for context in contexts]
    read = [vocabulary.tokenize(text.encode(), add_bos=False, special=True) for text in texts]
    vocabulary.close()
    assert read == trained
