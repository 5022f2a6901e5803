"""Made-up datasets and training configurations for the tiny model."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dataset_rows import made_session, write_rows
from tiny_model import build_tiny_model

from twin_pipelines.training.config import TrainConfig


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def made_dataset(tmp_path: Path) -> Path:
    """A dataset folder: 12 sessions of six replies in a habitual style."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    dice = random.Random(1)
    for split, sessions in (("train", 12), ("validation", 3), ("test", 3)):
        rows: list[dict[str, Any]] = []
        for number in range(sessions):
            replies = [f"haha {dice.choice(['good', 'lovely', 'tired'])} day" for _ in range(6)]
            rows += made_session(f"{split}{number}", replies)
        write_rows(folder / f"{split}.jsonl", rows)
    return folder


@pytest.fixture
def config_of(tmp_path: Path, tiny_base: Path, made_dataset: Path) -> Callable[..., TrainConfig]:
    """Makes configurations that train in seconds; any field may be given."""

    def make(**given: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "adapter_id": "0123456789ab",
            "dataset_version": "feedfeedfeed",
            "dataset": str(made_dataset),
            "base_reference": str(tiny_base),
            "base_sha256": "0" * 64,
            "base": str(tiny_base),
            "output": str(tmp_path / "adapters" / "0123456789ab"),
            "max_steps": 40,
            "max_epochs": 100.0,
            "max_minutes": 5.0,
            "batch_size": 4,
            "gradient_accumulation": 1,
            "learning_rate": 1e-2,
            "warmup_share": 0.05,
            "lora_rank": 4,
            "lora_alpha": 8,
            "lora_dropout": 0.0,
            "max_tokens": 128,
            "save_steps": 5,
            "dtype": "float32",
            "seed": 7,
        }
        return TrainConfig(**{**values, **given})

    return make
