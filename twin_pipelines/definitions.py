"""The graph's table of contents: every room's assets and checks, in the order data flows."""

from __future__ import annotations

import dagster as dg

from twin_pipelines.automation import conditions, jobs, schedules, sensors, syncing, upkeep
from twin_pipelines.automation.freshness import keep_fresh
from twin_pipelines.embeddings import assets as embeddings
from twin_pipelines.embeddings import checks as embeddings_checks
from twin_pipelines.evaluation import assets as evaluation
from twin_pipelines.evaluation import checks as evaluation_checks
from twin_pipelines.evaluation.retriever import assets as retriever
from twin_pipelines.evaluation.retriever import checks as retriever_checks
from twin_pipelines.features import assets as features
from twin_pipelines.features import checks as features_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking
from twin_pipelines.instruct import assets as instruct
from twin_pipelines.instruct import checks as instruct_checks
from twin_pipelines.memory import assets as memory
from twin_pipelines.memory import checks as memory_checks
from twin_pipelines.persona import assets as persona
from twin_pipelines.persona import checks as persona_checks
from twin_pipelines.promotion import assets as promotion
from twin_pipelines.promotion import checks as promotion_checks
from twin_pipelines.retrieval import assets as retrieval
from twin_pipelines.retrieval import checks as retrieval_checks
from twin_pipelines.settings import load_settings
from twin_pipelines.sources import assets as sources
from twin_pipelines.sources import checks as sources_checks
from twin_pipelines.sources import sync
from twin_pipelines.sources.sync import checks as sync_checks
from twin_pipelines.training import assets as training
from twin_pipelines.training import checks as training_checks
from twin_pipelines.training.export import assets as export
from twin_pipelines.training.export import checks as export_checks

ROOMS = [
    (sources, sources_checks),
    (sync, sync_checks),
    (features, features_checks),
    (embeddings, embeddings_checks),
    (persona, persona_checks),
    (memory, memory_checks),
    (retrieval, retrieval_checks),
    (instruct, instruct_checks),
    (training, training_checks),
    (export, export_checks),
    (evaluation, evaluation_checks),
    (retriever, retriever_checks),
    (promotion, promotion_checks),
]

defs = dg.Definitions(
    assets=[asset for room, _ in ROOMS for asset in dg.load_assets_from_modules([room])],
    asset_checks=[
        check for _, room in ROOMS for check in dg.load_asset_checks_from_modules([room])
    ],
    jobs=[
        jobs.daily_refresh,
        jobs.remember,
        jobs.train_and_promote,
        jobs.export_model,
        jobs.learn_retriever,
        syncing.compare_sides,
    ],
    schedules=[schedules.daily_schedule],
    sensors=[
        sensors.follow_sources,
        sensors.settle_what_was_followed,
        sensors.remember_what_is_new,
        sensors.retrain_when_due,
        conditions.renew_exports,
        syncing.watch_sync,
        upkeep.import_dropped_files,
        upkeep.watch_over_twin,
        upkeep.tell_alerts,
        upkeep.purge_old_runs,
    ],
    resources={
        "twin": TwinResource(),
        "tracking": MlflowTracking(),
        "pipes": dg.PipesSubprocessClient(),
    },
    executor=dg.in_process_executor,
)
defs = defs.map_asset_specs(func=keep_fresh(load_settings()))
defs = defs.map_asset_specs(func=conditions.follow_release)
