"""The comparison finds what makes an exported model behave differently, and names it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from untrained_adapter import build_adapter

from twin_pipelines.training.export.config import ExportConfig
from twin_pipelines.training.export.conversations import probes
from twin_pipelines.training.export.merge import (
    load_merged,
    load_trained,
    load_untrained,
    save_merged,
)
from twin_pipelines.training.export.parity import (
    Findings,
    Reference,
    Tolerance,
    compare_transformers,
    judge,
    measure_change,
    refer,
)

STRICT = Tolerance(0.001, 0.99)
SAME = Findings(
    conversations=12, same_ids=12, same_text=12, difference=0.0, agreement=1.0, tokens=90, ends=True
)


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tiny_adapter: Path
) -> tuple[ExportConfig, Path, Reference]:
    """A configuration, its merged folder, and what the trained model does."""
    folder = tmp_path_factory.mktemp("parity") / "merged"
    config = ExportConfig(
        adapter_id="0123456789ab",
        adapter=str(tiny_adapter),
        base_reference="tiny",
        base_sha256="",
        base=str(tiny_base),
        output=str(folder.parent),
        formats=("safetensors",),
        dtype="float32",
        llama_cpp="",
        tools="",
        system="You are Mali.",
        temperature=0.8,
        top_p=0.95,
    )
    model, tokenizer = load_trained(config)
    reference = refer(model, tokenizer, probes(config.system))
    save_merged(model, tokenizer, folder, "float32")
    return config, folder, reference


def compared(exported: tuple[ExportConfig, Path, Reference], folder: Path) -> dict[str, Any]:
    config, _, reference = exported
    return judge(compare_transformers(*load_merged(config, folder), reference), STRICT)


def test_probes_hold_what_is_known_to_come_out_differently() -> None:
    told = "".join(one["content"] for probe in probes("S") for one in probe.messages)
    for sign in ("สวัสดี", "👨‍👩‍👧", "<|im_end|>", "<end_of_turn>", "\n\n", "12345"):
        assert sign in told
    roles = [[one["role"] for one in probe.messages] for probe in probes("You are Mali.")]
    assert ["user"] in roles and ["user", "assistant", "user"] in roles
    assert ["system", "assistant", "user"] in roles
    assert not any(one["role"] == "system" for probe in probes("") for one in probe.messages)


def test_the_same_weights_pass_with_no_difference(
    exported: tuple[ExportConfig, Path, Reference],
) -> None:
    found = compared(exported, exported[1])
    assert found["verdict"] == "passed" and found["why"] == ""
    assert found["difference"] < 1e-4 and found["same_text"] == 12


def test_how_much_training_changed_is_measured(
    exported: tuple[ExportConfig, Path, Reference],
) -> None:
    config, _, reference = exported
    assert measure_change(load_untrained(config), reference).training_changed > 0.05
    assert measure_change(load_trained(config)[0], reference).training_changed < 1e-4


def test_another_adapter_is_found_by_its_log_probabilities(
    exported: tuple[ExportConfig, Path, Reference], tiny_base: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    other = build_adapter(tiny_base, tmp_path / "other", seed=2)
    model, tokenizer = load_trained(replace(exported[0], adapter=str(other)))
    save_merged(model, tokenizer, tmp_path / "merged", "float32")
    found = compared(exported, tmp_path / "merged")
    assert found["verdict"] == "failed" and "log-probabilities differ" in found["why"]
    assert found["same_ids"] == 12


@pytest.fixture
def spoilt(
    exported: tuple[ExportConfig, Path, Reference], tmp_path: Path
) -> Callable[[str, Callable[[str], str]], Path]:
    """Makes copies of the merged folder in which one file's text is changed."""

    def make(name: str, change: Callable[[str], str]) -> Path:
        import shutil

        folder = tmp_path / "spoilt"
        shutil.copytree(exported[1], folder)
        text = (folder / name).read_text()
        (folder / name).write_text(change(text))
        assert (folder / name).read_text() != text
        return folder

    return make


def test_a_changed_chat_template_is_found_by_its_token_ids(
    exported: tuple[ExportConfig, Path, Reference],
    spoilt: Callable[[str, Callable[[str], str]], Path],
) -> None:
    folder = spoilt("chat_template.jinja", lambda text: text.replace("<|im_end|>\n", "<|im_end|>"))
    found = compared(exported, folder)
    assert found["verdict"] == "failed" and "the token ids of question, Thai" in found["why"]


def test_a_model_that_does_not_know_the_end_of_a_turn_is_found(
    exported: tuple[ExportConfig, Path, Reference],
    spoilt: Callable[[str, Callable[[str], str]], Path],
) -> None:
    def forget(text: str) -> str:
        return json.dumps({**json.loads(text), "eos_token_id": 0})

    found = compared(exported, spoilt("generation_config.json", forget))
    assert found["verdict"] == "failed" and "does not stop where" in found["why"]


def test_the_verdict_follows_the_stated_tolerance() -> None:
    from dataclasses import replace

    assert judge(SAME, STRICT)["verdict"] == "passed"
    other_text = replace(SAME, same_text=3, difference=0.0005)
    assert judge(other_text, STRICT)["verdict"] == "passed", "close enough is enough"
    assert judge(replace(other_text, difference=0.01), STRICT)["verdict"] == "failed"
    assert judge(replace(other_text, agreement=0.5), STRICT)["verdict"] == "failed"
    assert judge(replace(SAME, difference=math.nan), STRICT)["verdict"] == "failed"
    lost = replace(other_text, training_changed=0.0004)
    assert "no nearer to the trained model than the untrained base" in judge(lost, STRICT)["why"]
    assert judge(replace(SAME, same_ids=11, differing="Thai"), STRICT)["why"] == (
        "the token ids of Thai differ"
    )
