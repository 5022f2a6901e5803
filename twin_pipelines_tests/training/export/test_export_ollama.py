"""Ollama's template writes what the chat template writes, for every family, or there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import family_tokenizers as families
import pytest

from twin_pipelines.generation.prompt import template_text
from twin_pipelines.training.export.conversations import probes
from twin_pipelines.training.export.llama_tools import UnavailableError
from twin_pipelines.training.export.ollama import Layout, agreed_layout, modelfile, read_layout

CONVERSATIONS = [probe.messages for probe in probes("You are Mali.")]
TEMPLATES = {
    **{
        name: (name, "", place)
        for name, place in zip(
            ("SmolLM2", "Qwen3", "Llama 3", "Gemma 3", "Mistral"),
            ("own", "own", "own", "first", "last"),
            strict=True,
        )
    },
    "Gemma 2": ("Gemma 3", families.GEMMA2, "first"),
    "Mistral v1": ("Mistral", families.MISTRAL_V1, "first"),
    "Mistral v7": ("Mistral", families.MISTRAL_V7, "own"),
}


def tokenizer_of(name: str) -> Any:
    family, template, _ = TEMPLATES[name]
    return families.family_tokenizer(family, template)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_layout_writes_what_the_chat_template_writes(name: str) -> None:
    tokenizer = tokenizer_of(name)
    layout = agreed_layout(tokenizer, CONVERSATIONS)
    assert layout.system == TEMPLATES[name][2]
    talk = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": "how are you"},
    ]
    assert layout.render(talk) == template_text(tokenizer, talk)
    assert layout.render(talk[1:]) == template_text(tokenizer, talk[1:])


def test_the_default_system_prompt_of_a_template_is_kept() -> None:
    layout = agreed_layout(tokenizer_of("SmolLM2"), CONVERSATIONS)
    assert "You are a helpful AI assistant" in layout.start
    assert layout.go_template().startswith("{{ if .System }}<|im_start|>system\n{{ .System }}")


def test_a_twin_that_could_think_aloud_is_told_not_to() -> None:
    layout = agreed_layout(tokenizer_of("Qwen3"), CONVERSATIONS)
    assert layout.opening == "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert "<think>" not in layout.before_reply


def test_the_begin_token_is_left_to_a_server_that_writes_it() -> None:
    tokenizer = tokenizer_of("Llama 3")
    layout = agreed_layout(tokenizer, CONVERSATIONS)
    assert "<|begin_of_text|>" in layout.go_template()
    assert "<|begin_of_text|>" not in layout.without_begin(tokenizer.bos_token).go_template()


def test_a_modelfile_holds_template_system_prompt_and_stops() -> None:
    tokenizer = tokenizer_of("Gemma 3")
    layout = agreed_layout(tokenizer, CONVERSATIONS)
    sampled = {"temperature": 0.8, "top_p": 0.95}
    text = modelfile(Path("twin-f16.gguf"), layout, tokenizer, system="You are Mali.", **sampled)
    assert text.splitlines()[0] == "FROM ./twin-f16.gguf"
    assert f'TEMPLATE """{layout.go_template()}"""\nSYSTEM """You are Mali."""\n' in text
    assert 'PARAMETER stop "<end_of_turn>"\nPARAMETER stop "<eos>"\n' in text
    assert text.endswith("PARAMETER temperature 0.8\nPARAMETER top_p 0.95\n")
    with pytest.raises(UnavailableError, match="ends a text"):
        modelfile(Path("x.gguf"), layout, tokenizer, system='say """', **sampled)


def test_a_template_that_no_layout_follows_is_refused() -> None:
    counting = "{% for m in messages %}{{ loop.index }} {{ m['role'] }}: {{ m['content'] }}\n"
    counting += "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    deaf = "{{ messages[-1]['content'] }}{% if add_generation_prompt %}: {% endif %}"
    with pytest.raises(UnavailableError, match="too irregular"):
        agreed_layout(families.family_tokenizer("SmolLM2", counting), CONVERSATIONS)
    with pytest.raises(UnavailableError, match="leaves messages out"):
        read_layout(families.family_tokenizer("SmolLM2", deaf))


GO = """package main
import ("encoding/json"; "os"; "text/template")
type Message struct { Role, Content string }
func main() {
    var given struct { Template, System string; Messages []Message }
    if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil { panic(err) }
    parsed := template.Must(template.New("x").Parse(given.Template))
    values := map[string]any{"System": given.System, "Messages": given.Messages}
    if err := parsed.Execute(os.Stdout, values); err != nil { panic(err) }
}
"""


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's text/template as a program: a template and messages in, text out."""
    if shutil.which("go") is None:
        pytest.skip("needs Go")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO)
    subprocess.run(["go", "build", "-o", "program", "main.go"], check=True, cwd=folder)
    return folder / "program"


@pytest.mark.parametrize("name", TEMPLATES)
def test_go_itself_writes_the_same(name: str, go_program: Path) -> None:
    layout: Layout = agreed_layout(tokenizer_of(name), CONVERSATIONS)
    for messages in CONVERSATIONS:
        turns = [one for one in messages if one["role"] != "system"]
        if turns[0]["role"] != "user":
            continue
        system = "\n\n".join(one["content"] for one in messages if one["role"] == "system")
        given = {
            "Template": layout.go_template(),
            "System": system,
            "Messages": [{"Role": m["role"], "Content": m["content"]} for m in messages],
        }
        told = subprocess.run(
            [go_program], input=json.dumps(given), capture_output=True, text=True, check=True
        )
        assert told.stdout == layout.render(messages)
