"""`twin export` says in one sentence what it cannot do."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from twin_pipelines.commands.export import export
from twin_pipelines.settings import TwinError, TwinSettings


def test_an_unknown_level_is_refused_before_anything_starts(twin_home: TwinSettings) -> None:
    with pytest.raises(TwinError, match="--gguf q9 is no level; use adapter, f16, q8_0, q4_k_m"):
        export(twin_home, ["q9"], Console(file=io.StringIO()))


def test_without_an_adapter_the_command_says_what_to_do(twin_home: TwinSettings) -> None:
    with pytest.raises(TwinError, match="There is no adapter to export; materialise lora_adapter"):
        export(twin_home, [], Console(file=io.StringIO()))
