"""The tiny model, loaded once."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_model import build_tiny_model, build_tiny_tokenizer

from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.local import load_model


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return build_tiny_tokenizer()


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    folder = build_tiny_model(tmp_path_factory.mktemp("tiny") / "base")
    return ResolvedModel("tiny", folder, "0" * 64)


@pytest.fixture(scope="session")
def tiny(base: ResolvedModel) -> tuple[Any, Any]:
    return load_model(base, dtype="float32")
