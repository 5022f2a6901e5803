"""From usable pairs to a frozen dataset on disk: split, versioned, written with its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from twin_pipelines.foundation.llm import open_endpoint
from twin_pipelines.generation.prompt import IDENTITY, system_prompt
from twin_pipelines.instruct.balance import coverage, with_facets
from twin_pipelines.instruct.canaries import canaries, canary_rows
from twin_pipelines.instruct.card import Provenance, dataset_card
from twin_pipelines.instruct.dataset import (
    SPLITS,
    Draft,
    chat_rows,
    dataset_version,
    draft_dataset,
)
from twin_pipelines.instruct.left_out import (
    FILE,
    REPORT,
    all_left_out,
    left_out_list,
    left_out_report,
)
from twin_pipelines.instruct.outlook import Outlook
from twin_pipelines.instruct.refine import Refinement
from twin_pipelines.instruct.rehearsal import rehearsal_rows
from twin_pipelines.instruct.thresholds import threshold_files
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
    left_out: str  # the report
    rehearsal: int  # rows beside the pairs of train
    refined: str  # by whom the scores of how many doubtful pairs were refined; empty: by nobody
    written: bool


def freeze_dataset(
    pairs: pl.DataFrame,
    excluded: pl.DataFrame,
    settings: TwinSettings,
    *,
    speaker: str,
    name: str,
    provenance: Provenance,
    outlook: Outlook,
    identity: Callable[[datetime], str],
) -> Frozen:
    """Split and purge usable pairs (`pairs.PAIR_SCHEMA`) and write them as a dataset folder.

    `excluded` are the pairs that are not usable, for the report of what was left out. `identity`
    says who the subject is from what was written up to a moment, and is asked for the end of train
    where the system prompt holds `{identity}`. Raises TwinError where the history is too short for
    three splits.
    """
    endpoint = open_endpoint(settings.llm)
    refine = Refinement(endpoint, settings.datasets_dir) if endpoint else None
    draft = draft_dataset(pairs, settings.dataset, refine)
    refined = f"{refine.rated} by {refine.model}, {refine.unrated} unanswered" if refine else ""
    asked = IDENTITY in settings.dataset.system_prompt
    system = system_prompt(settings, name, identity(draft.train_until) if asked else "")
    rows = {
        split: chat_rows(draft.pairs.filter(pl.col("split") == split), system) for split in SPLITS
    }
    rehearsal = rehearsal_rows(draft, settings.dataset, speaker)
    shaped_by = _shaped_by(settings, system, speaker)
    version = dataset_version(shaped_by, {**rows, "train": [*rows["train"], *rehearsal]})
    planted = canaries(speaker, system)
    report = left_out_report(left_out := all_left_out(excluded, draft.left_out))
    card = dataset_card(
        name,
        version,
        draft,
        covered=covered(draft),
        rehearsal=len(rehearsal),
        refined=refined,
        settings=shaped_by,
        provenance=provenance,
        outlook=outlook,
        planted=planted,
    )
    folder = settings.datasets_dir / version
    written = write_dataset(
        folder,
        rows,
        planted,
        [*canary_rows(planted, draft.train_until.isoformat()), *rehearsal],
        {
            "README.md": card.encode(),
            REPORT: f"# Left out of version {version}\n\n{report}".encode(),
            FILE: left_out_list(left_out),
            **threshold_files(draft.thresholds),
        },
    )
    path = PurePosixPath(folder.relative_to(settings.home).as_posix())
    return Frozen(
        version=version,
        draft=draft,
        settings=shaped_by,
        folder=folder,
        path=path,
        card=card,
        left_out=report,
        rehearsal=len(rehearsal),
        refined=refined,
        written=written,
    )


def covered(draft: Draft) -> pl.DataFrame:
    """How much of what was offered to train is in it, by facet (`balance.coverage`)."""
    of_train = pl.col("split") == "train"
    train = draft.pairs.filter(of_train)
    dropped = draft.left_out.filter(of_train).select(train.columns)
    return coverage(with_facets(pl.concat([train, dropped]).sort("replied_at", "id")), train)


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
