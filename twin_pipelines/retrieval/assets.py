"""Dagster's door to the search index and to how well it finds."""

import time

import dagster as dg

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.retrieval import figures_store
from twin_pipelines.retrieval.figures import measured, token_counter
from twin_pipelines.retrieval.index.index_store import state
from twin_pipelines.retrieval.index.refresh import index_queued, reindex

REPORT_SECONDS = 5.0


@dg.asset(
    group_name="retrieval",
    kinds={"python", "polars", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=[
        dg.AssetDep("cleaned_messages", partition_mapping=dg.AllPartitionMapping()),
        "memory_embeddings",
        "archived_memories",
    ],
)
def search_index(context: dg.AssetExecutionContext, twin: TwinResource) -> dg.MaterializeResult:
    """Every turn and every active memory, ready to be found by words and by meaning.

    Only what was queued since the last time is indexed: turns that came or changed, with their
    neighbours, and memories. While the twin server runs it does the same within a second. When
    `embedding.model` was changed everything is embedded anew.
    """
    encoder = load_encoder(twin.settings)
    last_report = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last_report
        if done == total or time.monotonic() - last_report > REPORT_SECONDS:
            context.log.info(f"{done:,} of {total:,} turns and memories looked at")
            last_report = time.monotonic()

    with twin.connect() as connection:
        if state(connection).model == encoder.model_id:
            done = index_queued(connection, encoder, wait=True, progress=report)
        else:
            done = reindex(connection, encoder, report)
        now = state(connection)
    rate = done.entries_per_second
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": now.entries,
            "turns indexed": done.turns,
            "memories indexed": done.memories,
            "taken out": done.removed,
            "texts embedded": done.embedded,
            "weighed anew": done.weighed_anew,
            "HNSW index made": done.index_made,
            "model": encoder.model_id,
            "version": now.version,
            **({"entries per second": round(rate, 1)} if rate else {}),
        }
    )


@dg.asset(
    group_name="retrieval",
    kinds={"python", "postgres"},
    owners=["team:twin"],
    code_version="1",
    deps=["search_index"],
)
def retrieval_figures(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """How well and how fast this history is searched: known-item questions, asked one by one.

    Questions are made up about turns drawn by the hash of their session, the same for the same
    history, and each turn must come back. A row is added every time; `twin status` and
    `twin report` show the newest.
    """
    encoder = load_encoder(twin.settings)
    with twin.connect() as connection:
        figures = measured(connection, encoder, twin.settings, token_counter(twin.settings))
        figures_store.keep(connection, figures)
        connection.commit()
    context.log.info(figures.words)
    told = {
        "recall at 10": figures.recall_at_10,
        "in a context of 2,000 tokens": figures.evidence,
        "recall at 10 of what the owner confirmed": figures.confirmed_recall,
        "p50 ms": figures.p50_ms,
        "p95 ms": figures.p95_ms,
        "p99 ms": figures.p99_ms,
    }
    return dg.MaterializeResult(
        metadata={
            "entries": figures.entries,
            "questions": figures.questions,
            "confirmed by the owner": figures.confirmed,
            "measured on": figures.words,
            **{name: round(value, 3) for name, value in told.items() if value is not None},
        }
    )
