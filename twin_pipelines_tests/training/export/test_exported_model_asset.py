"""The exported_model asset through a real Pipes process, its rows, and its checks."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct.pairs import PAIR_SCHEMA
from twin_pipelines.instruct.store import DatasetVersion, save_dataset
from twin_pipelines.settings import TwinError, TwinSettings, load_settings
from twin_pipelines.training import store as training
from twin_pipelines.training.export import checks, store
from twin_pipelines.training.export.assets import exported_model
from twin_pipelines.training.export.config import KINDS

CHECKS = [
    checks.export_is_whole,
    checks.safetensors_behaves_as_trained,
    checks.gguf_adapter_behaves_as_trained,
    checks.gguf_f16_behaves_as_trained,
    checks.gguf_q8_0_behaves_as_trained,
    checks.gguf_q4_k_m_behaves_as_trained,
    checks.gguf_q4_0_behaves_as_trained,
]
ADAPTER = "0123456789ab"


@pytest.fixture
def ready(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    tiny_base: Path,
    tiny_adapter: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> TwinSettings:
    """A twin whose adapter in force is the tiny one."""
    monkeypatch.setenv("TWIN_EXPORT__DTYPE", "float32")
    load_settings.cache_clear()
    settings = load_settings()
    folder = settings.adapters_dir / ADAPTER
    folder.mkdir(parents=True)
    (folder / "adapter").symlink_to(tiny_adapter)
    now = datetime(2018, 5, 1, tzinfo=UTC)
    dataset = DatasetVersion(
        version="feedfeedfeed",
        subject="mali",
        settings={"system_prompt": "You are Mali."},
        train=1,
        validation=1,
        test=1,
        purged={},
        train_until=now,
        test_from=now,
        path=PurePosixPath("datasets/feedfeedfeed"),
    )
    save_dataset(connection, dataset, pl.DataFrame(schema={**PAIR_SCHEMA, "split": pl.String}))
    base = resolve_model(str(tiny_base), settings, purpose="causal")
    adapter = training.Adapter(
        adapter_id=ADAPTER,
        dataset_version=dataset.version,
        base_model=str(tiny_base),
        base_hash=base.sha256,
        config={},
        code_version="1",
        path=PurePosixPath("adapters") / ADAPTER,
        metrics={},
        mlflow_run_id="run",
        created_at=now,
    )
    training.save_adapter(connection, adapter)
    connection.commit()
    return settings


def materialize(checked: bool = True, **wanted: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [exported_model, *(CHECKS if checked else [])],
        resources={"twin": TwinResource(), "pipes": dg.PipesSubprocessClient()},
        run_config={"ops": {"exported_model": {"config": wanted}}},
        raise_on_error=False,
    )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return str(failure.event_specific_data)


def test_an_export_is_made_compared_recorded_and_judged(
    ready: TwinSettings, connection: psycopg.Connection
) -> None:
    result = materialize()
    assert result.success
    evaluations = result.get_asset_check_evaluations()
    assert len(evaluations) == len(CHECKS) == len(KINDS) + 1
    assert all(found.passed for found in evaluations), "what was not asked for passes"
    (event,) = result.asset_materializations_for_node("exported_model")
    metadata = {name: value.value for name, value in event.metadata.items()}
    assert metadata["adapter_id"] == ADAPTER and metadata["passed"] == 1
    assert "| merged |" in metadata["parity"] and "12/12" in metadata["parity"]

    exports = store.exports_of(connection, ADAPTER)
    assert list(exports) == ["safetensors"] and exports["safetensors"].passed is True
    assert store.promotable(connection, ADAPTER) == exports
    assert (ready.home / exports["safetensors"].path / "model.safetensors").is_file()
    assert store.latest_exported(connection) == ADAPTER
    connection.commit()

    _tampered_checks_fail(ready, connection, exports["safetensors"])


def _tampered_checks_fail(
    settings: TwinSettings, connection: psycopg.Connection, made: store.Export
) -> None:
    twin = TwinResource()
    manifest = settings.exports_dir / ADAPTER / "manifest.json"
    found = json.loads(manifest.read_text())
    found["artefacts"]["safetensors"]["parity"] |= {"verdict": "failed", "why": "it differs"}
    found["artefacts"]["gguf_f16"] = {
        "sha256": "",
        "files": {},
        "parity": {"verdict": "not verified", "why": "nothing here can run it"},
    }
    found["missing"] = {"gguf_q4_0": "no llama.cpp"}
    manifest.write_text(json.dumps(found))
    failed = checks.safetensors_behaves_as_trained(twin)
    assert not failed.passed and failed.severity == dg.AssetCheckSeverity.ERROR
    assert failed.description == "it differs"
    unseen = checks.gguf_f16_behaves_as_trained(twin)
    assert not unseen.passed and unseen.severity == dg.AssetCheckSeverity.WARN
    missing = checks.gguf_q4_0_behaves_as_trained(twin)
    assert not missing.passed and missing.description == "not made: no llama.cpp"

    weights = settings.home / made.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    changed = checks.export_is_whole(twin)
    assert not changed.passed and "merged/model.safetensors" in (changed.description or "")
    store.save_exports(
        connection,
        ADAPTER,
        [replace(made, passed=False), replace(made, kind="gguf_f16", passed=None)],
    )
    assert store.promotable(connection, ADAPTER) == {}


def test_what_the_user_must_mend_is_one_sentence_and_not_tried_again(
    ready: TwinSettings, connection: psycopg.Connection
) -> None:
    assert "is no format of an export; use safetensors" in failure_of(
        materialize(checked=False, formats=["gguf_q9"])
    )
    assert "There is no adapter absent to export" in failure_of(
        materialize(checked=False, adapter_id="absent")
    )
    (ready.adapters_dir / ADAPTER / "adapter").unlink()
    assert "No usable model in" in failure_of(materialize(checked=False))
    adapter = training.adapter(connection, ADAPTER)
    assert adapter
    training.save_adapter(connection, replace(adapter, base_hash="other"))
    connection.commit()
    assert "is not the one adapter" in failure_of(materialize(checked=False))


def test_checks_without_an_export_say_what_to_do(ready: TwinSettings) -> None:
    with pytest.raises(TwinError, match="run twin export"):
        checks.export_is_whole(TwinResource())
