"""A tiny base with two adapters that answer differently, and releases made of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb
from tiny_model import build_tiny_model

from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.local import load_model
from twin_pipelines.promotion.in_force import CoreMemory, ReleaseInForce
from twin_pipelines.serving.voice import Voice, what_stands
from twin_pipelines.settings import Serving, TwinSettings, load_settings

PROMPTS = {1: "You are mali. Reply as mali would in this chat.", 2: "You are david."}


@pytest.fixture(scope="session")
def served_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with `base`, and adapters `adapters/a1` and `adapters/a2`, untrained."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    home = tmp_path_factory.mktemp("served")
    base = build_tiny_model(home / "base")
    for number in PROMPTS:
        folder = home / "adapters" / f"a{number}" / "adapter"
        torch.manual_seed(number)
        model = AutoModelForCausalLM.from_pretrained(base)
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        get_peft_model(model, config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return home


@pytest.fixture(scope="session")
def make_voice(served_home: Path) -> Callable[[int], Voice]:
    """Loads release 1 or 2."""

    def make(number: int) -> Voice:
        base = ResolvedModel("base", served_home / "base", "0" * 64)
        adapter = PurePosixPath("adapters") / f"a{number}" / "adapter"
        model, tokenizer = load_model(base, served_home / adapter, "float32")
        known = str(UUID(int=number))
        memories = (CoreMemory("preference", f"I like thing {number}", 0.9, memory_id=known),)
        release = ReleaseInForce(
            release_id=number,
            model_version=number,
            adapter_id=f"a{number}",
            adapter=adapter,
            base_reference=str(base.path),
            base_sha256=base.sha256,
            template_hash="",
            system_prompt=PROMPTS[number],
            persona_version="",
            retrieval={},
            core_memories=memories,
            forced=False,
            in_force_since=datetime(2026, 1, 1, tzinfo=UTC),
        )
        stands = what_stands(tokenizer, release, Serving(memory_tokens=64))
        return Voice(release, model, tokenizer, stands, 512)

    return make


@pytest.fixture
def served(
    twin_home: TwinSettings,
    served_home: Path,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> TwinSettings:
    """Release 1 has served, release 2 serves."""
    (twin_home.home / "adapters").symlink_to(served_home / "adapters")
    monkeypatch.setenv("TWIN_TRAINING__DTYPE", "float32")
    monkeypatch.setenv("TWIN_SERVING__CONTEXT_TOKENS", "256")
    monkeypatch.setenv("TWIN_SERVING__BATCH_SIZE", "32")
    load_settings.cache_clear()
    connection.execute(
        "insert into datasets (version, subject, settings, train, validation, test, purged, "
        "train_until, test_from, path) values ('d', 'mali', '{}', 1, 1, 1, '{}', now(), now(), 'd')"
    )
    for number, status in ((1, "retired"), (2, "champion")):
        _add_release(connection, number, PROMPTS[number], status, served_home / "base")
    connection.commit()
    return load_settings()


def _add_release(
    connection: psycopg.Connection, number: int, prompt: str, status: str, base: Path
) -> None:
    values: dict[str, Any] = {
        "adapter": f"a{number}",
        "path": f"adapters/a{number}",
        "number": number,
        "status": status,
        "base": str(base),
        "persona": Jsonb({"system_prompt": prompt, "version": f"p{number}"}),
        "memory": uuid4(),
        "content": f"I like thing {number}",
    }
    connection.execute(
        "insert into adapters (adapter_id, dataset_version, base_model, base_hash, config, "
        "code_version, path, metrics, mlflow_run_id) "
        "values (%(adapter)s, 'd', %(base)s, '', '{}', '1', %(path)s, '{}', 'run')",
        values,
    )
    connection.execute(
        "insert into evaluations (evaluation_id, adapter_id, metrics, path) "
        "values (%(adapter)s, %(adapter)s, '{}', 'e')",
        values,
    )
    connection.execute(
        "insert into releases (adapter_id, evaluation_id, model_version, status, verdict, persona, "
        "base_reference, promoted_at, in_force_since) values (%(adapter)s, %(adapter)s, "
        '%(number)s, %(status)s, \'{"passed": true, "words": "", "conditions": []}\', '
        "%(persona)s, %(base)s, now() + %(number)s * interval '1 second', now())",
        values,
    )
    connection.execute(
        "insert into core_memories select release_id, %(memory)s, 'preference', %(content)s, 0.9, "
        "'{}', 3, now(), now(), '{}' from releases where adapter_id = %(adapter)s",
        values,
    )
