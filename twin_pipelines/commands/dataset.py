"""`twin dataset`: what changed between two versions, and what the base answers in train."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table

from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.instruct.diff import DatasetDiff, diff
from twin_pipelines.instruct.leaks import read_splits
from twin_pipelines.instruct.preferences import read_base_replies, write_base_replies
from twin_pipelines.instruct.store import latest_dataset
from twin_pipelines.settings import TwinError, TwinSettings


def compare(settings: TwinSettings, before: str, after: str) -> DatasetDiff:
    """What differs between two versions of the dataset. Raises TwinError for an unknown one."""
    with open_databases(settings) as databases, connect(databases.twin) as connection:
        return diff(connection, settings, before, after)


def as_json(found: DatasetDiff) -> dict[str, Any]:
    """A diff as `twin dataset diff --json` prints it."""
    return asdict(found)


def as_tables(found: DatasetDiff) -> Group:
    """A diff for a terminal."""
    sizes = Table("split", found.before, found.after, title="Pairs")
    for split, (old, new) in found.sizes.items():
        sizes.add_row(split, f"{old:,}", f"{new:,}")
    changes = Table("what", "from", "to", "pairs", "why", title="Changes")
    for change in found.changes:
        where = change.before or "-", change.after or "-"
        changes.add_row(change.what, *where, f"{change.pairs:,}", change.why)
    settings = Table("setting", found.before, found.after, title="Settings")
    for name, old_value, new_value in found.settings:
        settings.add_row(name, str(old_value), str(new_value))
    return Group(*[table for table in (sizes, changes, settings) if table.row_count])


def answer_by_base(settings: TwinSettings, count: int, console: Console) -> Path:
    """Let the base model answer `count` more pairs of train, for `preference_pairs` to turn down.

    The pairs are chosen by a hash of their identity, those answered already are passed over.
    Raises TwinError when there is no dataset yet.
    """
    from twin_pipelines.foundation.models import resolve_model
    from twin_pipelines.generation.local import generate_replies, load_model

    with open_databases(settings) as databases, connect(databases.twin) as connection:
        dataset = latest_dataset(connection)
    if dataset is None:
        raise TwinError("There is no dataset yet; materialise instruct_dataset first.")
    folder = settings.home / dataset.path
    known = read_base_replies(folder)
    train = [
        row
        for row in read_splits(folder)["train"]
        if not row.get("rehearsal") and row["pair_id"] not in known
    ]
    train.sort(key=lambda row: hashlib.sha256(row["pair_id"].encode()).hexdigest())
    chosen = train[:count]
    base = resolve_model(settings.training.base_model, settings, purpose="causal")
    model, tokenizer = load_model(base)
    with console.status(f"{base.reference} answers {len(chosen)} messages"):
        replies = generate_replies(
            model,
            tokenizer,
            [row["prompt"] for row in chosen],
            max_new_tokens=settings.evaluation.max_new_tokens,
            temperature=settings.evaluation.temperature,
            top_p=settings.evaluation.top_p,
            max_tokens=settings.training.max_tokens,
        )
    answered = {row["pair_id"]: reply for row, reply in zip(chosen, replies, strict=True)}
    return write_base_replies(folder, base.reference, answered)
