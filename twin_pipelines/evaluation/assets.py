"""The Dagster door of the room: an adapter becomes figures, in a process of its own."""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import dagster as dg
import psycopg

from twin_pipelines.evaluation import scorecard, store
from twin_pipelines.evaluation.frozen import FrozenSet, exchange, freeze, read_split
from twin_pipelines.evaluation.leaks import Overlap, overlap
from twin_pipelines.evaluation.task import Candidate, Task, write_task
from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.foundation.tracking import MlflowTracking, log_metrics
from twin_pipelines.instruct.store import DatasetVersion, dataset, message_ids
from twin_pipelines.settings import TwinError, TwinSettings, as_plain
from twin_pipelines.training import store as training

CODE_VERSION = "1"  # raise it when the same adapter would get other figures
ANSWERS = ".answers"  # kept answers of systems, beside the evaluations
TASKS = ".tasks"
METRICS = "metrics.json"


@dataclass(frozen=True)
class Prepared:
    """What is to be evaluated, against whom, and where."""

    task: Task
    adapter: training.Adapter
    champion_id: str | None

    @property
    def evaluation_id(self) -> str:
        """Identity of the evaluation."""
        return self.task.folder.name


@dg.asset(
    deps=["lora_adapter"],
    group_name="evaluation",
    kinds={"python", "pytorch", "scikitlearn"},
    owners=["team:twin"],
    code_version=CODE_VERSION,
    pool="training",
)
def evaluated_model(
    context: dg.AssetExecutionContext,
    twin: TwinResource,
    tracking: MlflowTracking,
    pipes: dg.PipesSubprocessClient,
) -> dg.MaterializeResult:
    """How close the twin comes to the person, on sessions nobody has trained on.

    Style consistency, likelihood of the real replies, picking the real reply and memorisation, each
    with interval, ceiling and controls. Measured in a process of its own; what the base says is
    kept and used again, and so is an evaluation of the same adapter, champion, test set and
    settings.
    """
    with twin.connect() as connection:
        prepared = prepare(connection, twin.settings)
    metrics = read_json(prepared.task.folder / METRICS)
    reused = bool(metrics)
    if reused:
        context.log.info(f"Evaluation {prepared.evaluation_id} exists; it is used again")
    else:
        metrics = _measure(context, twin.settings, pipes, prepared.task)
    with twin.connect() as connection:
        known = store.choose_evaluation(connection, prepared.evaluation_id)
        if known is None:
            store.save_evaluation(
                connection,
                evaluation_id=prepared.evaluation_id,
                adapter_id=prepared.adapter.adapter_id,
                champion_id=prepared.champion_id,
                metrics=metrics,
                path=PurePosixPath(prepared.task.folder.relative_to(twin.settings.home)),
            )
        connection.commit()
    if known is None:
        figures = {"evaluation": scorecard.headline(metrics)}
        with tracking.client() as client:
            log_metrics(client, prepared.adapter.mlflow_run_id, figures)
    return dg.MaterializeResult(metadata=_metadata(prepared, metrics, reused=reused))


def prepare(connection: psycopg.Connection, settings: TwinSettings) -> Prepared:
    """The evaluation of the current adapter against the present champion.

    Raises TwinError when there is no adapter, or its dataset or base is gone.
    """
    adapter = training.latest_adapter(connection)
    if adapter is None:
        raise TwinError("There is no adapter to evaluate; materialise lora_adapter first.")
    made_from = dataset(connection, adapter.dataset_version)
    if made_from is None:
        raise TwinError(
            f"The dataset {adapter.dataset_version} of adapter {adapter.adapter_id} is gone; "
            "materialise instruct_dataset and lora_adapter again."
        )
    champion_id = store.serving_adapter(connection)
    if champion_id == adapter.adapter_id:
        champion_id = None
    champion = training.adapter(connection, champion_id) if champion_id else None
    folder = settings.home / made_from.path
    frozen = freeze(
        folder,
        made_from.version,
        replies=settings.evaluation.replies,
        ranked=settings.evaluation.ranked,
    )
    identity = evaluation_id(adapter.adapter_id, champion_id, frozen.version, settings)
    task = Task(
        folder=settings.evaluations_dir / identity,
        cache=settings.evaluations_dir / ANSWERS,
        dataset=folder,
        dataset_version=made_from.version,
        speaker=made_from.subject,
        twin=_candidate(adapter, settings),
        champion=_candidate(champion, settings) if champion else None,
        settings=settings.evaluation,
        min_reply_words=settings.pairs.min_reply_words,
        one_voice=store.one_voice(connection),
        leaks=find_overlap(connection, settings, made_from, frozen).as_dict(),
        dtype=settings.training.dtype,
    )
    return Prepared(task, adapter, champion_id)


def evaluation_id(
    adapter_id: str, champion_id: str | None, frozen_version: str, settings: TwinSettings
) -> str:
    """Identity of an evaluation: 12 hexadecimal digits of what decides its figures."""
    parts = [
        adapter_id,
        champion_id,
        frozen_version,
        as_plain(settings.evaluation),
        settings.training.dtype,
        CODE_VERSION,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def find_overlap(
    connection: psycopg.Connection,
    settings: TwinSettings,
    made_from: DatasetVersion,
    frozen: FrozenSet,
) -> Overlap:
    """What of the frozen set also stands in train or validation of its dataset."""
    folder = settings.home / made_from.path
    learnt = [
        exchange(row) for split in ("train", "validation") for row in read_split(folder, split)
    ]
    pairs = [one.pair_id for one in (*frozen.exchanges, *learnt)]
    return overlap(frozen.exchanges, learnt, message_ids(connection, pairs))


def _candidate(adapter: training.Adapter, settings: TwinSettings) -> Candidate:
    base = resolve_model(adapter.base_model, settings, purpose="causal")
    return Candidate(base, settings.home / adapter.path / "adapter")


def _measure(
    context: dg.AssetExecutionContext,
    settings: TwinSettings,
    pipes: dg.PipesSubprocessClient,
    task: Task,
) -> dict[str, Any]:
    path = settings.evaluations_dir / TASKS / f"{task.folder.name}.json"
    write_task(task, path)
    command = [sys.executable, "-m", "twin_pipelines.evaluation.run", "--config", str(path)]
    invocation = pipes.run(context=context, command=command)
    for message in invocation.get_custom_messages():
        raise TwinError(message["error"])
    metrics = read_json(task.folder / METRICS)
    assert metrics, "an evaluation that ends well leaves its metrics"
    return metrics


def _metadata(prepared: Prepared, metrics: dict[str, Any], *, reused: bool) -> dict[str, Any]:
    folder = prepared.task.folder
    return {
        "evaluation_id": prepared.evaluation_id,
        "adapter_id": prepared.adapter.adapter_id,
        "compared_with": prepared.champion_id or "no champion yet",
        "frozen_set": metrics["frozen_set"]["version"],
        "reused": reused,
        "dagster/row_count": metrics["frozen_set"]["n_pairs"],
        **scorecard.headline(metrics),
        "seconds": sum(metrics["seconds"].values()),
        "figures": dg.MetadataValue.md(scorecard.table(metrics)),
        "plots": dg.MetadataValue.md(scorecard.plots(folder)),
        "seconds_by_part": dg.MetadataValue.json(metrics["seconds"]),
        "folder": dg.MetadataValue.path(folder),
    }
