"""Training settings that suit the hardware found and the size of the base model.

A preset fills in what the user left unsaid: whatever stands in twin.toml or in the environment is
kept. Batches are as large as the memory estimate allows (see `footprint`), and accumulation makes
up for smaller ones, so that an optimiser step reads about as many tokens everywhere.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.table import Table

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.settings import Training, TwinError, TwinSettings
from twin_pipelines.training.backends import TILED
from twin_pipelines.training.footprint import (
    GB,
    KEEP_FREE,
    LARGE_MODEL,
    Device,
    Footprint,
    Shape,
    estimate,
    read_shape,
    refuse_what_cannot_fit,
)

SMALL_BASE = 500_000_000  # parameters up to which a CPU trains batches of two
FOUR_BIT_FROM = 0.4  # share of a GPU's memory that bfloat16 weights may take


@dataclass(frozen=True)
class Hardware:
    """Where a training would run. Memory is in bytes.

    Settings follow from `total`, so that a busy hour does not make another adapter; `free` says
    whether they fit now.
    """

    device: Device
    name: str
    total: float
    free: float
    bfloat16: bool


@dataclass(frozen=True)
class Preset:
    """What a class of hardware is given where nothing is set."""

    name: str
    max_tokens: int
    tokens_per_step: int
    most_sequences: int  # of one batch
    lora_rank: int


CPU = Preset("CPU", 512, 1_024, 2, 16)
MPS = Preset("Apple MPS", 512, 4_096, 8, 16)
GPUS = (  # by the memory of the GPU in GB
    (70, Preset("GPU of 80 GB and more", 2_048, 32_768, 32, 32)),
    (22, Preset("GPU of 24 GB", 1_024, 16_384, 16, 32)),
    (14, Preset("GPU of 16 GB", 1_024, 16_384, 16, 16)),
    (0, Preset("GPU of 8 GB", 512, 8_192, 16, 16)),
)


@dataclass(frozen=True)
class Plan:
    """Settings of a training after a preset, and what they will need."""

    training: Training
    preset: Preset
    hardware: Hardware
    shape: Shape
    footprint: Footprint
    chosen: Mapping[str, Any]  # by the preset, not by the user
    backend: str
    checkpointing: bool

    def refuse_what_cannot_fit(self) -> None:
        """Raise TwinError when the training would not fit into the free memory."""
        refuse_what_cannot_fit(
            self.footprint,
            self.hardware.free,
            what=self.training.base_model,
            batch_size=self.training.batch_size,
            max_tokens=self.training.max_tokens,
        )


def plan_training(training: Training, base: Path, hardware: Hardware | None = None) -> Plan:
    """The settings for the base model in a folder on this hardware (None: what is found here).

    Raises TwinError when the folder does not describe a decoder; what does not fit is told by
    `Plan.refuse_what_cannot_fit`.
    """
    found = hardware or detect_hardware()
    shape = read_shape(base)
    preset = preset_for(found)
    said = training.model_fields_set
    backend = _backend(training.backend, found)
    rank = training.lora_rank if "lora_rank" in said else preset.lora_rank
    tokens = training.max_tokens if "max_tokens" in said else preset.max_tokens
    four_bit = training.load_in_4bit
    if "load_in_4bit" not in said and backend == "unsloth":
        four_bit = shape.parameters * 2 > FOUR_BIT_FROM * found.total
    need = partial(
        estimate,
        shape,
        device=found.device,
        max_tokens=tokens,
        rank=rank,
        float_bytes=_float_bytes(training.dtype, found),
        four_bit=four_bit,
        checkpointing=_twice(shape, backend),
        packed=_packed(training, base),
    )
    batch = training.batch_size
    if "batch_size" not in said:
        batch = _most_sequences(preset, shape, found, tokens)
        while batch > 1 and need(batch_size=batch).total > found.total * KEEP_FREE:
            batch //= 2
    values = {
        "batch_size": batch,
        "gradient_accumulation": max(1, round(preset.tokens_per_step / (batch * tokens))),
        "max_tokens": tokens,
        "lora_rank": rank,
        "lora_alpha": 2 * rank,
        "load_in_4bit": four_bit,
    }
    chosen = {name: value for name, value in values.items() if name not in said}
    return Plan(
        training=training.model_copy(update=chosen),
        preset=preset,
        hardware=found,
        shape=shape,
        footprint=need(batch_size=batch),
        chosen=chosen,
        backend=backend,
        checkpointing=_twice(shape, backend),
    )


def with_preset(settings: TwinSettings, base: Path) -> TwinSettings:
    """The settings as a training of the base in this folder will have them on this machine.

    Raises TwinError when that training does not fit into the free memory.
    """
    plan = plan_training(settings.training, base)
    plan.refuse_what_cannot_fit()
    return settings.model_copy(update={"training": plan.training})


def preset_for(hardware: Hardware) -> Preset:
    """The preset of a class of hardware."""
    if hardware.device == "cuda":
        return next(preset for least, preset in GPUS if hardware.total >= least * GB)
    return MPS if hardware.device == "mps" else CPU


def detect_hardware() -> Hardware:
    """The GPU that a training would take, else Apple's, else the processor and its memory.

    A GPU is asked through nvidia-smi, because PyTorch would take half a GB of it to answer.
    """
    import torch

    from twin_pipelines.generation.local import choose_dtype

    bfloat16 = choose_dtype() == torch.bfloat16
    if torch.cuda.is_available():
        return _gpu(_ask_gpu(), bfloat16)
    total, free = memory()
    if torch.backends.mps.is_available():
        total = float(torch.mps.recommended_max_memory())
        return Hardware("mps", "Apple MPS", total, min(total, free), True)
    return Hardware("cpu", f"{torch.get_num_threads()} threads", total, free, bfloat16)


def _ask_gpu() -> str:
    """Name, MiB in all and MiB free of the first GPU this process may use."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
    command = ["nvidia-smi", "-i", first, "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(
            [*command, "--query-gpu=name,memory.total,memory.free"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise TwinError(
            f"The GPU {first} does not answer nvidia-smi ({error}); install it with the driver, or "
            "hide the GPU by setting CUDA_VISIBLE_DEVICES to an empty value."
        ) from error


def _gpu(answer: str, bfloat16: bool) -> Hardware:
    name, total, free = (part.strip() for part in answer.strip().splitlines()[0].split(","))
    mebibyte = float(1 << 20)
    return Hardware("cuda", name, float(total) * mebibyte, float(free) * mebibyte, bfloat16)


def memory() -> tuple[float, float]:
    """Bytes of memory in all, and free: of the machine, or as its process group is allowed.

    What the group's files occupy counts as free, because the system gives it back when asked.
    """
    import psutil

    found = psutil.virtual_memory()
    total, free = float(found.total), float(found.available)
    for folder, limit, used, files in _GROUPS:
        if (folder / limit).exists() and (folder / used).exists():
            allowed = (folder / limit).read_text().strip()
            held = float((folder / used).read_text()) - _file_pages(folder, files)
            if allowed.isdigit():
                total = min(total, float(allowed))
                free = min(free, float(allowed) - held)
    return total, free


_GROUPS = (  # folder, limit, use, and the entries of memory.stat that count pages of files
    (
        Path("/sys/fs/cgroup"),
        "memory.max",
        "memory.current",
        ("active_file", "inactive_file"),
    ),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_active_file", "total_inactive_file"),
    ),
)


def _file_pages(folder: Path, names: tuple[str, ...]) -> float:
    lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return sum(float(line[1]) for line in lines if line[0] in names)


def plan_table(plan: Plan) -> Table:
    """The plan for people: each value, who chose it, and the memory beside what is free."""
    table = Table(title=f"Training on {plan.hardware.name}: preset {plan.preset.name}", box=None)
    table.add_column("setting", style="bold")
    table.add_column("value")
    table.add_column("chosen by")
    training = plan.training
    names = ("batch_size", "gradient_accumulation", "max_tokens", "lora_rank", "lora_alpha")
    rows = [("base_model", f"{training.base_model} ({plan.shape.parameters / 1e9:.2f} B)")]
    rows += [
        (name, str(getattr(training, name)))
        for name in (*names, "learning_rate", "dtype", "load_in_4bit", "backend")
    ]
    for name, value in rows:
        shown = f"{value} ({plan.backend})" if name == "backend" else value
        table.add_row(name, shown, _by(name, plan))
    table.add_row("activations computed twice", "yes" if plan.checkpointing else "no", "its size")
    free = plan.hardware.free
    fits = plan.footprint.total <= free * KEEP_FREE
    verdict = f"of {free / GB:.1f} GB free: {'fits' if fits else 'does not fit'}"
    table.add_row("memory", f"about {plan.footprint.words()}", verdict)
    return table


def _by(name: str, plan: Plan) -> str:
    if name in plan.chosen:
        return "preset"
    return "you" if name in plan.training.model_fields_set else "default"


def _backend(wanted: str, hardware: Hardware) -> str:
    if wanted != "auto":
        return wanted
    return "unsloth" if hardware.device == "cuda" and find_spec("unsloth") else "trl"


def _twice(shape: Shape, backend: str) -> bool:
    """Whether activations are computed twice, to save memory."""
    return backend == "unsloth" or shape.parameters > LARGE_MODEL


def _packed(training: Training, base: Path) -> bool:
    """Whether sequences are packed and read by the passes of `training.kernels` throughout."""
    kind = read_json(base / "config.json").get("model_type")
    return training.packing and kind in TILED and not (training.use_dora or training.dpo_steps)


def _float_bytes(dtype: str, hardware: Hardware) -> int:
    if dtype == "auto":
        return 2 if hardware.bfloat16 else 4
    return 2 if dtype == "bfloat16" else 4


def _most_sequences(preset: Preset, shape: Shape, hardware: Hardware, max_tokens: int) -> int:
    """Sequences of a batch that make one step without accumulation; a power of two."""
    if hardware.device == "cpu" and shape.parameters > SMALL_BASE:
        return 1
    wanted = min(preset.most_sequences, max(1, preset.tokens_per_step // max_tokens))
    return 1 << (wanted.bit_length() - 1)
