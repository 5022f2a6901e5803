"""Another person's adapter: who is taken, what is read, when it is made and when it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct.pairs import PAIR_SCHEMA
from twin_pipelines.instruct.store import DatasetVersion, save_dataset
from twin_pipelines.settings import TwinSettings, as_plain, load_settings
from twin_pipelines.sources import chitchat
from twin_pipelines.training import assets, checks, control, store
from twin_pipelines.training.config import TrainConfig, train_config

VERSION = "feedfeedfeed"


def adapter_of(config: TrainConfig, settings: TwinSettings) -> store.Adapter:
    return store.Adapter(
        adapter_id=config.adapter_id,
        dataset_version=VERSION,
        base_model=config.base_reference,
        base_hash=config.base_sha256,
        config=as_plain(settings.training),
        code_version="2",
        path=PurePosixPath(Path(config.output).relative_to(settings.home)),
        metrics={"steps": 1},
        mlflow_run_id="run",
        created_at=datetime(2020, 1, 1, tzinfo=UTC),
    )


@pytest.fixture
def trained(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    made_dataset: Path,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[TwinSettings, store.Adapter]:
    """A twin with an adapter in force that is recorded but was never trained."""
    given = {"BASE_MODEL": str(tiny_base), "MAX_STEPS": "4", "LEARNING_RATE": "0.01"}
    given |= {"DTYPE": "float32", "MAX_TOKENS": "512"}
    for name, value in given.items():
        monkeypatch.setenv(f"TWIN_TRAINING__{name}", value)
    load_settings.cache_clear()
    settings = load_settings()
    now = datetime(2018, 5, 1, tzinfo=UTC)
    made_from = DatasetVersion(
        version=VERSION,
        subject=chitchat.speaker_of_rank(3),
        settings={},
        train=72,
        validation=18,
        test=18,
        purged={},
        train_until=now,
        test_from=now,
        path=PurePosixPath("datasets") / VERSION,
    )
    save_dataset(connection, made_from, pl.DataFrame(schema={**PAIR_SCHEMA, "split": pl.String}))
    base = (str(tiny_base), "0" * 64, tiny_base)
    config = train_config(settings, dataset_version=VERSION, dataset=made_dataset, base=base)
    config.save(Path(config.output) / "config.json")
    adapter = adapter_of(config, settings)
    store.save_adapter(connection, adapter)
    connection.commit()
    return settings, adapter


def materialize() -> dict[str, object]:
    result = dg.materialize(
        [assets.control_adapter, checks.control_is_another_person],
        resources={"twin": TwinResource(), "pipes": dg.PipesSubprocessClient()},
    )
    assert all(found.passed for found in result.get_asset_check_evaluations())
    (event,) = result.asset_materializations_for_node("control_adapter")
    return {name: value.value for name, value in event.metadata.items()}


def test_a_control_is_trained_once_and_serves_every_seed(
    trained: tuple[TwinSettings, store.Adapter],
) -> None:
    settings, adapter = trained
    assert control.control_adapter_folder(settings, adapter) is None
    made = materialize()
    assert made["trained"] is True and made["reused"] is False and made["steps"] == 4
    folder = control.control_adapter_folder(settings, adapter)
    assert folder and (folder / "adapter_model.safetensors").exists()
    other_seed = replace(adapter, config={**adapter.config, "seed": 8})
    assert control.control_adapter_folder(settings, other_seed) == folder
    other_rank = replace(adapter, config={**adapter.config, "lora_rank": 3})
    assert control.control_adapter_folder(settings, other_rank) is None
    assert materialize()["reused"] is True
    _fails_when_tampered_with(folder.parent)


def _fails_when_tampered_with(folder: Path) -> None:
    people = folder / control.PEOPLE
    kept = people.read_text()
    people.write_text(kept.replace('"people": [', f'"people": ["{chitchat.speaker_of_rank(3)}",'))
    found = checks.control_is_another_person(TwinResource())
    assert not found.passed and "without the subject: False" in (found.description or "")
    people.write_text(kept)
    (folder / control.DATASET / "train.jsonl").write_text("{}")
    assert not checks.control_is_another_person(TwinResource()).passed


def test_a_quick_evaluation_trains_no_control(
    trained: tuple[TwinSettings, store.Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWIN_EVALUATION__DEPTH", "quick")
    load_settings.cache_clear()
    assert materialize() == {"trained": False, "why": "evaluation.depth is quick"}
    settings, adapter = trained
    assert control.control_adapter_folder(settings, adapter) is None


def test_neither_the_subject_nor_the_reserved_ranks_are_read() -> None:
    ranked = chitchat.senders()["speaker"].to_list()
    person, messages = control.stranger(ranked[2])
    people = set(messages["speaker"].unique())
    assert person in people and len(people) > 1
    assert not people & {ranked[2], *ranked[10:20]}


def test_the_control_had_as_much_to_learn_from_as_a_twin(tmp_path: Path) -> None:
    control.prepare_control(TwinSettings(home=tmp_path), tmp_path, chitchat.speaker_of_rank(3))
    with (tmp_path / "dataset" / "train.jsonl").open() as rows:
        assert sum(1 for _ in rows) > 2_000


def test_a_control_made_of_a_later_subjects_messages_is_made_anew(
    tmp_path: Path,
) -> None:
    settings, folder = TwinSettings(home=tmp_path), tmp_path / "control"
    person = control.prepare_control(settings, folder, "nobody")
    assert person in control.people_of(folder)
    (folder / "training.json").write_text("{}")
    assert control.prepare_control(settings, folder, person) != person
    assert not (folder / "training.json").exists()
    assert person not in control.people_of(folder)
    assert {path.name for path in (folder / "dataset").iterdir()} == {
        "train.jsonl",
        "validation.jsonl",
    }


def test_a_control_is_trained_by_the_recipe_of_its_twin(
    trained: tuple[TwinSettings, store.Adapter],
) -> None:
    settings, adapter = trained
    own = TrainConfig.load(settings.home / adapter.path / "config.json")
    config = control.control_config(settings, own, adapter)
    changed = {"adapter_id", "dataset_version", "dataset", "output"}
    assert {name for name in vars(own) if getattr(own, name) != getattr(config, name)} <= changed
