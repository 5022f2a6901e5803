"""The jobs of the graph: what is derived by day, what is remembered, the release, the export."""

from __future__ import annotations

import dagster as dg

from twin_pipelines.foundation.partitions import DAILY

HEAVY = {"twin/heavy": "yes"}  # one such run at a time, see dagster.yaml

daily_refresh = dg.define_asset_job(
    "daily_refresh",
    selection=dg.AssetSelection.assets(
        "raw_conversations",
        "cleaned_messages",
        "message_embeddings",
        "episodic_memories",
        "instruct_pairs",
    ),
    partitions_def=DAILY,
    description="Messages of a day, or of any range of days as one run: raw to paired.",
)

remember = dg.define_asset_job(
    "remember",
    selection=(
        dg.AssetSelection.groups("persona", "memory", "retrieval")
        - dg.AssetSelection.assets("episodic_memories")
        | dg.AssetSelection.assets("core_memories")
        | dg.AssetSelection.checks(
            dg.AssetCheckKey(dg.AssetKey("promoted_model"), "champion_is_current")
        )
    ),
    description="Persona and memories over the whole history; no training, so any night will do.",
)

train_and_promote = dg.define_asset_job(
    "train_and_promote",
    selection=dg.AssetSelection.assets(
        "instruct_dataset",
        "preference_pairs",
        "lora_adapter",
        "control_adapter",
        "evaluated_model",
        "registered_model",
        "promoted_model",
        "core_memories",
    ),
    tags=HEAVY,
    description="From dataset to promotion; what is unchanged is reused.",
)

export_model = dg.define_asset_job(
    "export_model",
    selection=dg.AssetSelection.assets("exported_model"),
    tags=HEAVY,
    description="An adapter as files for other programs, each compared with the trained model.",
)

learn_retriever = dg.define_asset_job(
    "learn_retriever",
    selection=dg.AssetSelection.assets("learned_retriever"),
    tags=HEAVY,
    description="A retriever that learns the person; only when it is asked for.",
)
