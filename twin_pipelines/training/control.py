"""Another person's twin, the control of an evaluation: same base, same recipe, a stranger's chats.

The stranger is the most prolific of chitchat's senders known to be one person each who is not the
subject: a control must have had as much to learn from as a twin, or it would be easy to beat. Their
chats with the subject, and with the reserved ranks, are not read.
One control serves every adapter of its base and recipe, whatever its seed; it is a folder, and no
row of `adapters`, because it is nobody's twin.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from twin_pipelines.features.cleaning import clean
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.fingerprints import read_json, write_json
from twin_pipelines.generation.prompt import IDENTITY, system_prompt
from twin_pipelines.instruct.dataset import SPLITS, chat_rows, draft_dataset
from twin_pipelines.instruct.pairs import build_pairs
from twin_pipelines.persona.identity.compose import identity_until
from twin_pipelines.persona.style.background import raw_messages
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources import chitchat
from twin_pipelines.training.config import ADAPTER, CODE_VERSION, TrainConfig
from twin_pipelines.training.progress import finished_report
from twin_pipelines.training.store import Adapter

CONTROLS = "controls"
PEOPLE = "people.json"
DATASET = "dataset"
SINGLE_VOICES = ("720840", "0f9fe1", "afe2b8")  # how their names begin; the most prolific first
SEED = 7  # of every control: which stranger's order of batches it was does not matter
NOT_RECIPE = {"base_model", "seed", "save_steps"}


def control_adapter_folder(settings: TwinSettings, adapter: Adapter) -> Path | None:
    """Folder with the weights of another person's adapter on the same base, by the same recipe.

    None where there is none (see the asset `control_adapter`). Nothing is loaded or trained.
    """
    folder = control_folder(settings, adapter.base_hash, adapter.config)
    return folder / ADAPTER if finished_report(folder) else None


def control_folder(settings: TwinSettings, base_sha256: str, recipe: dict[str, Any]) -> Path:
    """Where the control of a base and a recipe (`settings.training` as plain values) belongs."""
    decides = {name: value for name, value in recipe.items() if name not in NOT_RECIPE}
    parts = json.dumps([base_sha256, decides, CODE_VERSION], sort_keys=True)
    name = hashlib.sha256(parts.encode()).hexdigest()[:12]
    return settings.adapters_dir / CONTROLS / name


def control_config(settings: TwinSettings, twin: TrainConfig, adapter: Adapter) -> TrainConfig:
    """The configuration of the control of `adapter`, whose own configuration is `twin`."""
    folder = control_folder(settings, adapter.base_hash, adapter.config)
    return replace(
        twin,
        adapter_id=folder.name,
        dataset_version=f"control-{folder.name}",
        dataset=str(folder / DATASET),
        output=str(folder),
        seed=SEED,
        dpo_steps=0,
    )


def prepare_control(settings: TwinSettings, folder: Path, subject: str) -> str:
    """Write the stranger's dataset into the folder of a control; returns the stranger's name.

    A control that was trained on messages of `subject` is deleted first.
    """
    if folder.exists() and subject in people_of(folder):
        shutil.rmtree(folder)
    person, messages = stranger(subject)
    rows = person_rows(settings, person, messages)
    write_rows(folder / DATASET, rows)
    people = sorted(messages["speaker"].unique())
    write_json(folder / PEOPLE, {"person": person, "people": people})
    return person


def people_of(folder: Path) -> set[str]:
    """Everybody with a message in what the control was trained on."""
    return set(read_json(folder / PEOPLE).get("people", ()))


def stranger(subject: str) -> tuple[str, pl.DataFrame]:
    """The stranger, and all messages of the chats that may be read (`chitchat.messages`).

    Raises TwinError when the package does not hold any of them.
    """
    ranked = chitchat.senders()["speaker"].to_list()
    people = [
        name
        for voice in SINGLE_VOICES
        for name in ranked
        if name.startswith(voice) and name != subject
    ]
    if not people:
        raise TwinError(
            "chitchat-dataset holds nobody to train a control on; reinstall version 0.9.0."
        )
    barred = [*ranked[chitchat.SUBJECT_RANKS : chitchat.FIRST_STRANGER - 1], subject]
    said = chitchat.messages().with_columns(pl.col("chat", "speaker").cast(pl.String))
    read = said.filter(~pl.col("speaker").is_in(barred).any().over("chat"))
    return people[0], _of(people[0], read)


def chats_of(person: str) -> pl.DataFrame:
    """All messages of the chats a sender takes part in (`chitchat.messages`)."""
    return _of(person, chitchat.messages().with_columns(pl.col("chat", "speaker").cast(pl.String)))


def write_rows(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Write rows by split as the files a training reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, content in rows.items():
        lines = b"".join(orjson.dumps(row) + b"\n" for row in content)
        (folder / f"{split}.jsonl").write_bytes(lines)


def _of(person: str, messages: pl.DataFrame) -> pl.DataFrame:
    return messages.filter((pl.col("speaker") == person).any().over("chat"))


def person_rows(
    settings: TwinSettings, person: str, messages: pl.DataFrame
) -> dict[str, list[dict[str, Any]]]:
    """A person's chats as rows of train and validation, made as the subject's are.

    What would be the test split belongs to train: nobody asks how well this person is imitated.
    """
    raw = raw_messages(messages)
    days = DayRange(raw["day"].min(), raw["day"].max())  # type: ignore[arg-type]
    turns = clean(raw, days, settings.cleaning).turns
    pairs = build_pairs(turns, person, settings.pairs, settings.dataset.near_duplicate)
    usable = pairs.filter(pl.col("excluded").is_null())
    draft = draft_dataset(usable, settings.dataset)
    asked = IDENTITY in settings.dataset.system_prompt
    identity = identity_until(
        turns,
        draft.train_until,
        speaker=person,
        names=[],
        edited=None,
        most_tokens=settings.persona.short_tokens if asked else 0,
    )
    system = system_prompt(settings, person[:8], identity)
    rows = {
        split: chat_rows(draft.pairs.filter(pl.col("split") == split), system) for split in SPLITS
    }
    return {"train": rows["train"] + rows["test"], "validation": rows["validation"]}
