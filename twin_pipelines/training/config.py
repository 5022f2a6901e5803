"""What a training is given, as data: it travels to the training process as one JSON file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.fingerprints import hash_file
from twin_pipelines.settings import TwinError, TwinSettings, as_plain

CODE_VERSION = "2"  # raise it when the same configuration would give another adapter

ADAPTER = "adapter"
CHECKPOINTS = "checkpoints"
CONFIG = "config.json"
FAILURE = "failure.json"
LOSSES = "losses.jsonl"
PREFERENCES = "preferences.jsonl"  # of a dataset
REPORT = "training.json"


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Paths are absolute; the other fields are those of `settings.training`."""

    adapter_id: str
    dataset_version: str
    dataset: str  # folder with train.jsonl and validation.jsonl
    base_reference: str
    base_sha256: str
    base: str  # folder with the base model
    output: str  # folder of the adapter
    max_steps: int
    max_epochs: float
    max_minutes: float
    batch_size: int
    gradient_accumulation: int
    learning_rate: float
    warmup_share: float
    lora_rank: int
    lora_alpha: int
    lora_dropout: float
    max_tokens: int
    save_steps: int
    dtype: str
    seed: int
    dpo_steps: int = 0  # of the stage in `preferences`
    backend: str = "auto"
    load_in_4bit: bool = False
    use_rslora: bool = False
    use_dora: bool = False
    schedule: str = "linear"
    evaluations: int = 2
    patience: int = 0
    packing: bool = True

    def save(self, path: Path) -> Path:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))
        return path

    @classmethod
    def load(cls, path: Path) -> TrainConfig:
        """Read what `save` wrote. Raises TwinError when the file is missing or not that."""
        try:
            content = json.loads(path.read_text())
            missing = {field.name for field in fields(cls)} - content.keys()
            if missing:
                raise ValueError(f"it lacks {', '.join(sorted(missing))}")
            return cls(**content)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TwinError(
                f"The training configuration {path} is not usable ({error}); let the lora_adapter "
                "asset write it, or correct it."
            ) from error


def train_config(
    settings: TwinSettings, *, dataset_version: str, dataset: Path, base: tuple[str, str, Path]
) -> TrainConfig:
    """The configuration for a dataset and a base (reference, sha256 of its weights, folder)."""
    reference, sha256, folder = base
    chosen = as_plain(settings.training)
    del chosen["base_model"]
    decides = dict(chosen)
    if chosen["dpo_steps"] and (dataset / PREFERENCES).exists():
        decides[PREFERENCES] = hash_file(dataset / PREFERENCES)  # a correction makes a new adapter
    identity = adapter_id(dataset_version, sha256, decides)
    return TrainConfig(
        adapter_id=identity,
        dataset_version=dataset_version,
        dataset=str(dataset),
        base_reference=reference,
        base_sha256=sha256,
        base=str(folder),
        output=str(settings.adapters_dir / identity),
        **chosen,
    )


def adapter_id(dataset_version: str, base_sha256: str, chosen: dict[str, Any]) -> str:
    """Identity of an adapter: 12 hexadecimal digits of what decides its weights."""
    decides = {key: value for key, value in chosen.items() if key != "save_steps"}
    if not decides.get("dpo_steps"):
        decides.pop("dpo_steps", None)
    parts = [dataset_version, base_sha256, decides, CODE_VERSION]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
