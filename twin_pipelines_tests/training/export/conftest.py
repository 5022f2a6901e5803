"""A tiny base, adapters of it that were never trained, and configurations to export them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_model import build_tiny_model
from untrained_adapter import build_adapter

from twin_pipelines.training.export.config import ExportConfig


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("export") / "base")


@pytest.fixture(scope="session")
def tiny_adapter(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    return build_adapter(tiny_base, tmp_path_factory.mktemp("export") / "adapter")


@pytest.fixture
def config_of(tmp_path: Path, tiny_base: Path, tiny_adapter: Path) -> Callable[..., ExportConfig]:
    """Makes configurations for the tiny model; any field may be given."""

    def make(**given: Any) -> ExportConfig:
        values: dict[str, Any] = {
            "adapter_id": "0123456789ab",
            "adapter": str(tiny_adapter),
            "base_reference": str(tiny_base),
            "base_sha256": "0" * 64,
            "base": str(tiny_base),
            "output": str(tmp_path / "exports" / "0123456789ab"),
            "formats": ("safetensors",),
            "dtype": "float32",
            "llama_cpp": "",
            "tools": str(tmp_path / "models"),
            "system": "You are Mali.",
            "temperature": 0.8,
            "top_p": 0.95,
        }
        return ExportConfig(**{**values, **given})

    return make
