"""Dagster's door to the retriever that learns the person."""

import dagster as dg

from twin_pipelines.embeddings.encoder import load_encoder
from twin_pipelines.evaluation.retriever import learn
from twin_pipelines.foundation.resources import TwinResource


@dg.asset(
    group_name="evaluation",
    kinds={"python", "pytorch", "postgres"},
    owners=["team:twin"],
    code_version=str(learn.CODE),
    deps=["instruct_dataset", "search_index"],
    pool="training",
)
def learned_retriever(
    context: dg.AssetExecutionContext, twin: TwinResource
) -> dg.MaterializeResult:
    """What questions are looked up by, learned from which past message made a reply likelier.

    Optional: nothing depends on it. The base model judges past messages on the train split; an
    adapter of question vectors learns from that and is tried on the validation split against what
    is in force. It comes into force only when real replies surely become likelier and known items
    are surely still found; `twin retriever rollback` undoes that. No entry is embedded anew.
    """
    encoder = load_encoder(twin.settings)
    with twin.connect() as connection:
        found = learn.learned_retriever(connection, encoder, twin.settings, context.log.info)
    context.log.info(found.verdict)
    trial = found.figures["trial"] or {}
    gain, known = trial.get("gain"), trial.get("known")
    told = {
        "gain nats per token": gain and gain["value"],
        "known items recall at 10, change": known and known["value"],
    }
    return dg.MaterializeResult(
        metadata={
            "retriever": found.retriever_id,
            "in force": found.in_force,
            "verdict": found.verdict,
            "learned from": found.learned_from,
            "dagster/row_count": found.figures["contexts"],
            "figures": dg.MetadataValue.json(found.figures),
            **{name: round(value, 5) for name, value in told.items() if value is not None},
        }
    )
