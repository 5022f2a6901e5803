"""From usable pairs to a frozen dataset on disk: split, versioned, written with its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from twin_pipelines.generation.prompt import system_prompt
from twin_pipelines.instruct.canaries import canaries, canary_rows
from twin_pipelines.instruct.card import Provenance, dataset_card
from twin_pipelines.instruct.dataset import (
    SPLITS,
    Draft,
    chat_rows,
    dataset_version,
    draft_dataset,
)
from twin_pipelines.instruct.outlook import Outlook
from twin_pipelines.instruct.write import write_dataset
from twin_pipelines.settings import TwinSettings, as_plain


@dataclass(frozen=True)
class Frozen:
    """A dataset that lies in `folder`; `written` is False when it was there already."""

    version: str
    draft: Draft
    settings: dict[str, Any]
    folder: Path
    path: PurePosixPath  # of the folder, relative to the state folder
    card: str
    written: bool


def freeze_dataset(
    pairs: pl.DataFrame,
    settings: TwinSettings,
    *,
    speaker: str,
    name: str,
    provenance: Provenance,
    outlook: Outlook,
) -> Frozen:
    """Split and purge usable pairs (`pairs.PAIR_SCHEMA`) and write them as a dataset folder.

    Raises TwinError where the history is too short for three splits.
    """
    draft = draft_dataset(pairs, settings.dataset)
    system = system_prompt(settings, name)
    rows = {
        split: chat_rows(draft.pairs.filter(pl.col("split") == split), system) for split in SPLITS
    }
    shaped_by = _shaped_by(settings, system, speaker)
    version = dataset_version(shaped_by, rows)
    planted = canaries(speaker, system)
    card = dataset_card(
        name,
        version,
        draft,
        settings=shaped_by,
        provenance=provenance,
        outlook=outlook,
        planted=planted,
    )
    folder = settings.datasets_dir / version
    last_said = draft.train_until.isoformat()
    written = write_dataset(folder, rows, planted, canary_rows(planted, last_said), card)
    path = PurePosixPath(folder.relative_to(settings.home).as_posix())
    return Frozen(version, draft, shaped_by, folder, path, card, written)


def _shaped_by(settings: TwinSettings, system: str, speaker: str) -> dict[str, Any]:
    """What besides the pairs decides a dataset; the target does not."""
    pairs = as_plain(settings.pairs)
    del pairs["target"]
    return {
        "dataset": as_plain(settings.dataset),
        "pairs": pairs,
        "system_prompt": system,
        "subject": speaker,
    }
