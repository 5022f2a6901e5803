"""What must be true of the learned retriever in force."""

from __future__ import annotations

import dagster as dg
import numpy as np

from twin_pipelines.embeddings.encoder import model_id
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.retrieval.learning import store


@dg.asset_check(
    asset="learned_retriever",
    description="What is in force passed the gate, fits the embedding model and is finite.",
)
def retriever_is_sound(twin: TwinResource) -> dg.AssetCheckResult:
    """Passed where the encoder answers as it is; a warning, for without it nothing is lost."""
    with twin.connect() as connection:
        present = store.in_force(connection)
        known = store.recorded(connection, present) if present else None
        weights = store.retriever(connection, present or "")
    told = []
    if known and not known.passed:
        told.append("it was refused; run `twin retriever rollback`")
    if known and known.model != model_id(twin.settings):
        told.append(
            f"it was learned for {known.model} and does nothing for the set embedding model; "
            "run `twin retriever train`"
        )
    if not (np.isfinite(weights.looks).all() and np.isfinite(weights.moves).all()):
        told.append("its weights are no numbers; run `twin retriever rollback`")
    return dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(told) or None,
        metadata={"in force": present or "the encoder as it is"},
    )
