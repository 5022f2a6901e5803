"""A version must be whole or not be there, and outlive the folder it was made from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from twin_pipelines.foundation import registry
from twin_pipelines.foundation.tracking import start_run
from twin_pipelines.settings import TwinError

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return start_run(client, key="adapter-1", name="train", tags={})


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_text("weights")
    (folder / "tokenizer.json").write_text("tokenizer")
    return folder


def register(client: MlflowClient, run_id: str, source: Path, key: str = "e1") -> int:
    tags = {"adapter_id": "a"}
    return registry.register_version(client, key=key, run_id=run_id, source=source, tags=tags)


def kept(client: MlflowClient, run_id: str, name: str) -> Path:
    """The registry's own copy of a file."""
    root = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    (found,) = root.rglob(name)
    return found


def test_registering_twice_gives_the_same_version(
    client: MlflowClient, run_id: str, adapter: Path
) -> None:
    assert [register(client, run_id, adapter, key) for key in ("e1", "e2", "e1")] == [1, 2, 1]
    assert kept(client, run_id, "tokenizer.json"), "two evaluations of an adapter share one copy"


@pytest.mark.parametrize("step", ["log_artifacts", "log_text", "create_model_version"])
def test_a_registration_killed_at_any_step_leaves_no_half_version_and_heals(
    client: MlflowClient,
    run_id: str,
    adapter: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    real = getattr(client, step)

    def killed(*given: Any, **named: Any) -> None:
        if step == "create_model_version":
            real(*given, **named)
        elif step == "log_artifacts":
            (adapter / "tokenizer.json").rename(adapter.parent / "kept")
            (adapter / "adapter_model.safetensors").write_text("wei")
            real(*given, **named)
            (adapter.parent / "kept").rename(adapter / "tokenizer.json")
            (adapter / "adapter_model.safetensors").write_text("weights")
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(client, step, killed)
        with pytest.raises(KeyboardInterrupt):
            register(client, run_id, adapter)
    versions = client.search_model_versions("name = 'twin'")
    assert [version.tags["adapter_id"] for version in versions] == (
        ["a"] if step == "create_model_version" else []
    )
    assert register(client, run_id, adapter) == 1
    assert registry.version_fault(client, 1) is None


def test_a_version_outlives_the_folder_it_was_made_from(
    client: MlflowClient, run_id: str, adapter: Path
) -> None:
    register(client, run_id, adapter)
    shutil.rmtree(adapter)
    registry.restore_files(client, 1, adapter)
    assert (adapter / "adapter_model.safetensors").read_text() == "weights"
    assert sorted(path.name for path in adapter.parent.iterdir()) == ["adapter", "home"]
    assert len(list(adapter.iterdir())) == 2


@pytest.mark.parametrize("damage", ["changed", "missing", "all gone", "version gone"])
def test_files_of_a_version_that_are_not_the_registered_ones_are_found(
    client: MlflowClient, run_id: str, adapter: Path, damage: str
) -> None:
    register(client, run_id, adapter)
    weights = kept(client, run_id, "adapter_model.safetensors")
    if damage == "changed":
        weights.write_text("other")
    elif damage == "missing":
        weights.unlink()
    elif damage == "all gone":
        shutil.rmtree(weights.parent)
    else:
        client.delete_model_version("twin", "1")
    assert "version 1" in str(registry.version_fault(client, 1))
    with pytest.raises(TwinError, match=r"cannot be restored because .*version 1"):
        registry.restore_files(client, 1, adapter.parent / "again")
    assert not (adapter.parent / "again").exists()


def test_a_training_run_that_is_gone_is_told(client: MlflowClient, adapter: Path) -> None:
    with pytest.raises(TwinError, match="is gone, so the adapter cannot be registered"):
        register(client, "0" * 32, adapter)


def test_alias_moves_and_clears(client: MlflowClient, run_id: str, adapter: Path) -> None:
    assert registry.alias_version(client, "champion") is None
    registry.clear_alias(client, "champion")
    for key in ("e1", "e2"):
        registry.set_alias(client, "champion", register(client, run_id, adapter, key))
    assert registry.alias_version(client, "champion") == 2
    assert registry.alias_version(client, "challenger") is None
    registry.clear_alias(client, "champion")
    assert registry.alias_version(client, "champion") is None
