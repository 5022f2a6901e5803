"""The dataset card: a README that people read and `datasets.load_dataset` understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from twin_pipelines.instruct.canaries import Canary
from twin_pipelines.instruct.dataset import LOW_QUALITY, SPLITS, Draft
from twin_pipelines.instruct.left_out import REPORT
from twin_pipelines.instruct.outlook import Outlook
from twin_pipelines.instruct.refine import DOUBTFUL
from twin_pipelines.instruct.thresholds import FILE as THRESHOLDS
from twin_pipelines.instruct.thresholds import ROWS_FILE, Threshold

MOST_VALUES = 13  # of a facet in the table of coverage


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
    covered: pl.DataFrame,
    rehearsal: int,
    refined: str,
    settings: Mapping[str, Any],
    provenance: Provenance,
    outlook: Outlook,
    planted: Sequence[Canary],
) -> str:
    """The card as markdown with YAML front matter that names the three splits.

    `covered` is what `balance.coverage` counted in train, `rehearsal` the rows beside its pairs,
    `refined` by whom scores were refined, empty when by nobody.
    """
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
        f"Examples of each are in `{REPORT}`.",
        "## Thresholds",
        f"Computed on train alone and applied to train alone; `{THRESHOLDS}` says how, and "
        f"`{ROWS_FILE}` holds the rows behind it.",
        _table(
            ("threshold", "value", "method", "split", "rows", "pairs of train below"),
            [_threshold_row(threshold, draft) for threshold in draft.thresholds.items()],
        ),
        f"Scores of the lowest {DOUBTFUL:.0%} refined by a language model: {refined}."
        if refined
        else "",
        "## Balance",
        "What was offered to train, and how much of it is in train; beyond "
        f"{MOST_VALUES} values of a facet the rest are counted together.",
        _table(("facet", "value", "offered", "in train"), _coverage_rows(covered)),
        f"Beside the pairs, {rehearsal:,} rows of strangers' general chat are rehearsed, marked "
        '`"rehearsal": true`; they are no pairs and count nowhere.'
        if rehearsal
        else "No general chat is rehearsed beside the pairs.",
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
        _table(
            ("setting", "value"), [(key, f"`{value}`") for key, value in flat_settings(settings)]
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _threshold_row(named: tuple[str, Threshold], draft: Draft) -> tuple[str, ...]:
    name, threshold = named
    return (
        name,
        f"{threshold.value:.3f}",
        threshold.method,
        threshold.split or "-",
        f"{threshold.rows.height:,}",
        f"{draft.purged.get(LOW_QUALITY, 0):,}",
    )


def _coverage_rows(covered: pl.DataFrame) -> list[tuple[str, ...]]:
    shown: list[tuple[str, str, int, int]] = []
    for (facet,), values in covered.group_by("facet", maintain_order=True):
        shown += values.head(MOST_VALUES).rows()
        rest = values.slice(MOST_VALUES)
        if rest.height:
            sums = int(rest["offered"].sum()), int(rest["taken"].sum())
            shown.append((str(facet), f"{rest.height} others", *sums))
    return [(facet, value, f"{offered:,}", f"{taken:,}") for facet, value, offered, taken in shown]


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


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings as (dotted name, value), sorted by name."""
    rows: list[tuple[str, Any]] = []
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            rows += flat_settings(value, f"{prefix}{key}.")
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
