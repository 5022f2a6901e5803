"""Dagster's door to the vectors of turns."""

import time

import dagster as dg

from twin_pipelines.embeddings import store
from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.embeddings.refresh import refresh
from twin_pipelines.foundation.partitions import DAILY, day_range
from twin_pipelines.foundation.resources import TwinResource

REPORT_SECONDS = 5.0


@dg.asset(
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=["cleaned_messages"],
    group_name="embeddings",
    kinds={"python", "postgres"},
    owners=["team:twin"],
    code_version="1",
)
def message_embeddings(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """One unit-length vector a turn, for search by meaning.

    Only turns whose text is new, changed, or not yet known to the model are embedded; a text that
    occurs many times is embedded once.
    """
    encoder = load_encoder(twin.settings)
    days = day_range(context)
    last_report = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last_report
        if done == total or time.monotonic() - last_report > REPORT_SECONDS:
            context.log.info(f"{done:,} of {total:,} turns have a vector of {encoder.model_id}")
            last_report = time.monotonic()

    with twin.connect() as connection:
        done = refresh(connection, days, encoder, report)
        counts = store.vector_counts(connection, days, encoder.model_id)
    for day in days:
        context.add_asset_metadata(
            {"dagster/partition_row_count": counts.get(day, 0)}, partition_key=day.isoformat()
        )
    rate = done.texts_per_second
    return dg.MaterializeResult(
        metadata={
            "vectors_written": done.turns,
            "embedded": done.embedded,
            "reused": done.reused,
            "model": encoder.model_id,
            "dimensions": encoder.dimensions,
            "index_made": done.index_made,
            **({"texts_per_second": round(rate, 1)} if rate else {}),
        }
    )
