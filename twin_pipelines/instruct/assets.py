"""The Dagster door of the room: turns become pairs, day by day; pairs become frozen datasets."""

from datetime import datetime
from functools import partial
from typing import Any

import dagster as dg
import polars as pl
import psycopg

from twin_pipelines.features.refresh import slices
from twin_pipelines.features.store import load_session_turns, load_turns, raw_volume
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.markdown import markdown_table
from twin_pipelines.foundation.partitions import DAILY, WITH_EVE, day_range
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct import store
from twin_pipelines.instruct.card import Provenance
from twin_pipelines.instruct.dataset import SPLITS
from twin_pipelines.instruct.freeze import freeze_dataset
from twin_pipelines.instruct.leaks import read_splits
from twin_pipelines.instruct.left_out import masked, without_never_says
from twin_pipelines.instruct.outlook import pairs_outlook
from twin_pipelines.instruct.pairs import build_pairs
from twin_pipelines.instruct.preference_store import (
    corrections,
    judged_answers,
    preference_counts,
    save_preferences,
)
from twin_pipelines.instruct.preferences import (
    KINDS,
    preference_rows,
    read_base_replies,
    write_preferences,
)
from twin_pipelines.instruct.quality import QUALITY_PARTS
from twin_pipelines.persona.identity.compose import identity_until
from twin_pipelines.persona.identity.store import latest_identity
from twin_pipelines.persona.never_says_store import phrases
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.sources.chitchat import background_exchanges
from twin_pipelines.sources.store import counts as source_counts
from twin_pipelines.sources.store import source_rows, subject

STRANGERS = 4_000  # exchanges among which another person's reply is sought


@dg.asset(
    group_name="instruct",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="2",
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[dg.AssetDep("cleaned_messages", partition_mapping=WITH_EVE)],
)
def instruct_pairs(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """What the subject really answered: earlier turns, the partner's message, the reply.

    Each pair has a quality of 0–10 with its five parts; one that may not be trained on says why.
    The day is the reply's; a re-run rewrites the day whole.
    """
    days = day_range(context)
    settings = twin.settings
    made = []
    with twin.connect() as connection:
        who = subject(connection).speaker
        for part in slices(days, raw_volume(connection, days)):
            turns = load_session_turns(connection, part)
            pairs = build_pairs(turns, who, settings.pairs, settings.dataset.near_duplicate)
            pairs = pairs.filter(pl.col("day").is_between(part.first, part.last))
            store.rewrite_days(connection, part, pairs)
            connection.commit()
            context.log.info(f"{part.first} to {part.last}: {pairs.height} pairs")
            made.append(pairs.select("day", "excluded", "quality", "quality_parts"))
    pairs = pl.concat(made)
    for day, rows in pairs.group_by("day").len().sort("day").iter_rows():
        context.add_asset_metadata(
            {"dagster/partition_row_count": rows}, partition_key=day.isoformat()
        )
    return dg.MaterializeResult(metadata=_pair_metadata(pairs))


@dg.asset(
    group_name="instruct",
    kinds={"python", "polars", "parquet"},
    owners=["team:twin"],
    code_version="2",
    deps=[dg.AssetDep("instruct_pairs", partition_mapping=dg.AllPartitionMapping())],
)
def instruct_dataset(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """The pairs as a frozen dataset: train, validation and test, split by time and whole session.

    What nearly repeats a later split is purged; thresholds and choices are made in train, for train
    alone. The version is a hash of content and settings; a
    version that is there already is used again.
    """
    with twin.connect() as connection:
        who = subject(connection)
        reasons = store.counts(connection).excluded
        pairs, barred = without_never_says(store.load_pairs(connection), phrases(connection))
        frozen = freeze_dataset(
            pairs,
            pl.concat([store.load_excluded(connection), barred]),
            twin.settings,
            speaker=who.speaker,
            name=who.name,
            provenance=Provenance(reasons, _consents(connection)),
            outlook=pairs_outlook(connection, twin.settings),
            identity=partial(_identity, connection, twin.settings),
        )
        draft = frozen.draft
        sizes = {split: draft.count(split) for split in SPLITS}
        dataset = store.DatasetVersion(
            version=frozen.version,
            subject=who.speaker,
            settings=frozen.settings,
            **sizes,
            purged=draft.purged,
            train_until=draft.train_until,
            test_from=draft.test_from,
            path=frozen.path,
        )
        store.save_dataset(connection, dataset, draft.pairs)
        connection.commit()
    context.log.info(f"Dataset {frozen.version} {'written' if frozen.written else 'used again'}")
    return dg.MaterializeResult(
        metadata={
            "version": frozen.version,
            "dagster/row_count": draft.pairs.height,
            **sizes,
            "purged": sum(draft.purged.values()),
            "rehearsal": frozen.rehearsal,
            "refined scores": frozen.refined or "none: no language model is configured",
            **{name: threshold.value for name, threshold in draft.thresholds.items()},
            "left out": dg.MetadataValue.md(frozen.left_out),
            "written": frozen.written,
            "folder": dg.MetadataValue.path(frozen.folder),
            "card": dg.MetadataValue.md(frozen.card.split("---\n", 2)[-1]),
        }
    )


@dg.asset(
    group_name="instruct",
    kinds={"python", "polars", "trl"},
    owners=["team:twin"],
    code_version="1",
    deps=["instruct_dataset"],
)
def preference_pairs(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """Replies to prefer and replies to turn down, for preference training (DPO).

    Preferred is the real reply, the owner's correction of an answer of the twin, or an answer they
    liked; turned down the corrected answer, one they disliked, the base's, another person's nearest
    reply or a rewrite against the subject's manner. Of the train split of the current dataset only;
    written beside it in TRL's format.
    """
    with twin.connect() as connection:
        dataset = store.latest_dataset(connection)
        if dataset is None:
            raise TwinError("There is no dataset yet; materialise instruct_dataset first.")
        folder = twin.settings.home / dataset.path
        corrected = corrections(connection)
        rows = preference_rows(
            read_splits(folder),
            corrected,
            read_base_replies(folder),
            background_exchanges(STRANGERS, dataset.subject),
            dataset.settings["dataset"]["near_duplicate"],
            judged=judged_answers(connection),
            never=phrases(connection),
        )
        path = write_preferences(folder, rows)
        save_preferences(connection, dataset.version, rows)
        connection.commit()
        counts = preference_counts(connection, dataset.version)
    context.log.info(f"{len(rows)} preference pairs beside dataset {dataset.version}")
    return dg.MaterializeResult(
        metadata={
            "version": dataset.version,
            "dagster/row_count": len(rows),
            **{f"kind {kind}": counts.get(kind, 0) for kind in KINDS},
            "corrections left out": len(corrected) - counts.get("correction", 0),
            "file": dg.MetadataValue.path(path),
            "examples": dg.MetadataValue.md(_preference_examples(rows)),
        }
    )


def _preference_examples(rows: list[dict[str, Any]]) -> str:
    lines = ["| kind | asked | chosen | rejected |", "|---|---|---|---|"]
    for kind in KINDS:
        for row in [row for row in rows if row["kind"] == kind][:2]:
            texts = (row["prompt"], row["chosen"], row["rejected"])
            cells = [masked(messages[-1]["content"]).replace("|", "\\|") for messages in texts]
            lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _consents(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return [(row["source"], row["granted"]) for row in source_rows(connection) if row["messages"]]


def _identity(connection: psycopg.Connection, settings: TwinSettings, until: datetime) -> str:
    """Who the subject is, from nothing but what was written up to the end of train."""
    who, first = subject(connection), source_counts(connection).first_day
    stored = latest_identity(connection, who.speaker)
    turns = load_turns(connection, DayRange(first or until.date(), until.date()))
    return identity_until(
        turns,
        until,
        speaker=who.speaker,
        names=[who.name],
        edited=stored.page if stored else None,
        most_tokens=settings.persona.short_tokens,
    )


def _pair_metadata(pairs: pl.DataFrame) -> dict[str, Any]:
    usable = pairs.filter(pl.col("excluded").is_null())
    reasons = pairs["excluded"].drop_nulls().value_counts(sort=True)
    means = usable["quality_parts"].struct.unnest().mean()
    parts = [(name, f"{means[name].item():.2f}") for name in QUALITY_PARTS if usable.height]
    return {
        "usable pairs": usable.height,
        "excluded pairs": pairs.height - usable.height,
        "excluded by reason": dg.MetadataValue.md(
            markdown_table(reasons.rows(), ("excluded because", "pairs"))
        ),
        "quality by part": dg.MetadataValue.md(markdown_table(parts, ("part", "mean"))),
        **(
            {"mean quality": usable.select(pl.col("quality").mean()).item()}
            if usable.height
            else {}
        ),
    }
