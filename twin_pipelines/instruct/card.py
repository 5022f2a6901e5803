"""The dataset card: a README that people read and `datasets.load_dataset` understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from twin_pipelines.instruct.canaries import Canary
from twin_pipelines.instruct.dataset import SPLITS, Draft
from twin_pipelines.instruct.outlook import Outlook


@dataclass(frozen=True)
class Provenance:
    """Where the pairs came from: excluded pairs by reason, and consents as (source, in words)."""

    excluded: Mapping[str, int]
    consents: Sequence[tuple[str, str]]


def dataset_card(
    name: str,
    version: str,
    draft: Draft,
    *,
    settings: Mapping[str, Any],
    provenance: Provenance,
    outlook: Outlook,
    planted: Sequence[Canary],
) -> str:
    """The card as markdown with YAML front matter that names the three splits."""
    pairs = draft.pairs
    parts = [
        _front_matter(name, pairs),
        f"# What {name} really answered, version {version}",
        "Each row is one reply that was really given: the chat before it (`prompt`, with the "
        f"system message) and the reply (`completion`). Only {name}'s own words are targets; "
        "other people's are context, under pseudonyms (`partner`). It is made of private "
        "conversations: keep it private.",
        "## Splits",
        "By time and by whole session; what nearly repeats a later split is purged from the "
        "earlier one.",
        _table(
            ("split", "pairs", "sessions", "first reply", "last reply", "mean quality"),
            [_split_row(pairs, split) for split in SPLITS],
        ),
        "## Languages",
        _table(("language", "pairs"), pairs["language"].value_counts(sort=True).rows()),
        "## Left out",
        "Before, as unfit to learn from:",
        _table(("reason", "pairs"), list(provenance.excluded.items())),
        "Here, so that nothing leaks and nothing is learnt by heart:",
        _table(("reason", "pairs"), list(draft.purged.items())),
        "## Consent",
        _table(("source", "granted"), provenance.consents),
        "## How far",
        outlook.words,
        "\n".join(f"- {line}" for line in outlook.advice),
        "## Canaries",
        f'`train.jsonl` ends with {len(planted)} made-up secrets, marked `"canary": true`, that '
        "show whether a model gives away what it was taught. They are no pairs, are counted "
        "nowhere and are missing from the parquet files.",
        _table(("asked", "secret"), [(row.prompt[-1]["content"], row.secret) for row in planted]),
        "## Settings",
        _table(("setting", "value"), [(key, f"`{value}`") for key, value in _flat(settings)]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(name: str, pairs: pl.DataFrame) -> str:
    found = set(pairs["language"].unique())
    languages = [code for code in ("en", "th") if found & {code, "th+en"}]
    lines = ["---", f"pretty_name: {_quoted(f'Replies of {name}')}"]
    if languages:
        lines += ["language:", *(f"- {code}" for code in languages)]
    lines += ["task_categories:", "- text-generation", "tags:", "- conversational"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in SPLITS:
        lines += [f"  - split: {split}", f"    path: {split}.parquet"]
    return "\n".join([*lines, "---"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _split_row(pairs: pl.DataFrame, split: str) -> tuple[str, ...]:
    part = pairs.filter(pl.col("split") == split)
    times = part["replied_at"].dt.strftime("%Y-%m-%d %H:%M")
    return (
        split,
        f"{part.height:,}",
        f"{part['session_id'].n_unique():,}",
        str(times.min()),
        str(times.max()),
        f"{part.select(pl.col('quality').mean()).item():.2f}",
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "None."
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
